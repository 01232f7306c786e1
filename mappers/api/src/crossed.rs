//! Labels and annotations of a host object that came from the tenant: those that the
//! tenant removes must go, those that others added must stay.

use serde_json::{Map, Value};
use tenet_translate::keys::CROSSED;
use tenet_translate::pointer;

/// The list of the keys that cross now, as [`CROSSED`] holds it.
///
/// ```
/// use serde_json::{Map, json};
/// use tenet_mapper::crossed;
///
/// let labels = Map::from_iter([("app".to_owned(), json!("web"))]);
/// assert_eq!(crossed::list(&labels, &Map::new()), "l:app");
/// ```
pub fn list(labels: &Map<String, Value>, annotations: &Map<String, Value>) -> String {
    let marked =
        |map: &Map<String, Value>, mark: char| map.keys().map(|key| format!("{mark}:{key}")).collect::<Vec<_>>();
    let mut keys = marked(labels, 'l');
    keys.extend(marked(annotations, 'a'));
    keys.join(",")
}

/// The keys that crossed before, of labels (`l`) or annotations (`a`).
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{crossed, keys};
///
/// let copy = json!({"metadata": {"annotations": {(keys::CROSSED): "l:app,a:example.com/x"}}});
/// assert_eq!(crossed::before(&copy, 'l'), ["app"]);
/// ```
pub fn before(host: &Value, mark: char) -> Vec<String> {
    let text = pointer::get(host, "/metadata/annotations").and_then(|all| all.get(CROSSED)).and_then(Value::as_str);
    let keys = text.unwrap_or_default().split(',').filter_map(|key| key.split_once(':'));
    keys.filter(|(found, _)| found.chars().eq([mark])).map(|(_, key)| key.to_owned()).collect()
}

/// Adds an annotation of the tenant to the metadata of a host object, and to the list of what crosses. One that is
/// there stays.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{crossed, keys};
///
/// let mut copy = json!({"metadata": {"annotations": {(keys::CROSSED): "l:app"}}});
/// crossed::add(&mut copy["metadata"], "example.com/x", "1");
/// assert_eq!(copy["metadata"]["annotations"]["example.com/x"], "1");
/// assert_eq!(crossed::before(&copy, 'a'), ["example.com/x"]);
/// ```
pub fn add(metadata: &mut Value, key: &str, value: &str) {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    if annotations.contains_key(key) {
        return;
    }
    annotations.insert(key.to_owned(), value.into());
    if let Some(Value::String(list)) = annotations.get_mut(CROSSED) {
        list.push_str(if list.is_empty() { "a:" } else { ",a:" });
        list.push_str(key);
    }
}

/// Gives an annotation of the tenant another key in a host object, and in the list of what crosses.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{crossed, keys};
///
/// let mut copy = json!({"metadata": {"annotations": {(keys::CROSSED): "l:app,a:for.web", "for.web": "x"}}});
/// crossed::rename(&mut copy, "for.web", "for.web-x-shop-x-vc-1");
/// assert_eq!(copy["metadata"]["annotations"]["for.web-x-shop-x-vc-1"], "x");
/// assert_eq!(crossed::before(&copy, 'a'), ["for.web-x-shop-x-vc-1"]);
/// ```
pub fn rename(host: &mut Value, from: &str, to: &str) {
    let annotations = host.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let Some((annotations, value)) = annotations.and_then(|all| all.remove(from).map(|value| (all, value))) else {
        return;
    };
    annotations.insert(to.to_owned(), value);
    if let Some(Value::String(list)) = annotations.get_mut(CROSSED) {
        let (old, new) = (format!("a:{from}"), format!("a:{to}"));
        let keys: Vec<_> = list.split(',').map(|key| if key == old { new.as_str() } else { key }).collect();
        *list = keys.join(",");
    }
}

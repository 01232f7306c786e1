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

use serde_json::{Map, Value, json};
use tenet_mapper::{Object, patch};

use super::Record;
use super::named;

/// Images, tolerations and the deadline, as a strategic merge patch of `spec`.
pub(super) fn change(virt: &Object, host: &Object, before: &Record, now: &Record) -> Option<Value> {
    let mut spec = Map::new();
    for list in ["initContainers", "containers"] {
        let images = images(virt, host, list, before);
        if !images.is_empty() {
            spec.insert(list.to_owned(), Value::Array(images));
        }
    }
    if before.tolerations != now.tolerations
        && let Some(tolerations) = tolerations(virt, host)
    {
        spec.insert("tolerations".to_owned(), tolerations);
    }
    if let Some(deadline) = deadline(host, before, now) {
        spec.insert("activeDeadlineSeconds".to_owned(), json!(deadline));
    }
    (!spec.is_empty()).then_some(Value::Object(spec))
}

fn images(virt: &Object, host: &Object, list: &str, before: &Record) -> Vec<Value> {
    let is_changed = |container: &&Value| {
        let (name, image) = (&container["name"], &container["image"]);
        let crossed = name.as_str().and_then(|name| before.images.get(name));
        crossed.is_none_or(|crossed| image != crossed)
            && named(host, list, name).is_some_and(|twin| twin["image"] != *image)
    };
    let changed = virt.list_at(&format!("/spec/{list}")).iter().filter(is_changed);
    changed.map(|container| json!({"name": container["name"], "image": container["image"]})).collect()
}

/// The host's tolerations, with what the tenant has added, or given another time. Those that
/// the host has added stay: the API lets nobody remove one.
fn tolerations(virt: &Object, host: &Object) -> Option<Value> {
    let found = host.list_at("/spec/tolerations");
    let mut wanted = found.to_vec();
    for toleration in virt.list_at("/spec/tolerations") {
        match wanted.iter_mut().find(|other| timeless(other) == timeless(toleration)) {
            Some(other) => other.clone_from(toleration),
            None => wanted.push(toleration.clone()),
        }
    }
    let (found, wanted) = (Value::from(found), Value::Array(wanted));
    (!patch::same(&found, &wanted)).then_some(wanted)
}

fn timeless(toleration: &Value) -> [&Value; 4] {
    ["key", "operator", "value", "effect"].map(|field| &toleration[field])
}

/// The API lets a deadline only come nearer.
fn deadline(host: &Object, before: &Record, now: &Record) -> Option<i64> {
    let found = host.at("/spec/activeDeadlineSeconds").and_then(Value::as_i64);
    now.deadline.filter(|_| now.deadline != before.deadline).filter(|wanted| found.is_none_or(|found| *wanted < found))
}

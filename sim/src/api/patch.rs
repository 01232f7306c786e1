//! Patches as an API server applies them: JSON patches with its leniency, and the strategic merge.

use serde_json::{Map, Value, json};

use super::resource::Resource;
use super::status::Status;

/// Applies RFC 6902, except that a member that is missing may be replaced.
pub(super) fn json(document: &mut Value, operations: &Value) -> Result<(), Status> {
    let operations = operations.as_array().ok_or_else(|| Status::bad_request("invalid JSON patch"))?;
    operations.iter().try_for_each(|operation| apply(document, operation).ok_or_else(Status::patch_failed))
}

fn apply(document: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    let value = operation.get("value").cloned().unwrap_or(Value::Null);
    match operation["op"].as_str()? {
        "add" => insert(document, path, value),
        "replace" => replace(document, path, value),
        "remove" => remove(document, path).map(drop),
        "test" => {
            let (parent, key) = parent(document, path)?;
            let found = match parent {
                Value::Object(members) => members.get(&key).cloned().unwrap_or(Value::Null),
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?.clone(),
                _ => return None,
            };
            (found == value).then_some(())
        }
        "copy" => {
            let found = document.pointer(operation["from"].as_str()?)?.clone();
            insert(document, path, found)
        }
        "move" => {
            let found = remove(document, operation["from"].as_str()?)?;
            insert(document, path, found)
        }
        _ => None,
    }
}

/// The value that holds the target of a pointer, and the key in it.
fn parent<'d>(document: &'d mut Value, path: &str) -> Option<(&'d mut Value, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    let parent = document.pointer_mut(parent)?;
    Some((parent, key.replace("~1", "/").replace("~0", "~")))
}

fn insert(document: &mut Value, path: &str, value: Value) -> Option<()> {
    match parent(document, path)? {
        (Value::Object(members), key) => drop(members.insert(key, value)),
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            let position = key.parse().ok().filter(|position| *position <= items.len())?;
            items.insert(position, value);
        }
        _ => return None,
    }
    Some(())
}

fn replace(document: &mut Value, path: &str, value: Value) -> Option<()> {
    match parent(document, path)? {
        (Value::Object(members), key) => drop(members.insert(key, value)),
        (Value::Array(items), key) => *items.get_mut(key.parse::<usize>().ok()?)? = value,
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    match parent(document, path)? {
        (Value::Object(members), key) => members.remove(&key),
        (Value::Array(items), key) => {
            let position = key.parse().ok().filter(|position| *position < items.len())?;
            Some(items.remove(position))
        }
        _ => None,
    }
}

/// Keys by which lists are merged, by the name of the list; an empty key merges plain values.
const MERGE_KEYS: [(&str, &str); 22] = [
    ("conditions", "type"),
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("imagePullSecrets", "name"),
    ("schedulingGates", "name"),
    ("topologySpreadConstraints", "topologyKey"),
    ("hostAliases", "ip"),
    ("podIPs", "ip"),
    ("hostIPs", "ip"),
    ("addresses", "type"),
    ("secrets", "name"),
    ("resourceClaims", "name"),
    ("resourceClaimStatuses", "name"),
    ("ownerReferences", "uid"),
    ("finalizers", ""),
    ("podCIDRs", ""),
    ("ports", "containerPort"),
];

fn merge_key(resource: &Resource, list: &str) -> Option<&'static str> {
    if list == "ports" && resource.kind.kind == "Service" {
        return Some("port");
    }
    MERGE_KEYS.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

/// Applies a strategic merge patch.
pub(super) fn strategic(resource: &Resource, document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return document.clone_from(patch) };
    if !document.is_object() {
        *document = json!({});
    }
    if patch.get("$patch") == Some(&json!("replace")) {
        let rest = patch.iter().filter(|(name, _)| *name != "$patch");
        *document = Value::Object(rest.map(|(name, value)| (name.clone(), value.clone())).collect());
        return;
    }
    let Some(members) = document.as_object_mut() else { return };
    for (name, change) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        merge_member(resource, members, name, change);
    }
}

fn merge_member(resource: &Resource, members: &mut Map<String, Value>, name: &str, change: &Value) {
    match change {
        Value::Null => drop(members.remove(name)),
        Value::Object(inner) if inner.get("$patch") == Some(&json!("delete")) => drop(members.remove(name)),
        Value::Object(_) => strategic(resource, members.entry(name).or_insert(Value::Null), change),
        Value::Array(items) => {
            let target = members.entry(name).or_insert_with(|| json!([]));
            match (merge_key(resource, name), target.as_array_mut()) {
                (Some(key), Some(found)) => merge_list(resource, found, items, key),
                _ => *target = change.clone(),
            }
        }
        _ => drop(members.insert(name.to_owned(), change.clone())),
    }
}

fn merge_list(resource: &Resource, found: &mut Vec<Value>, items: &[Value], key: &str) {
    let id = |item: &Value| if key.is_empty() { item.clone() } else { item[key].clone() };
    if items.iter().any(|item| item["$patch"] == "replace") {
        found.clear();
    }
    for gone in items.iter().filter(|item| item["$patch"] == "delete") {
        found.retain(|item| id(item) != id(gone));
    }
    let order: Vec<_> = found.iter().map(id).collect();
    let mut patched = Vec::new();
    for item in items.iter().filter(|item| item.get("$patch").is_none()) {
        let mut merged = found.iter().find(|other| id(other) == id(item)).cloned().unwrap_or(Value::Null);
        strategic(resource, &mut merged, item);
        patched.push(merged);
    }
    let rest = found.drain(..).filter(|item| patched.iter().all(|other| id(other) != id(item))).collect();
    *found = in_order(rest, patched, |item| order.iter().position(|known| *known == id(item)));
}

/// Items of the patch come first, except before an item that preceded them.
fn in_order(rest: Vec<Value>, patched: Vec<Value>, position: impl Fn(&Value) -> Option<usize>) -> Vec<Value> {
    let (mut rest, mut patched) = (rest.into_iter().peekable(), patched.into_iter().peekable());
    let mut merged = Vec::new();
    loop {
        let takes_rest = match (rest.peek(), patched.peek()) {
            (Some(left), Some(right)) => position(left).zip(position(right)).is_some_and(|(left, right)| left < right),
            (left, None) => left.is_some(),
            (None, Some(_)) => false,
        };
        match if takes_rest { rest.next() } else { patched.next() } {
            Some(item) => merged.push(item),
            None => return merged,
        }
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::kinds;

    use super::*;

    #[test]
    fn a_json_patch_is_lenient_where_the_api_server_is() {
        let cases = [
            (json!([{"op": "replace", "path": "/a/new", "value": 1}]), Some(json!({"a": {"x": 1, "new": 1}}))),
            (json!([{"op": "remove", "path": "/a/none"}]), None),
            (json!([{"op": "add", "path": "/none/x", "value": 1}]), None),
            (json!([{"op": "test", "path": "/a/x", "value": 2}]), None),
            (json!([{"op": "test", "path": "/a/x", "value": 1}]), Some(json!({"a": {"x": 1}}))),
        ];
        for (patch, expected) in cases {
            let mut document = json!({"a": {"x": 1}});
            let result = super::json(&mut document, &patch).ok().map(|()| document);
            assert_eq!(result, expected, "{patch}");
        }
    }

    #[test]
    fn lists_are_merged_by_their_key_in_the_order_of_the_api_server() {
        let resource = Resource::plain(kinds::POD);
        let mut pod = json!({"status": {"conditions": [{"type": "A", "status": "x"}, {"type": "B"}]}});
        strategic(
            &resource,
            &mut pod,
            &json!({"status": {"conditions": [{"type": "C"}, {"type": "B", "status": "y"}]}}),
        );
        let types: Vec<_> =
            pod["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["C", "A", "B"]);
        strategic(&resource, &mut pod, &json!({"status": {"conditions": [{"type": "A", "$patch": "delete"}]}}));
        assert_eq!(pod["status"]["conditions"], json!([{"type": "C"}, {"type": "B", "status": "y"}]));
    }
}

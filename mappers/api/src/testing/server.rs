//! Behaviour of an API server, as far as the effects of mappers need it.

use serde_json::{Value, json};

use crate::plan::Payload;

/// The object after a change of it; `None` when it is gone or the patch does not fit.
pub(super) fn change(object: &Value, payload: &Payload) -> Option<Value> {
    let mut changed = object.clone();
    match payload {
        Payload::Create { object, .. } => changed.clone_from(object),
        Payload::Json(ops) => {
            let ops: json_patch::Patch = serde_json::from_value(Value::from(ops.as_slice())).ok()?;
            json_patch::patch(&mut changed, &ops).ok()?;
        }
        Payload::Merge(body) => json_patch::merge(&mut changed, body),
        Payload::Strategic(body) => strategic(&mut changed, body),
        Payload::Delete(_) => return None,
    }
    Some(changed)
}

/// The strategic merge: lists whose elements have a name or a type are merged by it.
fn strategic(target: &mut Value, body: &Value) {
    let Value::Object(members) = body else { return target.clone_from(body) };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, change) in members {
        match change {
            Value::Null => {
                target.as_object_mut().map(|target| target.remove(name));
            }
            Value::Array(items) if !items.is_empty() && items.iter().all(|item| key(item).is_some()) => {
                merge_list(&mut target[name], items);
            }
            change => strategic(&mut target[name], change),
        }
    }
}

fn merge_list(target: &mut Value, items: &[Value]) {
    let mut merged = target.as_array().cloned().unwrap_or_default();
    for item in items {
        let position = merged.iter().position(|other| key(other) == key(item));
        match position {
            Some(position) if item["$patch"] == "delete" => {
                merged.remove(position);
            }
            Some(position) => strategic(&mut merged[position], item),
            None => merged.push(item.clone()),
        }
    }
    *target = Value::Array(merged);
}

fn key(item: &Value) -> Option<&str> {
    item["name"].as_str().or(item["type"].as_str())
}

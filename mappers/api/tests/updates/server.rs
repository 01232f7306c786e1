//! A simulated API server: it applies JSON patches, fills in defaults, and may leave out empty values as the
//! types of Kubernetes with `omitempty` do.

use serde_json::{Value, json};
use tenet_mapper::plan::{Payload, Write};

/// Changes that one server makes to every object that it stores.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Field patterns (`spec`, `ports`, `[]`, `protocol`) and the value that an absent field gets.
    pub defaults: Vec<(Vec<String>, Value)>,
    /// True if zero values without a default are left out.
    pub omits_empty: bool,
}

impl Server {
    /// The object as it is stored.
    pub fn store(&self, mut object: Value) -> Value {
        for (pattern, value) in &self.defaults {
            fill(&mut object, pattern, value);
        }
        if self.omits_empty {
            omit(&mut object, &[], &self.defaults);
        }
        object
    }

    /// Performs a request as the API server does: all of it, and only on the object that it names by UID and version.
    pub fn perform(&self, object: Option<&Value>, write: &Write) -> Value {
        let (mut changed, version) = match (&write.payload, object) {
            (Payload::Create { object, .. }, None) => {
                let mut created = object.clone();
                created["metadata"]["uid"] = json!("uid");
                (created, 1)
            }
            (Payload::Json(ops), Some(object)) => {
                let ops: json_patch::Patch = serde_json::from_value(Value::Array(ops.clone())).expect("a JSON patch");
                let mut patched = object.clone();
                json_patch::patch(&mut patched, &ops).expect("the patch fits the object");
                (patched, version(object) + 1)
            }
            (Payload::Merge(body), Some(object)) => (merge(object, body, write.subresource), version(object) + 1),
            (payload, object) => unreachable!("{payload:?} on {object:?}"),
        };
        if let Some(object) = object {
            for member in ["uid", "resourceVersion"] {
                assert_eq!(
                    changed["metadata"][member], object["metadata"][member],
                    "the server answers with a conflict"
                );
            }
        }
        changed["metadata"]["resourceVersion"] = json!(version.to_string());
        self.store(changed)
    }
}

/// A request to a subresource changes that member alone, and one to the object everything else.
fn merge(object: &Value, body: &Value, subresource: Option<&str>) -> Value {
    let mut merged = object.clone();
    json_patch::merge(&mut merged, body);
    for (name, before) in object.as_object().into_iter().flatten() {
        let is_written = name == "metadata" || subresource.map_or(name != "status", |written| written == name);
        if !is_written {
            merged[name] = before.clone();
        }
    }
    merged
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn fill(value: &mut Value, pattern: &[String], default: &Value) {
    let Some((step, rest)) = pattern.split_first() else { return };
    match (step.as_str(), value) {
        ("[]", Value::Array(items)) => items.iter_mut().for_each(|item| fill(item, rest, default)),
        ("{}", Value::Object(members)) => members.values_mut().for_each(|value| fill(value, rest, default)),
        (name, Value::Object(members)) if rest.is_empty() => {
            members.entry(name.to_owned()).or_insert_with(|| default.clone());
        }
        (name, Value::Object(members)) => {
            if let Some(value) = members.get_mut(name) {
                fill(value, rest, default);
            }
        }
        _ => {}
    }
}

/// A field with a default is a pointer, and so is stored whatever its value.
fn omit(value: &mut Value, at: &[String], defaults: &[(Vec<String>, Value)]) {
    let below = |step: &str| [at, &[step.to_owned()]].concat();
    match value {
        Value::Object(members) => {
            let is_pointer = |name: &str| defaults.iter().any(|(pattern, _)| *pattern == below(name));
            members.retain(|name, value| is_pointer(name) || !is_omitted(value));
            members.iter_mut().for_each(|(name, value)| omit(value, &below(name), defaults));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| omit(item, &below("[]"), defaults)),
        _ => {}
    }
}

/// An empty struct stays: a pointer to it is not nil.
fn is_omitted(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

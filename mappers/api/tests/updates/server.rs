//! A simulated API server: it applies JSON patches, fills in defaults, and may leave out empty values as the
//! types of Kubernetes with `omitempty` do.

use serde_json::Value;

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

    /// Applies a JSON patch as the API server does: all of it or nothing.
    pub fn patch(&self, object: &Value, ops: &[Value]) -> Value {
        let ops: json_patch::Patch = serde_json::from_value(Value::Array(ops.to_vec())).expect("a JSON patch");
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &ops).expect("the patch fits the object");
        self.store(patched)
    }
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

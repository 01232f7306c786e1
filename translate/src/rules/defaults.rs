use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Location;

/// Defaults of an API server, by field pattern.
///
/// Learnt from a dry-run create: every value that the answer has and the request had not
/// is a default, unless admission has added it, which runs the tenant's webhooks too. The managed
/// fields of the answer show that: the server records them before admission. A default is never a reason to
/// refuse, so a newer API server does not stop the objects of a tenant who uses nothing new.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    values: BTreeMap<String, Vec<Value>>,
}

impl Defaults {
    /// Learns from what was sent and what the server made of it.
    pub fn learn(&mut self, sent: &Value, stored: &Value) {
        let managers = stored.pointer("/metadata/managedFields").and_then(Value::as_array);
        let mut managers = managers.into_iter().flatten().filter(|manager| manager.get("subresource").is_none());
        match managers.find_map(|manager| manager.get("fieldsV1")?.as_object()) {
            Some(fields) => self.visit(&Location::ROOT, Some(sent), &managed(stored, fields)),
            // The server does not say which manager has set a field.
            None => self.visit(&Location::ROOT, Some(sent), stored),
        }
    }

    /// Adds what another server, or this one before, is known to fill in.
    pub fn extend(&mut self, other: &Self) {
        for (pattern, values) in &other.values {
            let known = self.values.entry(pattern.clone()).or_default();
            known.extend(values.iter().filter(|value| !known.contains(value)).cloned().collect::<Vec<_>>());
        }
    }

    /// Returns true if `value` at `pattern` is what the server fills in.
    pub fn contains(&self, pattern: &str, value: &Value) -> bool {
        self.values.get(pattern).is_some_and(|known| known.contains(value))
    }

    /// The patterns with a default, sorted.
    pub fn patterns(&self) -> BTreeSet<&str> {
        self.values.keys().map(String::as_str).collect()
    }

    fn visit(&mut self, location: &Location<'_>, sent: Option<&Value>, stored: &Value) {
        match sent {
            None => self.add(location, stored),
            Some(sent) if sent == stored => return,
            Some(_) => {}
        }
        match stored {
            Value::Object(members) => {
                for (name, value) in members {
                    let before = sent.and_then(|sent| sent.get(name));
                    self.visit(&location.field(name), before, value);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    let before = sent.and_then(|sent| sent.get(index));
                    self.visit(&location.element(index), before, value);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, location: &Location<'_>, value: &Value) {
        let known = self.values.entry(location.pattern()).or_default();
        if !known.contains(value) {
            known.push(value.clone());
        }
    }
}

/// Cuts a value down to its managed fields, in the notation of `FieldsV1`. An empty set stands for all of the
/// value.
fn managed(value: &Value, fields: &Map<String, Value>) -> Value {
    if fields.is_empty() {
        return value.clone();
    }
    let below = |fields: &Value, value| managed(value, fields.as_object().unwrap_or(&Map::new()));
    match value {
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), below(fields.get(&format!("f:{name}"))?, value))));
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            let kept = items.iter().filter_map(|item| {
                let (_, fields) = fields.iter().find(|(element, _)| is_element(element, item))?;
                Some(below(fields, item))
            });
            Value::Array(kept.collect())
        }
        other => other.clone(),
    }
}

/// Returns true if a path element of `FieldsV1` names this item of a list: by its keys, or by its value.
fn is_element(element: &str, item: &Value) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    if let Some(Value::Object(keys)) = element.strip_prefix("k:").and_then(parse) {
        return keys.iter().all(|(name, value)| item.get(name) == Some(value));
    }
    element.strip_prefix("v:").and_then(parse).is_some_and(|value| value == *item)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_added_is_a_default() {
        let mut defaults = Defaults::default();
        defaults.learn(
            &json!({"spec": {"containers": [{"name": "c", "probe": {"path": "/"}}]}}),
            &json!({"spec": {"fresh": {"mode": "on"}, "containers": [
                {"name": "c", "probe": {"path": "/", "scheme": "HTTP"}}]}}),
        );
        assert!(defaults.contains("spec.fresh", &json!({"mode": "on"})));
        assert!(defaults.contains("spec.fresh.mode", &json!("on")));
        assert!(defaults.contains("spec.containers[].probe.scheme", &json!("HTTP")));
        assert!(!defaults.contains("spec.containers[].probe.path", &json!("/")));
        assert!(!defaults.contains("spec.fresh.mode", &json!("off")));
    }

    #[test]
    fn what_admission_has_added_is_no_default() {
        let sent = json!({"metadata": {"name": "n"}, "spec": {"containers": [{"name": "c"}], "args": ["a"]}});
        let stored = json!({
            "metadata": {"name": "n", "managedFields": [{"manager": "m", "operation": "Update", "fieldsV1": {
                "f:spec": {
                    "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:pull": {}, "f:context": {".": {}}}},
                    "f:args": {"v:\"a\"": {}},
                    "f:policy": {},
                },
            }}]},
            "spec": {
                "policy": "Always",
                "class": "from a webhook",
                "args": ["injected", "a"],
                "containers": [
                    {"name": "sidecar", "pull": "Never", "privileged": true},
                    {"name": "c", "pull": "Always", "context": {"user": 0}, "token": "t"},
                ],
            },
        });
        let mut defaults = Defaults::default();
        defaults.learn(&sent, &stored);
        let patterns = ["spec.containers[].context", "spec.containers[].pull", "spec.policy"];
        assert_eq!(defaults.patterns(), BTreeSet::from(patterns));
        assert!(defaults.contains("spec.containers[].pull", &json!("Always")));
        assert!(defaults.contains("spec.containers[].context", &json!({})));
    }

    #[test]
    fn what_was_a_default_before_stays_one() {
        let learnt = |value: &str| {
            let mut defaults = Defaults::default();
            defaults.learn(&json!({"spec": {}}), &json!({"spec": {"mode": value}}));
            defaults
        };
        let mut defaults = learnt("old");
        defaults.extend(&learnt("new"));
        defaults.extend(&learnt("new"));
        assert!(defaults.contains("spec.mode", &json!("old")) && defaults.contains("spec.mode", &json!("new")));
        assert_eq!(defaults.values["spec.mode"].len(), 2);
    }
}

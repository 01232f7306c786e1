use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::path::Location;

/// Defaults of an API server, by field pattern.
///
/// Learnt from a dry-run create: every value that the answer has and the request had not
/// is a default. A default is never a reason to refuse, so a newer API server does not
/// stop the objects of a tenant who uses nothing new.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    values: BTreeMap<String, Vec<Value>>,
}

impl Defaults {
    /// Learns from what was sent and what the server made of it.
    pub fn learn(&mut self, sent: &Value, stored: &Value) {
        self.visit(&Location::default(), Some(sent), stored);
    }

    /// Returns true if `value` at `pattern` is what the server fills in.
    pub fn contains(&self, pattern: &str, value: &Value) -> bool {
        self.values.get(pattern).is_some_and(|known| known.contains(value))
    }

    /// The patterns with a default, sorted.
    pub fn patterns(&self) -> BTreeSet<&str> {
        self.values.keys().map(String::as_str).collect()
    }

    fn visit(&mut self, location: &Location, sent: Option<&Value>, stored: &Value) {
        if sent.is_none() {
            self.add(location, stored);
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

    fn add(&mut self, location: &Location, value: &Value) {
        let known = self.values.entry(location.pattern().to_owned()).or_default();
        if !known.contains(value) {
            known.push(value.clone());
        }
    }
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
}

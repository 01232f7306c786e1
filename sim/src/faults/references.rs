//! References of pods to content.

use serde_json::Value;

/// Reference of a pod to a `ConfigMap` or a `Secret`.
pub(super) struct Reference {
    /// `ConfigMap` or `Secret`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) is_optional: bool,
}

impl Reference {
    /// Returns the name of the collection.
    pub(super) fn resource(&self) -> &'static str {
        if self.kind == "ConfigMap" { "configmaps" } else { "secrets" }
    }
}

/// Collects the references in a part of a pod.
pub(super) fn references(part: &Value, found: &mut Vec<Reference>) {
    match part {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let kind = match key.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => Some("ConfigMap"),
                    "secret" | "secretRef" | "secretKeyRef" => Some("Secret"),
                    _ => None,
                };
                let name = value["secretName"].as_str().or_else(|| value["name"].as_str());
                if let (Some(kind), Some(name)) = (kind, name) {
                    found.push(Reference { kind, name: name.to_owned(), is_optional: value["optional"] == true });
                }
                references(value, found);
            }
        }
        _ => {}
    }
}

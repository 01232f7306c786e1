//! Keys of a cache.

use std::sync::Arc;

use serde_json::Value;
use tenet_mapper::ObjectRef;

/// Namespace and name of an object, on either side.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    /// The namespace; empty for a cluster-scoped object.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Returns the namespace and name of an object.
    pub fn of(object: &Value) -> Self {
        let text = |member: &str| {
            object.get("metadata").and_then(|metadata| metadata.get(member)).and_then(Value::as_str).unwrap_or_default()
        };
        Self::new(text("namespace"), text("name"))
    }

    /// Namespace and name from two texts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: Arc::from(namespace), name: Arc::from(name) }
    }
}

impl From<&ObjectRef> for NamespacedName {
    fn from(object: &ObjectRef) -> Self {
        Self { namespace: Arc::clone(&object.namespace), name: Arc::clone(&object.name) }
    }
}

//! Stored objects, whose JSON text is made at most once.

use std::ops::Deref;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// One version of a stored object.
#[derive(Debug)]
pub struct Object {
    value: Value,
    version: u64,
    text: OnceLock<Bytes>,
    item: OnceLock<Bytes>,
    metadata: OnceLock<Bytes>,
}

impl Object {
    /// An object as it is stored at `version`.
    pub(super) fn new(mut value: Value, version: u64) -> Self {
        value["metadata"]["resourceVersion"] = Value::String(version.to_string());
        Self { value, version, text: OnceLock::new(), item: OnceLock::new(), metadata: OnceLock::new() }
    }

    /// The object itself.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The resource version at which it was stored.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.metadata_text("uid")
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata_text("name")
    }

    /// `metadata.namespace`; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        self.metadata_text("namespace")
    }

    /// Returns true if a delete was requested and has not finished.
    pub fn is_deleting(&self) -> bool {
        self.value["metadata"].get("deletionTimestamp").is_some()
    }

    fn metadata_text(&self, member: &str) -> &str {
        self.value["metadata"][member].as_str().unwrap_or_default()
    }

    /// The JSON text.
    pub(super) fn text(&self) -> Bytes {
        self.text.get_or_init(|| bytes_of(&self.value)).clone()
    }

    /// The JSON text as an item of a list: without kind and API version.
    pub(super) fn item_text(&self) -> Bytes {
        self.item
            .get_or_init(|| {
                let members = self.value.as_object().into_iter().flatten();
                let rest: Map<_, _> = members
                    .filter(|(name, _)| *name != "kind" && *name != "apiVersion")
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                bytes_of(&Value::Object(rest))
            })
            .clone()
    }

    /// The JSON text of a `PartialObjectMetadata`.
    pub(super) fn metadata_only_text(&self) -> Bytes {
        self.metadata.get_or_init(|| bytes_of(&partial_metadata(&self.value))).clone()
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// The `PartialObjectMetadata` of an object.
pub(super) fn partial_metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// The JSON text of a value.
pub(super) fn bytes_of(value: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

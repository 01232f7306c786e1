use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tenet_translate::pointer;

/// One object of either cluster, as the caches hold it: pruned, never decoded into a
/// type, so that unknown fields survive. Cheap to clone.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::Object;
///
/// let pod = Object::new(json!({"metadata": {"name": "web"}, "spec": {"nodeName": "node-1", "volumes": [{}]}}));
/// assert_eq!((pod.name(), pod.str_at("/spec/nodeName")), ("web", Some("node-1")));
/// assert_eq!((pod.list_at("/spec/volumes").len(), pod.is_deleting()), (1, false));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Arc<Value>);

impl Object {
    /// Wraps the JSON of an object.
    pub fn new(value: Value) -> Self {
        Self(Arc::new(value))
    }

    /// The whole JSON.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The value at a JSON pointer: `/spec/nodeName`.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        pointer::get(&self.0, pointer)
    }

    /// The string at a JSON pointer; `None` also when it is empty.
    pub fn str_at(&self, pointer: &str) -> Option<&str> {
        self.at(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The elements of the list at a JSON pointer; none when there is no list.
    pub fn list_at(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Decodes the part at a JSON pointer.
    pub fn decode_at<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        self.at(pointer).and_then(|value| T::deserialize(value).ok())
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.str_at("/metadata/name").unwrap_or_default()
    }

    /// `metadata.namespace`; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        self.str_at("/metadata/namespace").unwrap_or_default()
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.str_at("/metadata/uid").unwrap_or_default()
    }

    /// `metadata.resourceVersion`.
    pub fn resource_version(&self) -> &str {
        self.str_at("/metadata/resourceVersion").unwrap_or_default()
    }

    /// Returns true if the API server has accepted a delete of it.
    pub fn is_deleting(&self) -> bool {
        self.str_at("/metadata/deletionTimestamp").is_some()
    }

    /// Returns true if the API server is deleting it and no finalizer holds it. One that a finalizer holds works as before
    /// until it is gone: a kubelet mounts it, a Service has its address.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::Object;
    ///
    /// let held = json!({"deletionTimestamp": "2027-01-15T08:00:00Z", "finalizers": ["example.com/hold"]});
    /// assert!(!Object::new(json!({"metadata": held})).is_ending());
    /// ```
    pub fn is_ending(&self) -> bool {
        self.is_deleting() && self.list_at("/metadata/finalizers").is_empty()
    }

    /// The grace period of its delete, in seconds.
    pub fn deletion_grace(&self) -> Option<i64> {
        self.at("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64)
    }

    /// The label of this key.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.member("labels", key)
    }

    /// The annotation of this key.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.member("annotations", key)
    }

    /// All labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.decode_at("/metadata/labels").unwrap_or_default()
    }

    /// All annotations.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.decode_at("/metadata/annotations").unwrap_or_default()
    }

    fn member(&self, map: &str, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get(map)?.get(key)?.as_str()
    }
}

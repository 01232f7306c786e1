//! Objects of a test, with what an API server would make up.

use serde_json::Value;
use tenet_translate::GroupKind;
use tenet_translate::keys::{CHECKSUM, CLUSTER, KIND, NAME, NAMESPACE, UID};
use tenet_translate::owner::OwnerRecord;

use super::Clusters;
use crate::{HostKey, Kind, Object, Side};

impl Clusters {
    /// Adds objects to one side: YAML documents, or JSON. Missing UIDs, resource
    /// versions and checksums of owner records are made up.
    ///
    /// # Panics
    /// Panics when the text is no YAML: a test has no better use for it.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{Side, kinds};
    ///
    /// const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}}";
    /// let clusters = Clusters::default().with(Side::Virtual, POD);
    /// assert_eq!(clusters.object(Side::Virtual, kinds::POD, "shop", "web").unwrap().uid(), "uid-virtual-shop-web");
    /// ```
    #[must_use]
    #[allow(clippy::panic)] // A test kit fails tests.
    pub fn with(mut self, side: Side, documents: &str) -> Self {
        for document in documents.split("\n---") {
            let value: Value = serde_saphyr::from_str(document)
                .unwrap_or_else(|error| panic!("the fixture is no YAML: {error}\n{document}"));
            if !value.is_null() {
                self.put(side, value);
            }
        }
        self
    }

    /// Adds or replaces one object. Without a resource version it gets one that no earlier state of the object had, as
    /// from an API server.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{Side, kinds};
    ///
    /// let mut clusters = Clusters::default();
    /// clusters.put(Side::Host, json!({"kind": "Node", "metadata": {"name": "node-1"}}));
    /// assert!(clusters.object(Side::Host, kinds::NODE, "", "node-1").is_some());
    /// ```
    pub fn put(&mut self, side: Side, mut value: Value) {
        let text = |value: &Value, member: &str| value["metadata"][member].as_str().unwrap_or_default().to_owned();
        let (kind, namespace, name) = (kind_of(&value), text(&value, "namespace"), text(&value, "name"));
        let object_key = (side, kind, namespace.clone(), name.clone());
        let version = self.objects.get(&object_key).and_then(|found| found.resource_version().parse::<u64>().ok());
        let version = version.unwrap_or_default() + 1;
        for (member, made_up) in
            [("uid", format!("uid-{side}-{namespace}-{name}")), ("resourceVersion", version.to_string())]
        {
            if text(&value, member).is_empty() {
                value["metadata"][member] = Value::String(made_up);
            }
        }
        if side == Side::Host {
            seal(&mut value);
        }
        self.objects.insert(object_key, Object::new(value));
    }

    /// Removes a host object and keeps its last state, as the engine does.
    pub fn vanish(&mut self, kind: Kind, key: &HostKey) {
        let object_key = (Side::Host, kind.group_kind(), key.namespace().to_owned(), key.name().to_owned());
        if let Some(object) = self.objects.remove(&object_key) {
            self.gone.insert((kind.group_kind(), key.clone()), object);
        }
    }
}

/// The kind that a fixture names: text of the test, so it may be interned.
fn kind_of(object: &Value) -> GroupKind {
    let text = |member: &str| object[member].as_str().unwrap_or_default();
    let (group, _) = text("apiVersion").split_once('/').unwrap_or_default();
    GroupKind::intern(group, text("kind"))
}

/// Adds the checksum to an owner record that lacks it.
fn seal(host: &mut Value) {
    let metadata = &host["metadata"];
    let text = |key: &str| metadata["annotations"][key].as_str().unwrap_or_default().to_owned();
    let Some(kind) = GroupKind::lookup(&text(KIND)).filter(|_| text(CHECKSUM).is_empty()) else { return };
    let record =
        OwnerRecord { cluster: text(CLUSTER), kind, namespace: text(NAMESPACE), name: text(NAME), uid: text(UID) };
    let own = |member: &str| metadata[member].as_str().unwrap_or_default();
    let mut sealed = record.annotations(own("namespace"), own("name"));
    if let Some(checksum) = sealed.remove(CHECKSUM) {
        host["metadata"]["annotations"][CHECKSUM] = checksum;
    }
}

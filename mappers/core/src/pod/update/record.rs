use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenet_mapper::Object;
use tenet_mapper::keys::FOLLOWED;
use tenet_mapper::translate::digest::digest;

use crate::pod::{Subject, namespaces, tenant_nodes};

/// Length that is enough to tell one value of a field from the next.
const DIGEST: usize = 16;

/// Values of the tenant's mutable fields when they last crossed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::pod) struct Record {
    /// The image of each container.
    pub(super) images: BTreeMap<String, String>,
    /// A digest of the resources of each container that has any; those of the pod have no
    /// name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) resources: BTreeMap<String, String>,
    /// A digest of the tolerations.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) tolerations: String,
    /// The deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<i64>,
    /// A digest of the namespaces that the affinity selects by their labels.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespaces: String,
    /// A digest of where the Nodes inside let the pod run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::pod) placement: String,
}

impl Record {
    /// Returns the record of the present fields.
    pub(in crate::pod) fn of(virt: &Object) -> Self {
        let mut record = Self {
            tolerations: short(virt.at("/spec/tolerations")),
            deadline: virt.at("/spec/activeDeadlineSeconds").and_then(Value::as_i64),
            ..Self::default()
        };
        let name = |element: &Value| element["name"].as_str().unwrap_or_default().to_owned();
        for container in ["initContainers", "containers"].iter().flat_map(|list| virt.list_at(&format!("/spec/{list}")))
        {
            let image = container["image"].as_str().unwrap_or_default();
            record.images.insert(name(container), image.to_owned());
            record.note_resources(name(container), container.get("resources"));
        }
        record.note_resources(String::new(), virt.at("/spec/resources"));
        record
    }

    /// Adds the namespaces that the affinity selects now.
    pub(in crate::pod) fn with_namespaces(mut self, pod: &Subject<'_, '_>) -> Self {
        self.namespaces = namespaces::selected(pod);
        self.namespaces.truncate(DIGEST);
        self
    }

    /// Adds where the Nodes inside let the pod run now.
    pub(in crate::pod) fn with_placement(self, pod: &Subject<'_, '_>) -> Self {
        Self { placement: tenant_nodes::placement(pod), ..self }
    }

    /// Reads the record on the host pod.
    pub(in crate::pod) fn on(host: &Object) -> Self {
        host.annotation(FOLLOWED).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Returns the text that is stored on the host pod.
    pub(in crate::pod) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn note_resources(&mut self, name: String, resources: Option<&Value>) {
        let digest = short(resources);
        if !digest.is_empty() {
            self.resources.insert(name, digest);
        }
    }
}

/// A short digest; empty when there is nothing.
fn short(value: Option<&Value>) -> String {
    let is_empty = |value: &Value| match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        value => value.is_null(),
    };
    let mut digest = value.filter(|value| !is_empty(value)).map(digest).unwrap_or_default();
    digest.truncate(DIGEST);
    digest
}

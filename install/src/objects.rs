//! Objects of an installation, as a pure function of its values.

mod access;
mod control_plane;
mod distro;
mod monitoring;
mod network;
mod programs;
mod stateful_set;
mod syncer_config;

use serde_json::{Value, json};

use crate::names::{CONTROL_PLANE_NAMESPACE, labels};
use crate::values::Values;

pub use access::{Rights, RightsError};
pub use monitoring::{ALERTS, DASHBOARD};
pub use programs::HOST_ONLY;
pub use syncer_config::text as syncer_config;

/// Virtual cluster to install.
#[derive(Clone, Copy, Debug)]
pub struct Installation<'a> {
    /// Name of the virtual cluster.
    pub name: &'a str,
    /// Host namespace of the control plane.
    pub namespace: &'a str,
    /// Values.
    pub values: &'a Values,
    /// Rights that the syncer needs with its configuration.
    pub rights: &'a Rights,
}

impl Installation<'_> {
    /// Returns the host namespace of the tenant's objects, if it is not that of the control plane.
    fn workload_namespace(&self) -> Option<&str> {
        self.values.workload_namespace(self.namespace)
    }
}

/// Returns all objects, in the order in which they are created: the StatefulSet is the last.
pub fn objects(installation: &Installation<'_>) -> Vec<Value> {
    let mut all = access::objects(installation);
    all.push(syncer_config::object(installation));
    all.extend(network::objects(installation));
    all.extend(monitoring::objects(installation));
    all.push(stateful_set::object(installation));
    all
}

/// Returns `metadata` of an object in the namespace of the control plane.
fn metadata(installation: &Installation<'_>, name: &str) -> Value {
    json!({"name": name, "namespace": installation.namespace, "labels": labels(installation.name)})
}

/// Returns `metadata` of an object in the namespace of the tenant's objects. Where that is another one, a label names
/// the namespace of the control plane: two virtual clusters of one name must not share these objects.
fn workload_metadata(installation: &Installation<'_>, name: &str) -> Value {
    let mut metadata = metadata(installation, name);
    if let Some(namespace) = installation.workload_namespace() {
        metadata["namespace"] = json!(namespace);
        metadata["labels"][CONTROL_PLANE_NAMESPACE] = json!(installation.namespace);
    }
    metadata
}

/// Returns `metadata` of a Role in a namespace of others, from that of the generated one. A label names the namespace of
/// the control plane.
fn elsewhere_metadata(installation: &Installation<'_>, role: &Value) -> Value {
    let mut metadata = metadata(installation, role["name"].as_str().unwrap_or_default());
    metadata["namespace"] = role["namespace"].clone();
    metadata["labels"][CONTROL_PLANE_NAMESPACE] = json!(installation.namespace);
    metadata
}

#[cfg(test)]
mod tests;

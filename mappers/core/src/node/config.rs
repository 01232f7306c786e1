//! The section `nodes` of the configuration.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_mapper::Object;
use tenet_mapper::format::QuantityText;
use tenet_mapper::translate::Quantity;

/// Source of the pictures of nodes that the tenant sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeSource {
    /// The host's nodes if the syncer may read them, else synthetic ones.
    #[default]
    Auto,
    /// The host's nodes, which takes a `ClusterRole` that may read them.
    Host,
    /// Made from the pods on a node, with the capacity given here.
    Synthetic,
}

/// The nodes that the tenant sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Nodes {
    /// Source of the pictures of nodes.
    pub source: NodeSource,
    /// Capacity of each synthetic node.
    pub capacity: Capacity,
    /// Nodes of the host that are shown although no pod of the tenant is on them, which takes the right to read nodes.
    /// Absent: none.
    pub always: Option<Always>,
    /// Lets tenants label, taint and cordon their Nodes, for their own pods alone. Otherwise such a change is refused.
    pub tenant_scheduling: bool,
}

/// Choice of the nodes that are shown in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Always {
    /// Labels of these nodes. Empty: all nodes.
    pub labels: BTreeMap<String, String>,
    /// Number of nodes that are shown, the first by name. Each has a Service for its kubelet.
    pub limit: NonZeroU16,
}

impl Always {
    /// Returns true if a node of the host has the labels.
    pub(super) fn selects(&self, node: &Object) -> bool {
        self.labels.iter().all(|(key, value)| node.label(key) == Some(value))
    }
}

impl Default for Always {
    fn default() -> Self {
        Self { labels: BTreeMap::new(), limit: NonZeroU16::MIN.saturating_add(99) }
    }
}

/// Capacity of a synthetic node, as Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Capacity {
    /// CPUs, such as `16` or `3500m`.
    #[schemars(with = "QuantityText")]
    pub cpu: Quantity,
    /// Memory in bytes, such as `64Gi`.
    #[schemars(with = "QuantityText")]
    pub memory: Quantity,
    /// Local storage in bytes, such as `100Gi`.
    #[schemars(with = "QuantityText")]
    pub ephemeral_storage: Quantity,
    /// Number of pods that fit on the node.
    #[schemars(with = "QuantityText")]
    pub pods: Quantity,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            cpu: Quantity::of_units(16),
            memory: Quantity::of_gibi(64),
            ephemeral_storage: Quantity::of_gibi(100),
            pods: Quantity::of_units(110),
        }
    }
}

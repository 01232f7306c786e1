//! The section `nodes` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
    /// Lets tenants label, taint and cordon their Nodes, for their own pods alone. Otherwise such a change is refused.
    pub tenant_scheduling: bool,
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

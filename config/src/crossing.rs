//! What crosses between the clusters, and what the tenant gets to see.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Quantity, ServiceRef};
use tenet_translate::format::{AnnotationGlob, DnsSubdomain, FieldPath, IpAddress, QuantityText, ServiceRefText};

/// How host objects are named. It cannot change once something was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// `nginx-x-default-x-vc-1` where that form fits and can be read back, else a readable prefix and 128 bits of hash.
    #[default]
    Tenet,
    /// The scheme of vcluster, for a cluster that moves over.
    Vcluster,
}

/// What happens to an object with a field that the rule table of its kind does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownFields {
    /// The object stays in the virtual cluster, with an event that names the field.
    #[default]
    Refuse,
    /// The object crosses without the field.
    Drop,
}

/// Which annotations of the tenant cross to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Annotations {
    /// Globs of annotation keys; `*` stands for any run of characters, a slash included. Keys under `tenet.sh/`
    /// never cross, whatever is allowed here.
    #[schemars(with = "Vec<AnnotationGlob>")]
    pub allow: Vec<String>,
}

/// What tenant pods may use on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Pods {
    /// ServiceAccount in the host namespace that tenant pods run as. It should have no rights: pods get their tokens
    /// from the virtual cluster.
    #[schemars(with = "DnsSubdomain")]
    pub service_account: String,
    /// Field paths that the rule table of pods refuses and that this installation permits, such as `spec.hostNetwork`
    /// or `spec.volumes[].hostPath`.
    #[schemars(with = "Vec<FieldPath>")]
    pub allow: Vec<String>,
    /// Names of host `PriorityClass`es that tenant pods may use.
    #[schemars(with = "Vec<DnsSubdomain>")]
    pub priority_classes: Vec<String>,
}

impl Default for Pods {
    fn default() -> Self {
        Self { service_account: "default".to_owned(), allow: Vec::new(), priority_classes: Vec::new() }
    }
}

/// The DNS that tenant pods see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Dns {
    /// Domain of the virtual cluster, without a leading dot.
    #[schemars(with = "DnsSubdomain")]
    pub cluster_domain: String,
    /// The virtual Service, as `namespace/name`, whose ClusterIP is the nameserver of the pods.
    #[schemars(with = "ServiceRefText")]
    pub service: ServiceRef,
    /// Nameserver of the pods while that Service does not exist.
    #[schemars(with = "Option<IpAddress>")]
    pub address: Option<IpAddr>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            cluster_domain: "cluster.local".to_owned(),
            service: ServiceRef::new("kube-system", "kube-dns"),
            address: None,
        }
    }
}

/// Where the pictures of nodes that the tenant sees come from.
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
    /// Where the pictures of nodes come from.
    pub source: NodeSource,
    /// Capacity of each synthetic node.
    pub capacity: Capacity,
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
    /// How many pods fit on the node.
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

//! The sections `pods` and `dns` of the configuration.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_mapper::format::{DnsSubdomain, FieldPath, IpAddress, ServiceRefText};
use tenet_mapper::translate::ServiceRef;

/// Settings for tenant pods on the host.
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

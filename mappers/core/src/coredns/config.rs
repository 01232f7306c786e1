//! The section `coredns` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_mapper::format::Text;

/// The DNS server that the syncer deploys in the virtual cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CoreDns {
    /// False leaves the DNS server to the tenant. Objects that are there stay.
    pub enabled: bool,
    /// Image of CoreDNS.
    #[schemars(with = "Text")]
    pub image: String,
    /// Number of replicas. Absent: 1 at first, and then the number that the tenant sets.
    pub replicas: Option<u16>,
    /// Corefile, with the port 1053. Absent: the built-in one, until the tenant changes it.
    #[schemars(with = "Option<Text>")]
    pub corefile: Option<String>,
}

impl Default for CoreDns {
    fn default() -> Self {
        Self {
            enabled: true,
            // The version that kubeadm 1.37 deploys.
            image: "registry.k8s.io/coredns/coredns:v1.14.6".to_owned(),
            replicas: None,
            corefile: None,
        }
    }
}

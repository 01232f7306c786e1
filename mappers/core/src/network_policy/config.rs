//! The section `networkPolicies` of the configuration.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rules of NetworkPolicies that reach beyond the virtual cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NetworkPolicies {
    /// Ranges of addresses that an `ipBlock` must lie in. `0.0.0.0/0` and `::/0` allow every block.
    #[schemars(with = "Vec<String>")]
    pub allow_ip_blocks: Vec<IpNet>,
    /// Allows rules without peers, which mean all addresses.
    pub allow_any_peer: bool,
}

impl NetworkPolicies {
    /// Returns true if policies may name a block of addresses.
    pub(super) fn allows(&self, block: &Value) -> bool {
        let range = block["cidr"].as_str().and_then(|range| range.parse::<IpNet>().ok());
        range.is_some_and(|range| self.allow_ip_blocks.iter().any(|allowed| allowed.contains(&range)))
    }
}

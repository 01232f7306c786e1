//! Addresses that the endpoints of a tenant may not lead to. A Service of the host sends traffic to its endpoints past
//! network policies and with the address of a node, so it could reach what the pods of the tenant cannot
//! (CVE-2021-25740, CVE-2021-25737).

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenet_mapper::Context;

use crate::service::ranges;

/// Ranges of addresses that are not those of a pod or of a server: unspecified, loopback, link-local, multicast,
/// reserved.
const SPECIAL: [&str; 10] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b::a9fe:0/112",
    "fe80::/10",
    "ff00::/8",
];

/// Addresses at which clouds hand out the credentials of a node, beside link-local ones: Alibaba, Azure, Oracle, AWS.
const METADATA: [&str; 4] = ["100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128"];

/// Addresses that the EndpointSlices of a tenant may lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EndpointSlices {
    /// Ranges of addresses that are left out, beside loopback, link-local, multicast and service addresses.
    #[schemars(with = "Vec<String>")]
    pub refuse: Vec<IpNet>,
    /// Ranges of addresses that cross although another rule leaves them out.
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<IpNet>,
}

impl Default for EndpointSlices {
    fn default() -> Self {
        Self { refuse: parsed(METADATA).collect(), allow: Vec::new() }
    }
}

/// The ranges that hold for one reconcile, read once for all of its addresses.
pub(super) struct Ranges {
    section: Arc<EndpointSlices>,
    special: Vec<IpNet>,
    services: Vec<IpNet>,
}

impl Ranges {
    /// Reads the configuration and the service ranges of the virtual API server.
    pub(super) fn read(cx: &Context<'_>) -> Self {
        let services = ranges::all(cx);
        Self {
            section: cx.section(),
            special: parsed(SPECIAL).collect(),
            services: parsed(services.iter().map(String::as_str)).collect(),
        }
    }

    /// Returns the reason why an address may not cross.
    pub(super) fn refusal(&self, address: &Value) -> Option<String> {
        let Ok(address) = address.as_str().unwrap_or_default().parse::<IpAddr>().map(|address| address.to_canonical())
        else {
            return Some("is not an IP address".to_owned());
        };
        let containing = |ranges: &[IpNet]| ranges.iter().find(|range| range.contains(&address)).copied();
        if containing(&self.section.allow).is_some() {
            return None;
        }
        if let Some(range) = containing(&self.special) {
            return Some(format!("lies in {range}, which is not for servers"));
        }
        if let Some(range) = containing(&self.services) {
            return Some(format!("lies in {range}, the range of Services"));
        }
        let refused = containing(&self.section.refuse)?;
        Some(format!("lies in {refused}, which endpointSlices.refuse names"))
    }
}

fn parsed<'t>(ranges: impl IntoIterator<Item = &'t str>) -> impl Iterator<Item = IpNet> {
    ranges.into_iter().filter_map(|range| range.parse().ok())
}

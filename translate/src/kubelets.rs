//! Addresses of the kubelets of virtual nodes. Every node needs an address of its own, because a
//! request to a kubelet does not name the node.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest;

/// Loopback network 127.64.0.0/10, which only these addresses use.
const LOOPBACK: u32 = 0x7f40_0000;
const LOOPBACK_BITS: u32 = 22;
/// Lowest port behind the Services of nodes.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;

/// Address at which the virtual API server finds the kubelet of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeAddresses {
    /// At a host Service of its own, named VC-node-NODE.
    #[default]
    Service,
    /// At a loopback address of its own: for an API server that shares the syncer's network.
    Loopback,
}

/// Returns the loopback addresses that a node may use, in order of preference. The address in use is stored
/// in the virtual Node; when the preferred one is taken, the node uses the next.
pub fn loopbacks(cluster: &str, node: &str) -> impl Iterator<Item = Ipv4Addr> {
    let start = number(cluster, node);
    (0..1 << LOOPBACK_BITS).map(move |step: u32| start.wrapping_add(step)).filter_map(|number| {
        let host = number & ((1 << LOOPBACK_BITS) - 1);
        // Skip the first and last address of each 256, which look like network and broadcast addresses.
        (!matches!(host & 0xff, 0 | 0xff)).then(|| Ipv4Addr::from(LOOPBACK | host))
    })
}

/// Returns true if the address belongs to the network of the nodes.
pub fn is_loopback_of_node(address: Ipv4Addr) -> bool {
    u32::from(address) >> LOOPBACK_BITS == LOOPBACK >> LOOPBACK_BITS
}

/// Returns the ports that a node may use behind its Service, in order of preference.
pub fn ports(cluster: &str, node: &str) -> impl Iterator<Item = u16> {
    let start = number(cluster, node) % u32::from(PORTS);
    (0..u32::from(PORTS))
        .filter_map(move |step| u16::try_from((start + step) % u32::from(PORTS)).ok())
        .map(|at| FIRST_PORT + at)
}

/// Returns true if the port belongs to the range of the nodes.
pub fn is_port_of_node(port: u16) -> bool {
    (FIRST_PORT..FIRST_PORT + PORTS).contains(&port)
}

fn number(cluster: &str, node: &str) -> u32 {
    let hash = digest::of_parts("kubelet", &[cluster, node]);
    hash.bytes().fold(0_u32, |number, byte| number.wrapping_mul(31).wrapping_add(u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn addresses_and_ports_stay_in_their_range_and_do_not_repeat() {
        let addresses: Vec<_> = loopbacks("vc-1", "worker-1").take(2000).collect();
        assert!(addresses.iter().all(|address| address.is_loopback() && is_loopback_of_node(*address)));
        assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), 2000);
        assert!(!is_loopback_of_node(Ipv4Addr::LOCALHOST) && !is_loopback_of_node(Ipv4Addr::new(127, 128, 0, 1)));
        let ports: Vec<_> = ports("vc-1", "worker-1").collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), usize::from(PORTS));
        assert!(ports.iter().all(|port| is_port_of_node(*port)));
        assert_ne!(loopbacks("vc-1", "worker-1").next(), loopbacks("vc-1", "worker-2").next());
    }
}

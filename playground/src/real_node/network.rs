//! Network of a real node: that of this machine, with a bridge for the pods, or one of its own.

use std::path::{Path, PathBuf};

use super::{RealNodeError, files, machine};

/// File that holds the address of the node.
pub(super) const ADDRESS: &str = "address";

/// File that holds the name of the link of the node on this machine, for the cleanup.
pub(super) const NAME: &str = "bridge";

/// Network of a node.
#[derive(Clone, Debug)]
pub(super) struct NodeNetwork {
    /// Name of the link of the node on this machine, and of its cgroup.
    pub(super) name: String,
    /// Address of the node; a kubelet refuses loopback addresses.
    pub(super) address: String,
    /// Addresses of the pods.
    pub(super) subnet: String,
    /// Present if the node has a network namespace of its own, in which Services are reachable.
    pub(super) own: Option<OwnNamespace>,
}

/// Network namespace of a node.
#[derive(Clone, Debug)]
pub(super) struct OwnNamespace {
    /// Path that keeps the namespace.
    pub(super) path: PathBuf,
    /// Address at which the node reaches this machine.
    pub(super) machine: String,
}

impl NodeNetwork {
    /// Creates a bridge on this machine with the addresses `10.247.N.0/24`.
    pub(super) fn on_this_machine(dir: &Path) -> Result<Self, RealNodeError> {
        let (number, name) = create_bridge(dir)?;
        let address = format!("10.247.{number}.1");
        files::write(&dir.join(ADDRESS), &address)?;
        set_up(&name, &address)?;
        Ok(Self { name, address, subnet: format!("10.247.{number}.0/24"), own: None })
    }
}

/// Creates a bridge. Name and addresses share one number, so a second network on the machine takes the next.
pub(super) fn create_bridge(dir: &Path) -> Result<(u8, String), RealNodeError> {
    let mut refusal = String::new();
    for number in 1..=250 {
        let name = format!("tenet{number}");
        match machine::run("ip", ["link", "add", &name, "type", "bridge"]) {
            Ok(()) => {
                files::write(&dir.join(NAME), &name)?;
                return Ok((number, name));
            }
            Err(why) => refusal = why,
        }
        if !refusal.contains("File exists") {
            break;
        }
    }
    Err(RealNodeError::Machine(format!("cannot create a bridge: {}", refusal.trim())))
}

/// Gives a bridge its address.
pub(super) fn set_up(bridge: &str, address: &str) -> Result<(), RealNodeError> {
    machine::run("ip", ["address", "add", &format!("{address}/24"), "dev", bridge])
        .and_then(|()| machine::run("ip", ["link", "set", bridge, "up"]))
        .map_err(|why| RealNodeError::Machine(format!("cannot set up the bridge: {}", why.trim())))
}

//! Bridge of the pods of a real node.

use std::path::Path;

use super::{RealNodeError, files, machine};

/// File that holds the address of the node.
pub(super) const ADDRESS: &str = "address";

/// File that holds the name of the bridge, for the cleanup.
pub(super) const NAME: &str = "bridge";

/// Bridge with the addresses `10.247.N.0/24`.
pub(super) struct Bridge {
    pub(super) name: String,
    /// Address of the node; a kubelet refuses loopback addresses.
    pub(super) address: String,
    pub(super) subnet: String,
}

impl Bridge {
    /// Creates a bridge. Name and addresses share one number, so a second node on the machine takes the next.
    pub(super) fn create(dir: &Path) -> Result<Self, RealNodeError> {
        let mut refusal = String::new();
        for number in 1..=250 {
            let bridge = Self {
                name: format!("tenet{number}"),
                address: format!("10.247.{number}.1"),
                subnet: format!("10.247.{number}.0/24"),
            };
            match machine::run("ip", ["link", "add", &bridge.name, "type", "bridge"]) {
                Ok(()) => return bridge.set_up(dir),
                Err(why) => refusal = why,
            }
            if !refusal.contains("File exists") {
                break;
            }
        }
        Err(RealNodeError::Machine(format!("cannot create a bridge: {}", refusal.trim())))
    }

    fn set_up(self, dir: &Path) -> Result<Self, RealNodeError> {
        files::write(&dir.join(NAME), &self.name)?;
        files::write(&dir.join(ADDRESS), &self.address)?;
        machine::run("ip", ["address", "add", &format!("{}/24", self.address), "dev", &self.name])
            .and_then(|()| machine::run("ip", ["link", "set", &self.name, "up"]))
            .map_err(|why| RealNodeError::Machine(format!("cannot set up the bridge: {}", why.trim())))?;
        Ok(self)
    }
}

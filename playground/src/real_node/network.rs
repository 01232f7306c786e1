//! The bridge that the pods of a real node hang on.

use std::path::Path;

use super::{RealNodeError, files, machine};

/// The file that holds the address of the node.
pub(super) const ADDRESS: &str = "address";

/// The file that holds the name of the bridge: what is to be undone.
pub(super) const NAME: &str = "bridge";

/// A bridge, and with it the addresses `10.247.N.0/24`.
pub(super) struct Bridge {
    pub(super) name: String,
    /// The address of the node: a kubelet refuses loopback.
    pub(super) address: String,
    pub(super) subnet: String,
}

impl Bridge {
    /// Names and addresses go together, so that of two nodes on a machine the second takes the next.
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
        Err(RealNodeError::Machine(format!("a bridge cannot be created: {}", refusal.trim())))
    }

    fn set_up(self, dir: &Path) -> Result<Self, RealNodeError> {
        files::write(&dir.join(NAME), &self.name)?;
        files::write(&dir.join(ADDRESS), &self.address)?;
        machine::run("ip", ["address", "add", &format!("{}/24", self.address), "dev", &self.name])
            .and_then(|()| machine::run("ip", ["link", "set", &self.name, "up"]))
            .map_err(|why| RealNodeError::Machine(format!("the bridge cannot be set up: {}", why.trim())))?;
        Ok(self)
    }
}

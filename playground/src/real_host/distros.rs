//! Programs of k3s and k0s. No module registry has them, so they are given.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::component::Component;

/// Program that is a whole control plane, in a file of this machine.
#[derive(Clone, Debug)]
pub enum DistroProgram {
    /// k3s.
    K3s(PathBuf),
    /// k0s, with or without the programs that it starts.
    K0s(PathBuf),
}

impl DistroProgram {
    /// Returns the programs that the environment variables `TENET_K3S` and `TENET_K0S` name.
    #[must_use]
    pub fn given() -> Vec<Self> {
        let file = |variable| env::var_os(variable).map(PathBuf::from);
        [file("TENET_K3S").map(Self::K3s), file("TENET_K0S").map(Self::K0s)].into_iter().flatten().collect()
    }

    /// Returns the name of the program, which is that of the distro.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::K3s(_) => "k3s",
            Self::K0s(_) => "k0s",
        }
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::K3s(path) | Self::K0s(path) => path,
        }
    }

    /// Returns the components that it finds in the `PATH` if it was built without them.
    #[must_use]
    pub fn components(&self) -> &'static [Component] {
        match self {
            Self::K3s(_) => &[],
            Self::K0s(_) => &[Component::ApiServer, Component::ControllerManager, Component::Kine, Component::Etcd],
        }
    }
}

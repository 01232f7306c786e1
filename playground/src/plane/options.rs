//! How a control plane is set up.

use std::path::{Path, PathBuf};

use crate::audit::Audit;

/// What a control plane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All controllers, and a scheduler.
    Host,
    /// No scheduler, and no controller that would act on nodes or volumes: those belong to the host.
    Virtual,
}

/// How a control plane is set up.
#[derive(Clone, Debug)]
pub struct PlaneOptions {
    /// Its name in messages, files and kubeconfigs.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The folder for its store, certificates and audit log.
    pub dir: PathBuf,
    /// The folder for the logs of its processes.
    pub logs: PathBuf,
    /// The folder for the files that hold its process ids.
    pub pids: PathBuf,
    /// The range of the addresses of Services.
    pub service_cidr: String,
    /// Further names and addresses in the serving certificate.
    pub server_names: Vec<String>,
    /// What the audit log keeps.
    pub audit: Audit,
    /// Further flags of the API server.
    pub api_server_flags: Vec<String>,
    /// Further flags of the controller manager.
    pub controller_manager_flags: Vec<String>,
}

/// The range of Service addresses, the same on both sides.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";

/// The first address of [`SERVICE_CIDR`]: the one of the `kubernetes` Service.
const FIRST_SERVICE_ADDRESS: &str = "10.96.0.1";

impl PlaneOptions {
    /// The usual settings, with everything below `dir`.
    pub fn new(name: &str, role: Role, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            role,
            dir: dir.join(name),
            logs: dir.join("logs"),
            pids: dir.join("pids"),
            service_cidr: SERVICE_CIDR.to_owned(),
            server_names: Vec::new(),
            audit: Audit::default(),
            api_server_flags: Vec::new(),
            controller_manager_flags: Vec::new(),
        }
    }

    /// What the API server is known as.
    pub(super) fn all_server_names(&self) -> Vec<String> {
        [
            "127.0.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            FIRST_SERVICE_ADDRESS,
        ]
        .into_iter()
        .map(str::to_owned)
        .chain(self.server_names.iter().cloned())
        .collect()
    }
}

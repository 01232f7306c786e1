//! Settings of a control plane.

use std::path::{Path, PathBuf};

use crate::audit::Audit;

/// Role of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All controllers, and a scheduler.
    Host,
    /// No scheduler, and no controller that acts on nodes or volumes: those belong to the host.
    Virtual,
}

/// Settings of a control plane.
#[derive(Clone, Debug)]
pub struct PlaneOptions {
    /// Name in messages, files and kubeconfigs.
    pub name: String,
    /// Role of the control plane.
    pub role: Role,
    /// Folder of the store, the certificates and the audit log.
    pub dir: PathBuf,
    /// Folder of the process logs.
    pub logs: PathBuf,
    /// Folder of the files with the process ids.
    pub pids: PathBuf,
    /// Range of Service addresses.
    pub service_cidr: String,
    /// Further names and addresses in the serving certificate.
    pub server_names: Vec<String>,
    /// Level of the audit log.
    pub audit: Audit,
    /// Older minor version, such as `1.36`, that all programs emulate: they serve and use what that version does.
    pub emulated_version: Option<String>,
    /// Further flags of the API server.
    pub api_server_flags: Vec<String>,
    /// Further flags of the controller manager.
    pub controller_manager_flags: Vec<String>,
    /// Controllers that run although the role leaves them out.
    pub controllers: Vec<String>,
}

/// Range of Service addresses, the same on both sides.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";

/// First address of [`SERVICE_CIDR`], which the `kubernetes` Service gets.
const FIRST_SERVICE_ADDRESS: &str = "10.96.0.1";

impl PlaneOptions {
    /// Returns the default settings, with all folders below `dir`.
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
            emulated_version: None,
            api_server_flags: Vec::new(),
            controller_manager_flags: Vec::new(),
            controllers: Vec::new(),
        }
    }

    /// Returns all names in the serving certificate of the API server.
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

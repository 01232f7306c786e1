//! Settings of a playground.

use std::path::PathBuf;

use crate::{audit::Audit, progress::Progress};

/// Settings of a playground.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of all files; `None` for a temporary one that is removed with the playground.
    pub dir: Option<PathBuf>,
    /// Name of the virtual cluster.
    pub name: String,
    /// Host namespace of the virtual cluster; `None` for `tenet-NAME`.
    pub namespace: Option<String>,
    /// Number of host nodes.
    pub nodes: usize,
    /// True if the syncer may read the nodes of the host, which is a cluster-wide right.
    pub node_access: bool,
    /// True if the host has a metrics server, for `kubectl top` and autoscalers.
    pub metrics: bool,
    /// Level of the audit logs.
    pub audit: Audit,
    /// Older minor version, such as `1.36`, that the control plane of the host emulates.
    pub host_version: Option<String>,
    /// Older minor version that the virtual control plane emulates.
    pub virtual_version: Option<String>,
    /// Further flags of the host's API server.
    pub host_flags: Vec<String>,
    /// Further flags of the virtual API server.
    pub virtual_flags: Vec<String>,
    /// True if the virtual cluster evicts pods for `NoExecute` taints of its nodes, for `nodes.tenantScheduling`.
    pub taint_eviction: bool,
    /// Further lines of the syncer's configuration.
    pub syncer_settings: String,
    /// Output of the progress messages.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: None,
            name: "vc-1".to_owned(),
            namespace: None,
            nodes: 2,
            node_access: false,
            metrics: false,
            audit: Audit::default(),
            host_version: None,
            virtual_version: None,
            host_flags: Vec::new(),
            virtual_flags: Vec::new(),
            taint_eviction: false,
            syncer_settings: String::new(),
            progress: Progress::silent(),
        }
    }
}

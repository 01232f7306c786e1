//! What a playground is made of.

use std::path::PathBuf;

use crate::{audit::Audit, progress::Progress};

/// What a playground is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept; a folder that goes with the playground if there is none.
    pub dir: Option<PathBuf>,
    /// The name of the virtual cluster.
    pub name: String,
    /// Its namespace on the host; `tenet-NAME` if there is none.
    pub namespace: Option<String>,
    /// How many nodes the host has.
    pub nodes: usize,
    /// Whether the syncer may read the nodes of the host: a right in the whole cluster.
    pub node_access: bool,
    /// Whether the host has metrics of nodes and pods, for `kubectl top` and autoscalers.
    pub metrics: bool,
    /// What the audit logs keep.
    pub audit: Audit,
    /// Further flags of the host's API server.
    pub host_flags: Vec<String>,
    /// Further flags of the virtual API server.
    pub virtual_flags: Vec<String>,
    /// Further lines of the syncer's configuration.
    pub syncer_settings: String,
    /// Where progress is shown.
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
            host_flags: Vec::new(),
            virtual_flags: Vec::new(),
            syncer_settings: String::new(),
            progress: Progress::silent(),
        }
    }
}

//! The command line of the syncer. Flags override the file.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tenet_config::Overrides;

use crate::claim;

/// Makes the pods of a virtual cluster run on a host cluster.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "tenet-syncer", version)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// Configuration file. It is watched; changes of most keys take effect while the syncer runs.
    #[arg(long, env = "TENET_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Print the JSON schema of the configuration file, with the sections of all mappers, and exit.
    #[arg(long)]
    pub schema: bool,
    /// Print the Role on the host that a syncer with this configuration needs, and exit.
    #[arg(long)]
    pub print_role: bool,
    /// Print the `ClusterRole` of the optional rights beyond the host namespace, and exit.
    #[arg(long)]
    pub print_cluster_role: bool,
    /// Print the `ClusterRole` that a syncer with this configuration needs in the virtual cluster, and exit.
    #[arg(long)]
    pub print_virtual_role: bool,
    /// The name of the virtual cluster.
    #[arg(long, value_name = "NAME", global = true)]
    pub name: Option<String>,
    /// The kubeconfig of the host; without it the pod's own `ServiceAccount` is used.
    #[arg(long, value_name = "FILE", global = true)]
    pub host_kubeconfig: Option<PathBuf>,
    /// The context in the host kubeconfig.
    #[arg(long, value_name = "NAME", global = true)]
    pub host_context: Option<String>,
    /// The host namespace that takes the tenant's objects.
    #[arg(long, value_name = "NAME", global = true)]
    pub host_namespace: Option<String>,
    /// The kubeconfig of the virtual cluster.
    #[arg(long, value_name = "FILE", global = true)]
    pub virtual_kubeconfig: Option<PathBuf>,
    /// The context in the virtual kubeconfig.
    #[arg(long, value_name = "NAME", global = true)]
    pub virtual_context: Option<String>,
    /// The host Service that leads to the virtual API server.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<String>,
    /// Log directives: `info`, `debug`, `tenet_syncer=trace`.
    #[arg(long, value_name = "DIRECTIVES", global = true)]
    pub log_level: Option<String>,
    /// Log format: `text` or `json`.
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
    /// Command to run instead of the syncer.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Command of an operator, performed instead of running.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// The claim of the host namespace and the virtual cluster: print, adopt or release it.
    #[command(subcommand)]
    Claim(claim::Action),
}

impl Args {
    /// The flags, as the configuration takes them.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            name: self.name.clone(),
            host_kubeconfig: self.host_kubeconfig.clone(),
            host_context: self.host_context.clone(),
            host_namespace: self.host_namespace.clone(),
            virtual_kubeconfig: self.virtual_kubeconfig.clone(),
            virtual_context: self.virtual_context.clone(),
            service: self.service.clone(),
            admin_listen: self.admin_listen.clone(),
            log_level: self.log_level.clone(),
            log_format: self.log_format.clone(),
        }
    }
}

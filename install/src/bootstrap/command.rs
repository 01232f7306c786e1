//! The command `tenet-syncer bootstrap`.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use time::OffsetDateTime;
use tokio::runtime::Builder;

use super::{BootstrapError, Changes, Prepared, Request, Workloads, ensure};
use crate::api::Api;
use crate::values::Distro;

/// Creates the certificates of a virtual control plane, and ends. It runs in an init container.
#[derive(Clone, Parser)]
#[command(name = "bootstrap")]
pub struct Args {
    /// Name of the virtual cluster, and of its Service.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Host namespace of the tenant's objects.
    #[arg(long, value_name = "NAME")]
    pub host_namespace: String,
    /// Kubeconfig of the host; without it the pod's own `ServiceAccount` is used.
    #[arg(long, value_name = "FILE")]
    pub host_kubeconfig: Option<PathBuf>,
    /// Folder of the certificates and kubeconfigs.
    #[arg(long, value_name = "DIR", default_value = "/pki")]
    pub certificates: PathBuf,
    /// Distro, if it makes its own certificates from the authorities.
    #[arg(long, value_name = "NAME", requires_all = ["distro_config", "data_dir"])]
    pub distro: Option<Distro>,
    /// Configuration of the distro, as far as it is known before.
    #[arg(long, value_name = "FILE")]
    pub distro_config: Option<PathBuf>,
    /// Folder of the data of the distro.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Data source of an SQL database.
    #[arg(long, value_name = "URL", env = "DATA_SOURCE", hide_env_values = true)]
    pub data_source: Option<String>,
    /// Certificates of the API server.
    #[command(flatten)]
    pub server: CertificateArgs,
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The data source holds a password.
        let Self {
            name,
            host_namespace,
            host_kubeconfig,
            certificates,
            distro,
            distro_config,
            data_dir,
            data_source: _,
            server,
        } = self;
        f.debug_struct("Args")
            .field("name", name)
            .field("host_namespace", host_namespace)
            .field("host_kubeconfig", host_kubeconfig)
            .field("certificates", certificates)
            .field("distro", distro)
            .field("distro_config", distro_config)
            .field("data_dir", data_dir)
            .field("server", server)
            .finish_non_exhaustive()
    }
}

/// Settings of the certificate of the API server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CertificateArgs {
    /// Further names and addresses of the virtual API server, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tls_san: Vec<String>,
    /// Range of the service addresses of the host; without it the host is asked.
    #[arg(long, value_name = "CIDR")]
    pub service_cidr: Option<String>,
    /// Host namespace of the control plane, if it is not that of the tenant's objects.
    #[arg(long, value_name = "NAME")]
    pub control_plane_namespace: Option<String>,
    /// Addresses of this pod, separated by commas, for the Service in the namespace of the tenant's objects.
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', env = "POD_IPS")]
    pub pod_ips: Vec<IpAddr>,
}

impl CertificateArgs {
    /// Returns the description of the virtual cluster with this name, host namespace of the tenant's objects and folder
    /// of certificates.
    pub fn request(self, name: String, host_namespace: String, dir: PathBuf) -> Request {
        let (namespace, workloads) = match self.control_plane_namespace {
            Some(namespace) if namespace != host_namespace => {
                (namespace, Some(Workloads { namespace: host_namespace, pod_addresses: self.pod_ips }))
            }
            _ => (host_namespace, None),
        };
        let (tls_sans, service_cidr) = (self.tls_san, self.service_cidr);
        Request { name, namespace, workloads, dir, tls_sans, service_cidr, prepared: None }
    }
}

/// Error of the command.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    // The messages of kube hold those of their sources, which would be printed twice.
    #[error("cannot use --host-kubeconfig: {0}")]
    Kubeconfig(kube::config::KubeconfigError),
    #[error("this is no pod of the host, and --host-kubeconfig is not set")]
    InCluster(#[from] kube::config::InClusterError),
    #[error("cannot create a client of the host")]
    Client(#[from] kube::Error),
    #[error("cannot start")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
}

/// Runs the bootstrap as a program.
pub fn run(args: Args) -> ExitCode {
    let ended = Builder::new_current_thread().enable_all().build().map_err(CommandError::from);
    match ended.and_then(|runtime| runtime.block_on(perform(args))) {
        Ok(changes) => {
            println!("Secrets written: {}; files written: {}", listed(&changes.secrets), listed(&changes.files));
            if !changes.endpoints.is_empty() {
                println!("EndpointSlices written: {}", listed(&changes.endpoints));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("tenet-syncer bootstrap: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

async fn perform(args: Args) -> Result<Changes, CommandError> {
    let mut request = args.server.request(args.name, args.host_namespace, args.certificates);
    if let (Some(distro), Some(config), Some(data)) = (args.distro, args.distro_config, args.data_dir) {
        request.prepared = Some(Prepared { distro, config, data, data_source: args.data_source });
    }
    let host = host(args.host_kubeconfig.as_deref()).await?;
    Ok(ensure(&host, &request, OffsetDateTime::now_utc()).await?)
}

/// Returns the client of the host: of a kubeconfig, or of the pod's own `ServiceAccount`.
pub(super) async fn host(kubeconfig: Option<&Path>) -> Result<Api, CommandError> {
    // rustls panics when two crypto providers are installed; keep the first one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let config = match kubeconfig {
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file).map_err(CommandError::Kubeconfig)?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            config.map_err(CommandError::Kubeconfig)?
        }
        None => Config::incluster()?,
    };
    Ok(Api::new(Client::try_from(config)?))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

//! First steps in the pod of a control plane, before its programs start.
//!
//! Everything that lasts is in two Secrets: the authorities, with the service range, and the administrator's
//! kubeconfig. Each is created by one request that fails if another pod was faster, so the steps can be interrupted
//! anywhere, repeated, and run twice at the same time. All certificates for servers and clients are made anew in each
//! pod, in memory: a cluster that was off for years starts.

mod authorities;
mod command;
mod distro;
mod kubeconfig;
mod leaves;
mod renewal;
mod server_names;
mod service_range;
mod workloads;

use std::io;
use std::path::PathBuf;

use time::OffsetDateTime;

use crate::api::{Api, ApiError};
use crate::pki::PkiError;

pub use command::{Args, CertificateArgs, run};
pub(crate) use distro::K3S_ETC_ON_VOLUME;
pub use distro::Prepared;
pub use kubeconfig::render as render_kubeconfig;
pub use renewal::{Renewal, spawn as spawn_renewal};
pub use service_range::outside;
pub use workloads::Workloads;

/// Key of the service range in the Secret of the authorities.
pub const SERVICE_CIDR: &str = "service-cidr";

/// Rights on the host that the bootstrap needs: group, resource, verbs.
pub const RIGHTS: [(&str, &str, &[&str]); 2] =
    [("", "secrets", &["get", "create", "patch"]), ("", "services", &["get", "create"])];

/// Rights that the bootstrap needs in the namespace of the tenant's objects, if that is another one.
pub const WORKLOAD_RIGHTS: [(&str, &str, &[&str]); 2] =
    [("", "services", &["get"]), ("discovery.k8s.io", "endpointslices", &["get", "create", "patch"])];

/// Error of the bootstrap.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// A request to the host failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The Service of the virtual cluster does not exist, or has no address yet.
    #[error("host Service {namespace}/{name} has no ClusterIP: the virtual API server would not be reachable")]
    NoAddress {
        /// Host namespace.
        namespace: String,
        /// Name of the Service.
        name: String,
    },
    /// A Secret lacks a key, or holds an unreadable value.
    #[error(
        "host Secret {namespace}/{name} has no readable key {key:?}: restore it from a backup, \
         or delete the Secret to start with new authorities"
    )]
    Secret {
        /// Host namespace.
        namespace: String,
        /// Name of the Secret.
        name: String,
        /// Key in its data.
        key: String,
    },
    /// The configuration of a distro cannot be read.
    #[error("cannot read the configuration {}: {problem}", path.display())]
    Configuration {
        /// Path of the file.
        path: PathBuf,
        /// Problem.
        problem: String,
    },
    /// k0s serves no range of IPv6 alone.
    #[error("k0s cannot serve the service range {range}, which has no IPv4 addresses: choose the distro k8s or k3s")]
    OnlyIpv6 {
        /// Range.
        range: String,
    },
    /// The service range does not hold the address of the Service of the virtual cluster.
    #[error(
        "the service range {range} does not hold {address}, the address of host Service {namespace}/{name}: the virtual \
         API server would refuse the addresses of the host. {remedy}"
    )]
    OtherRange {
        /// Range.
        range: String,
        /// Address of the Service.
        address: String,
        /// Host namespace.
        namespace: String,
        /// Name of the Service.
        name: String,
        /// Advice.
        remedy: String,
    },
    /// The addresses of the pod are not known.
    #[error("no address of this pod is one of the family {family} of host Service {namespace}/{name}: set --pod-ips")]
    NoPodAddress {
        /// Family, such as `IPv4`.
        family: &'static str,
        /// Host namespace.
        namespace: String,
        /// Name of the Service.
        name: String,
    },
    /// The service range of the host cannot be found out.
    #[error("cannot find out the range of service addresses of the host: set serviceCIDR")]
    ServiceRange(#[source] ApiError),
}

/// Description of the virtual cluster to prepare.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the virtual cluster, and of its host Service.
    pub name: String,
    /// Host namespace of the control plane.
    pub namespace: String,
    /// Host namespace of the tenant's objects; `None` if it is that of the control plane.
    pub workloads: Option<Workloads>,
    /// Folder of the certificates and kubeconfigs, shared by the containers of the pod.
    pub dir: PathBuf,
    /// Further names and addresses of the API server.
    pub tls_sans: Vec<String>,
    /// Range of the service addresses; `None` to find out that of the host.
    pub service_cidr: Option<String>,
    /// Program that makes its own certificates from the authorities; `None` for those of the Kubernetes project.
    pub prepared: Option<Prepared>,
}

/// Changes that a run has made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Secrets that were created or changed on the host.
    pub secrets: Vec<String>,
    /// `EndpointSlices` that were created or changed on the host.
    pub endpoints: Vec<String>,
    /// Files that were written.
    pub files: Vec<String>,
}

/// Creates or renews everything that is missing or due. A second run changes nothing.
pub async fn ensure(host: &Api, request: &Request, now: OffsetDateTime) -> Result<Changes, BootstrapError> {
    let mut changes = Changes::default();
    let service = server_names::service(host, request).await?;
    let authorities = authorities::get_or_create(host, request, &service, now, &mut changes).await?;
    let mut names = server_names::all(host, request, &service, &authorities.service_cidr).await?;
    if let Some(workloads) = &request.workloads {
        let service = workloads.publish(host, &request.name, &request.namespace, &mut changes).await?;
        server_names::add_workload_service(&mut names, &request.name, &workloads.namespace, &service);
    }
    if let Some(prepared) = &request.prepared {
        prepared.write(&request.dir, &authorities, &names, &mut changes)?;
    }
    leaves::write(&request.dir, &authorities, names, now, &mut changes)?;
    kubeconfig::ensure(host, request, &authorities, now, &mut changes).await?;
    Ok(changes)
}

//! Values of an installation: those of `tenet create` and of the chart.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenet_translate::format::DnsLabel;

mod load;
pub mod vcluster;

pub use load::{ValuesError, load};

/// Kubernetes version of the programs whose image is not set.
pub const KUBERNETES: &str = "v1.37.2";
const ETCD_IMAGE: &str = "registry.k8s.io/etcd:3.7.0-0";
// 0.16.6 and 0.17.3 to 0.17.5 confirm a create that the database did not store: when it fails, and the object is then
// not found, it counts as done.
const KINE_IMAGE: &str = "docker.io/rancher/kine:v0.17.2";
const TENET_IMAGE: &str = concat!("tenet.sh/tenet-syncer:", env!("CARGO_PKG_VERSION"));

/// Values of an installation. Every value has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Values {
    /// Programs of the control plane.
    pub distro: Distro,
    /// Kubernetes version of the virtual cluster, such as `v1.37.2`: the tag of the images that are not set.
    pub version: String,
    /// Store of the virtual cluster.
    pub store: Store,
    /// Container images.
    pub images: Images,
    /// Service that leads to the virtual API server.
    pub expose: Expose,
    /// Host namespace of the tenant's objects, which must exist. Absent: that of the control plane.
    #[schemars(with = "Option<DnsLabel>")]
    pub workload_namespace: Option<String>,
    /// Range of the service addresses, which must be that of the host. Absent: the host is asked.
    #[serde(rename = "serviceCIDR")]
    pub service_cidr: Option<String>,
    /// Settings of kube-apiserver.
    pub api_server: Program,
    /// Settings of kube-controller-manager.
    pub controller_manager: Program,
    /// Settings of the syncer.
    pub syncer: Syncer,
    /// Settings of the pod of the control plane.
    pub pod: Pod,
    /// Rights of the syncer on the host.
    pub rbac: Rbac,
    /// Firewall of the control plane.
    pub network_policy: NetworkPolicy,
    /// Objects for Prometheus and Grafana.
    pub monitoring: Monitoring,
}

/// Programs of a control plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Distro {
    /// kube-apiserver and kube-controller-manager of the Kubernetes project.
    #[default]
    K8s,
    /// k3s: one program with the API server and the controllers.
    K3s,
    /// k0s: one program that runs the API server and the controllers.
    K0s,
}

/// Store of a virtual cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Store {
    /// Kind of the store.
    pub r#type: StoreType,
    /// Size of the volume of `sqlite` and `etcd`.
    pub size: String,
    /// Storage class of the volume. Absent: the default of the host.
    pub storage_class: Option<String>,
    /// Secret with the data source of `sql`.
    pub data_source: SecretKey,
    /// Address and certificates of `external`.
    pub external: External,
    /// Resources of the container of the store.
    pub resources: Resources,
}

/// Kind of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreType {
    /// One file on a volume, through kine.
    #[default]
    Sqlite,
    /// An etcd in the pod, on a volume.
    Etcd,
    /// An SQL database, through kine: `postgres`, `mysql` or `mariadb`.
    Sql,
    /// An etcd that exists.
    External,
}

impl StoreType {
    /// Returns true if the store keeps its data on a volume of the pod.
    pub(crate) fn has_volume(self) -> bool {
        matches!(self, Self::Sqlite | Self::Etcd)
    }
}

/// etcd that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct External {
    /// URLs of its members, such as `https://etcd-0.etcd:2379`.
    pub endpoints: Vec<String>,
    /// Secret in the host namespace with `ca.crt`, `tls.crt` and `tls.key`. It is required for `https`.
    pub secret: String,
    /// Prefix of all keys, unless the distro is `k3s`. Empty: `/tenet/NAMESPACE/NAME`.
    pub prefix: String,
}

/// Key of a Secret in the host namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SecretKey {
    /// Name of the Secret.
    pub secret: String,
    /// Key in its data, such as a `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub key: String,
}

/// Container images. An image that is absent is the default one of the version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Images {
    /// Image of the syncer and of the bootstrap.
    pub syncer: Option<String>,
    /// Image of kube-apiserver.
    pub api_server: Option<String>,
    /// Image of kube-controller-manager.
    pub controller_manager: Option<String>,
    /// Image of etcd.
    pub etcd: Option<String>,
    /// Image of kine.
    pub kine: Option<String>,
    /// Image of k3s.
    pub k3s: Option<String>,
    /// Image of k0s.
    pub k0s: Option<String>,
    /// Time at which images are pulled. Absent: the default of Kubernetes.
    pub pull_policy: Option<PullPolicy>,
    /// Names of the Secrets with the credentials of registries.
    pub pull_secrets: Vec<String>,
}

/// Time at which an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// At every start of a container.
    Always,
    /// Only when the node does not have the image.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

/// Service that leads to the virtual API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Expose {
    /// Type of the Service.
    pub r#type: ServiceType,
    /// Port on every node, for `NodePort` and `LoadBalancer`. Absent: the host chooses it.
    #[schemars(range(min = 1))]
    pub node_port: Option<u16>,
    /// Annotations of the Service, such as those of a cloud.
    pub annotations: BTreeMap<String, String>,
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::enum_variant_names, reason = "these are the names of the API")]
pub enum ServiceType {
    /// An address inside the host cluster.
    #[default]
    ClusterIP,
    /// A port on every node of the host.
    NodePort,
    /// A load balancer of the host.
    LoadBalancer,
}

/// Settings of one program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Program {
    /// Further flags. The last value of a flag wins, so they override the flags of Tenet.
    pub extra_args: Vec<String>,
    /// Resources of the container.
    pub resources: Resources,
}

/// Resources of a container. Requests that are absent have a default; limits have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Resources {
    /// Requested quantities by resource.
    pub requests: BTreeMap<String, String>,
    /// Limits by resource.
    pub limits: BTreeMap<String, String>,
}

/// Settings of the syncer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Syncer {
    /// Further flags, such as `--tls-san=NAME,ADDRESS`.
    pub extra_args: Vec<String>,
    /// Configuration of the syncer, see docs/configuration.md, without the keys that the installation sets.
    pub config: Map<String, Value>,
    /// Environment variables of the syncer and the bootstrap, such as a proxy.
    pub env: BTreeMap<String, String>,
    /// Resources of the container.
    pub resources: Resources,
}

/// Settings of the pod of the control plane. All are fields of a pod, as Kubernetes knows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Pod {
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the nodes on which it may run.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations.
    pub tolerations: Vec<Map<String, Value>>,
    /// Affinity.
    pub affinity: Map<String, Value>,
    /// Entries of its hosts file.
    pub host_aliases: Vec<Map<String, Value>>,
    /// Priority class.
    pub priority_class_name: Option<String>,
}

/// Rights of the syncer on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rbac {
    /// True to grant the optional rights beyond the host namespace: to read nodes, volumes and classes.
    pub cluster_role: bool,
}

/// Firewall of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NetworkPolicy {
    /// True to close every port of the control plane but that of the virtual API server.
    pub enabled: bool,
}

/// Objects for Prometheus and Grafana. All are off by default: the first two need the Prometheus operator on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Monitoring {
    /// True for a `ServiceMonitor`, which makes Prometheus scrape the syncer.
    pub service_monitor: bool,
    /// True for a `PrometheusRule` with alerts.
    pub rules: bool,
    /// True for a `ConfigMap` with a dashboard for Grafana.
    pub dashboard: bool,
    /// Further labels of these objects, by which the operators select them.
    pub labels: BTreeMap<String, String>,
    /// Labels of the namespace of Prometheus, which the firewall lets in. Empty: the namespace `monitoring`.
    pub scraper: BTreeMap<String, String>,
}

/// Returns the JSON schema of the values.
pub fn schema() -> Value {
    schemars::schema_for!(Values).to_value()
}

impl Default for Values {
    fn default() -> Self {
        Self {
            distro: Distro::default(),
            version: KUBERNETES.to_owned(),
            store: Store::default(),
            images: Images::default(),
            expose: Expose::default(),
            workload_namespace: None,
            service_cidr: None,
            api_server: Program::default(),
            controller_manager: Program::default(),
            syncer: Syncer::default(),
            pod: Pod::default(),
            rbac: Rbac::default(),
            network_policy: NetworkPolicy::default(),
            monitoring: Monitoring::default(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            r#type: StoreType::default(),
            size: "5Gi".to_owned(),
            storage_class: None,
            data_source: SecretKey::default(),
            external: External::default(),
            resources: Resources::default(),
        }
    }
}

impl Default for SecretKey {
    fn default() -> Self {
        Self { secret: String::new(), key: "endpoint".to_owned() }
    }
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Images {
    pub(crate) fn syncer(&self) -> &str {
        self.syncer.as_deref().unwrap_or(TENET_IMAGE)
    }

    pub(crate) fn etcd(&self) -> &str {
        self.etcd.as_deref().unwrap_or(ETCD_IMAGE)
    }

    pub(crate) fn kine(&self) -> &str {
        self.kine.as_deref().unwrap_or(KINE_IMAGE)
    }
}

impl Values {
    pub(crate) fn api_server_image(&self) -> String {
        self.kubernetes_image(self.images.api_server.as_deref(), "kube-apiserver")
    }

    pub(crate) fn controller_manager_image(&self) -> String {
        self.kubernetes_image(self.images.controller_manager.as_deref(), "kube-controller-manager")
    }

    fn kubernetes_image(&self, image: Option<&str>, program: &str) -> String {
        image.map_or_else(|| format!("registry.k8s.io/{program}:{}", self.version), str::to_owned)
    }

    /// Returns the host namespace of the tenant's objects, if it is another one than this of the control plane.
    pub fn workload_namespace(&self, control_plane: &str) -> Option<&str> {
        self.workload_namespace.as_deref().filter(|namespace| *namespace != control_plane)
    }

    /// Returns true if the store is an etcd that asks for certificates.
    pub(crate) fn has_store_certificates(&self) -> bool {
        self.store.r#type == StoreType::External && !self.store.external.secret.is_empty()
    }

    /// Returns the image of k3s. A tag has `-` for the `+` of a version.
    pub(crate) fn k3s_image(&self) -> String {
        let image = self.images.k3s.clone();
        image.unwrap_or_else(|| format!("docker.io/rancher/k3s:{}-k3s1", self.version))
    }

    /// Returns the image of k0s. A tag has `-` for the `+` of a version.
    pub(crate) fn k0s_image(&self) -> String {
        let image = self.images.k0s.clone();
        image.unwrap_or_else(|| format!("docker.io/k0sproject/k0s:{}-k0s.0", self.version))
    }

    /// Returns the minor version of Kubernetes, such as 37.
    pub(crate) fn minor(&self) -> Option<u32> {
        self.version.strip_prefix("v1.")?.split('.').next()?.parse().ok()
    }
}

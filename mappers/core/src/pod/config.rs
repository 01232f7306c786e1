//! The sections `pods` and `dns` of the configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tenet_mapper::Object;
use tenet_mapper::format::{DnsSubdomain, DurationText, FieldPath, IpAddress, KeyGlob, ServiceRefText, Text};
use tenet_mapper::translate::{Duration, ServiceRef};

/// Settings for tenant pods on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Pods {
    /// ServiceAccount in the host namespace that tenant pods run as. It should have no rights: pods get their tokens
    /// from the virtual cluster.
    #[schemars(with = "DnsSubdomain")]
    pub service_account: String,
    /// Level of the Pod Security standards that tenant pods are held to.
    pub level: Level,
    /// Well-known needs that are permitted at the level `baseline`.
    pub presets: Vec<Preset>,
    /// Field paths that the rule table of pods refuses and that this installation permits, such as `spec.hostNetwork`
    /// or `spec.volumes[].hostPath`.
    #[schemars(with = "Vec<FieldPath>")]
    pub allow: Vec<String>,
    /// Names of host `PriorityClass`es that tenant pods may use. A pod with another class has the default priority.
    #[schemars(with = "Vec<DnsSubdomain>")]
    pub priority_classes: Vec<String>,
    /// Labels of host `PriorityClass`es that tenant pods may use as well, which takes the right to read them.
    pub priority_class_labels: BTreeMap<String, String>,
    /// Names of host `RuntimeClass`es that tenant pods may use. A pod with another class is refused.
    #[schemars(with = "Vec<DnsSubdomain>")]
    pub runtime_classes: Vec<String>,
    /// Labels of host `RuntimeClass`es that tenant pods may use as well, which takes the right to read them.
    pub runtime_class_labels: BTreeMap<String, String>,
    /// Host `RuntimeClass` for each handler that `RuntimeClass`es of a tenant's own may name. A pod with such a class
    /// gets that class of the host.
    #[schemars(with = "BTreeMap<String, DnsSubdomain>")]
    pub runtime_handlers: BTreeMap<String, String>,
    /// Names of host schedulers that tenant pods may use, besides the default one. A pod with another scheduler is
    /// placed by the default one.
    #[schemars(with = "Vec<DnsSubdomain>")]
    pub schedulers: Vec<String>,
    /// Names of CSI drivers whose inline volumes tenant pods may use. A pod with another is refused. The attributes of
    /// a volume reach the driver as the tenant writes them.
    #[schemars(with = "Vec<DnsSubdomain>")]
    pub csi_drivers: Vec<String>,
    /// Taints of the host's nodes that tenant pods tolerate.
    pub tolerations: Tolerations,
    /// Labels of the host's nodes on which tenant pods may run. They are added to the node selector of each pod, and
    /// win over the tenant's.
    pub node_selector: BTreeMap<String, String>,
    /// Container that puts the long name of a pod with a `subdomain` into its /etc/hosts, for `hostname -f`. Absent:
    /// none, and the DNS server alone knows the long name.
    pub hosts_file: Option<HostsFile>,
    /// Longest time that a tenant pod may take to end.
    #[schemars(with = "DurationText")]
    pub max_termination_grace_period: Duration,
}

impl Default for Pods {
    fn default() -> Self {
        Self {
            service_account: "default".to_owned(),
            level: Level::default(),
            presets: Vec::new(),
            allow: Vec::new(),
            priority_classes: Vec::new(),
            priority_class_labels: BTreeMap::new(),
            runtime_classes: Vec::new(),
            runtime_class_labels: BTreeMap::new(),
            runtime_handlers: BTreeMap::new(),
            schedulers: Vec::new(),
            csi_drivers: Vec::new(),
            tolerations: Tolerations::default(),
            node_selector: BTreeMap::new(),
            hosts_file: None,
            max_termination_grace_period: Duration::from_secs(3600),
        }
    }
}

/// Container that writes the long name of a pod into its /etc/hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HostsFile {
    /// Image with `sh` and `sed`.
    #[schemars(with = "Text")]
    pub image: String,
}

impl Default for HostsFile {
    fn default() -> Self {
        Self { image: "docker.io/library/busybox:1.37.0".to_owned() }
    }
}

impl Pods {
    /// Returns true if tenant pods may use a `PriorityClass` of the host.
    pub(crate) fn may_use_priority(&self, class: &Object) -> bool {
        is_listed(class, &self.priority_classes, &self.priority_class_labels)
    }

    /// Returns true if tenant pods may use a `RuntimeClass` of the host.
    pub(crate) fn may_use_runtime(&self, class: &Object) -> bool {
        is_listed(class, &self.runtime_classes, &self.runtime_class_labels)
    }
}

fn is_listed(class: &Object, names: &[String], labels: &BTreeMap<String, String>) -> bool {
    let has = |(key, value): (&String, &String)| class.label(key) == Some(value);
    names.iter().any(|name| name == class.name()) || (!labels.is_empty() && labels.iter().all(has))
}

/// Level of the Pod Security standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Pods may use the node: its network, processes and folders, and every capability.
    Privileged,
    /// Pods get no known way out of their containers.
    #[default]
    Baseline,
    /// Pods also run without root, without new privileges, without capabilities, and with seccomp.
    Restricted,
}

/// Well-known need of pods that the level `baseline` refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The capability `IPC_LOCK`: memory that is not swapped, for databases and stores of secrets.
    IpcLock,
    /// The capabilities `NET_ADMIN` and `NET_RAW`: the settings of the pod's own network, for service meshes.
    NetAdmin,
    /// The folders of logs of the node, mounted read-only, for log collectors. They hold the logs of all pods on the
    /// node, those of other tenants among them.
    HostLogs,
}

impl Preset {
    /// The capabilities that it permits.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::IpcLock => &["IPC_LOCK"],
            Self::NetAdmin => &["NET_ADMIN", "NET_RAW"],
            Self::HostLogs => &[],
        }
    }
}

/// Taints of the host's nodes that tenant pods tolerate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Tolerations {
    /// Globs of taint keys that tenants may tolerate, besides the taints for the condition of a node, such as
    /// `node.kubernetes.io/not-ready`. `*` allows every taint.
    #[schemars(with = "Vec<KeyGlob>")]
    pub allow: Vec<String>,
    /// Tolerations that every tenant pod has. They win over the tenant's.
    #[serde(deserialize_with = "valid")]
    #[schemars(with = "Vec<Toleration>")]
    pub add: Vec<Toleration>,
}

/// Toleration, as in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Toleration {
    /// Key of the taint. Absent, with `Exists`: every taint.
    #[schemars(with = "Option<Text>")]
    pub key: Option<String>,
    /// Comparison with the value of the taint.
    pub operator: Operator,
    /// Value of the taint, with `Equal`.
    pub value: Option<String>,
    /// Effect of the taint. Absent: every effect.
    pub effect: Option<Effect>,
    /// Seconds for which a pod tolerates a taint with `NoExecute`. Absent: for ever.
    pub toleration_seconds: Option<i64>,
}

/// Comparison of a toleration with the value of a taint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The taint has this value.
    #[default]
    Equal,
    /// The taint has any value.
    Exists,
}

/// Effect of a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Effect {
    /// Pods are not scheduled to the node.
    NoSchedule,
    /// Pods are scheduled to other nodes first.
    PreferNoSchedule,
    /// Pods that run on the node are evicted.
    NoExecute,
}

impl Tolerations {
    /// Returns the tolerations that every pod has, as a pod has them.
    pub(super) fn added(&self) -> Vec<Value> {
        self.add.iter().map(Toleration::in_pod).collect()
    }
}

impl Toleration {
    fn in_pod(&self) -> Value {
        let mut toleration = json!(self);
        if let Some(members) = toleration.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        toleration
    }

    /// Returns the reason why the API server of the host would reject every pod with this toleration.
    fn fault(&self) -> Option<&'static str> {
        match self {
            Self { key: None, operator: Operator::Equal, .. } => Some("without a key the operator is Exists"),
            Self { value: Some(_), operator: Operator::Exists, .. } => {
                Some("with the operator Exists there is no value")
            }
            Self { toleration_seconds: Some(_), effect, .. } if *effect != Some(Effect::NoExecute) => {
                Some("tolerationSeconds needs the effect NoExecute")
            }
            _ => None,
        }
    }
}

/// Reads tolerations that the API server of the host accepts.
fn valid<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Toleration>, D::Error> {
    let tolerations = Vec::<Toleration>::deserialize(from)?;
    match tolerations.iter().enumerate().find_map(|(index, toleration)| Some((index, toleration.fault()?))) {
        Some((index, fault)) => Err(D::Error::custom(format!("tolerations.add[{index}]: {fault}"))),
        None => Ok(tolerations),
    }
}

/// The DNS that tenant pods see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Dns {
    /// Domain of the virtual cluster, without a leading dot.
    #[schemars(with = "DnsSubdomain")]
    pub cluster_domain: String,
    /// The virtual Service, as `namespace/name`, whose ClusterIP is the nameserver of the pods.
    #[schemars(with = "ServiceRefText")]
    pub service: ServiceRef,
    /// Nameserver of the pods while that Service does not exist.
    #[schemars(with = "Option<IpAddress>")]
    pub address: Option<IpAddr>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            cluster_domain: "cluster.local".to_owned(),
            service: ServiceRef::new("kube-system", "kube-dns"),
            address: None,
        }
    }
}

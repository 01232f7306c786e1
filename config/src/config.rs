use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Admin, Annotations, Breaker, Budget, Engine, Kinds, Kubelet, Labels, Lease, Log, Names, UnknownFields, Usage,
    Webhook,
};
use tenet_translate::format::{DnsLabel, Text};

/// Fields that may change while the syncer runs, with all that is under them. A change to any other field waits for a
/// restart; the sections of mappers say for themselves which of their fields do.
pub const RELOADABLE: &[&str] = &[
    "annotations",
    "breaker.release",
    "budget",
    "engine.maxInFlight",
    "engine.patrolInterval",
    "engine.requestTimeout",
    "kinds.allow",
    "kubelet.streams",
    "labels",
    "log.level",
    "unknownFields",
];

/// The configuration of one Tenet syncer, which joins one virtual cluster to one namespace of a host cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Config {
    /// Name of the virtual cluster: a DNS label of at most 40 characters. It is part of the names of host objects, so
    /// it cannot change once something was synced.
    #[schemars(with = "DnsLabel", length(max = 40))]
    pub name: String,
    /// The host cluster, on which the pods run.
    pub host: Host,
    /// The virtual cluster, which the tenant uses.
    pub r#virtual: Virtual,
    /// Scheme of the names of host objects.
    #[serde(default)]
    pub names: Names,
    /// Handling of an object with a field that the rule table of its kind does not know.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
    /// Annotations of the tenant that cross to the host.
    #[serde(default)]
    pub annotations: Annotations,
    /// Labels of the tenant that cross to the host under their own keys.
    #[serde(default)]
    pub labels: Labels,
    /// The kubelet of the nodes that the tenant sees.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// The webhook that gives Services the addresses of the host.
    #[serde(default)]
    pub webhook: Webhook,
    /// The metrics of pods and nodes inside.
    #[serde(default)]
    pub usage: Usage,
    /// Amount of work at the same time, and its intervals.
    #[serde(default)]
    pub engine: Engine,
    /// The lease of replicas.
    #[serde(default)]
    pub lease: Lease,
    /// The breaker of deletes.
    #[serde(default)]
    pub breaker: Breaker,
    /// The budgets of the virtual cluster on the host.
    #[serde(default)]
    pub budget: Budget,
    /// The endpoint of `/metrics`, `/healthz` and `/readyz`.
    #[serde(default)]
    pub admin: Admin,
    /// The syncer's log.
    #[serde(default)]
    pub log: Log,
    /// Kinds that are synced, and fields that they may have.
    #[serde(default)]
    pub kinds: Kinds,
    /// The sections that [`Known`](crate::Known) adds, complete: mappers read them.
    #[serde(flatten)]
    #[schemars(skip)]
    pub sections: BTreeMap<String, Value>,
}

/// Access to the host cluster, and the namespace in it that the syncer may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Host {
    /// Path of a kubeconfig for the host cluster. Absent: the syncer runs in a pod of the host cluster and uses that
    /// pod's ServiceAccount.
    #[serde(default)]
    #[schemars(with = "Option<Text>")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in that kubeconfig. Absent: its current context.
    #[serde(default)]
    #[schemars(with = "Option<Text>")]
    pub context: Option<String>,
    /// Namespace of the host cluster in which everything that is synced lives: a DNS label.
    #[schemars(with = "DnsLabel")]
    pub namespace: String,
}

/// Access of the syncer and of the tenant's pods to the virtual cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Virtual {
    /// Path of a kubeconfig for the virtual cluster. Required: the ServiceAccount of the pod that the syncer runs in
    /// belongs to the host cluster.
    #[schemars(with = "Text")]
    pub kubeconfig: PathBuf,
    /// Context in that kubeconfig. Absent: its current context.
    #[serde(default)]
    #[schemars(with = "Option<Text>")]
    pub context: Option<String>,
    /// Service in the host namespace that leads host pods to the virtual API server: a DNS label. Absent: the name of
    /// the virtual cluster.
    #[serde(default)]
    #[schemars(with = "Option<DnsLabel>")]
    pub service: Option<String>,
}

impl Config {
    /// The host Service that leads host pods to the virtual API server: `virtual.service`, or else the name of the
    /// virtual cluster.
    pub fn service_name(&self) -> &str {
        self.r#virtual.service.as_deref().unwrap_or(&self.name)
    }
}

//! Counterpart of each setting of a `vcluster.yaml`.

use serde_json::{Map, Value, json};

/// Counterpart of a setting.
pub(super) enum Becomes {
    /// Tenet always does it, or it has no meaning.
    Same,
    /// Tenet always has this value; another has no counterpart.
    Unless(&'static str, &'static str),
    /// A value of ours.
    Value(&'static str),
    /// Elements of a list, or entries of a map, of ours, in another form.
    Each(&'static str, fn(&Value) -> Option<Value>),
    /// A value of ours, when it is on.
    When(&'static str, &'static str),
    /// A mapper that is off by default.
    Enable(&'static str),
    /// A mapper that is on by default.
    On(&'static str),
    /// A switch of ours.
    Switch(&'static str),
    /// A switch of ours that is off by default.
    True(&'static str),
    /// Several of these.
    All(&'static [Becomes]),
    /// None: the advice says what to do.
    Nothing(&'static str),
}

use Becomes::{All, Each, Enable, Nothing, On, Same, Switch, True, Unless, When};

const BY_HAND: &str = "has no counterpart: create it in the host namespace";
const DISTRO: &str = "has no counterpart: images.k3s and images.k0s name images, and version their version";
const IMAGES: &str = "has no counterpart: images.apiServer and images.controllerManager name images";
const PROGRAMS: &str = "has no counterpart: apiServer.resources, controllerManager.resources, store.resources and \
     syncer.resources are those of the programs";
const USED: &str = "has no counterpart: what pods use is copied";
const BY_NAME: &str = "has no counterpart: syncer.config.pods names those that tenants may use";
const DATA_SOURCE: &str = "has no counterpart: put the data source into a Secret, and set store.dataSource.secret";

/// Settings, and what becomes of them. A rule counts for everything below its path.
pub(super) const RULES: &[(&str, Becomes)] = &[
    ("controlPlane.distro.k8s.enabled", Same),
    ("controlPlane.distro.k8s.version", Becomes::Value("version")),
    ("controlPlane.distro.k8s.image.tag", Becomes::Value("version")),
    ("controlPlane.distro.k8s.image.registry", Nothing(IMAGES)),
    ("controlPlane.distro.k8s.image.repository", Nothing(IMAGES)),
    ("controlPlane.distro.k8s.imagePullPolicy", Becomes::Value("images.pullPolicy")),
    ("controlPlane.distro.k8s.apiServer.enabled", Same),
    ("controlPlane.distro.k8s.apiServer.extraArgs", Becomes::Value("apiServer.extraArgs")),
    ("controlPlane.distro.k8s.controllerManager.enabled", Same),
    ("controlPlane.distro.k8s.controllerManager.extraArgs", Becomes::Value("controllerManager.extraArgs")),
    ("controlPlane.distro.k8s.resources", Nothing(PROGRAMS)),
    ("controlPlane.distro.k3s.enabled", When("distro", "k3s")),
    ("controlPlane.distro.k3s", Nothing(DISTRO)),
    ("controlPlane.distro.k0s.enabled", When("distro", "k0s")),
    ("controlPlane.distro.k0s", Nothing(DISTRO)),
    ("controlPlane.backingStore.database.embedded.enabled", When("store.type", "sqlite")),
    ("controlPlane.backingStore.database.embedded.dataSource", Nothing(DATA_SOURCE)),
    ("controlPlane.backingStore.database.external.enabled", When("store.type", "sql")),
    ("controlPlane.backingStore.database.external.dataSource", Nothing(DATA_SOURCE)),
    ("controlPlane.backingStore.etcd.embedded.enabled", When("store.type", "etcd")),
    ("controlPlane.backingStore.etcd.deploy.enabled", When("store.type", "etcd")),
    ("controlPlane.backingStore.etcd.deploy.statefulSet.enabled", Same),
    (
        "controlPlane.backingStore.etcd.deploy.statefulSet.resources.requests",
        Becomes::Value("store.resources.requests"),
    ),
    ("controlPlane.backingStore.etcd.deploy.statefulSet.resources.limits", Becomes::Value("store.resources.limits")),
    ("controlPlane.backingStore.etcd.deploy.statefulSet.persistence.volumeClaim.size", Becomes::Value("store.size")),
    (
        "controlPlane.backingStore.etcd.deploy.statefulSet.persistence.volumeClaim.storageClass",
        Becomes::Value("store.storageClass"),
    ),
    ("controlPlane.backingStore.etcd.external.enabled", When("store.type", "external")),
    ("controlPlane.backingStore.etcd.external.endpoint", Each("store.external.endpoints", endpoint)),
    (
        "controlPlane.backingStore.etcd.external.tls",
        Nothing("has no counterpart: put the certificates into a Secret, and set store.external.secret"),
    ),
    ("controlPlane.serviceMonitor.enabled", True("monitoring.serviceMonitor")),
    ("controlPlane.proxy.extraSANs", Each("syncer.extraArgs", names)),
    ("controlPlane.proxy.port", Unless("8443", "has no counterpart: the virtual API server listens on port 8443")),
    ("controlPlane.proxy.bindAddress", Same),
    ("controlPlane.coredns.enabled", Switch("syncer.config.coredns.enabled")),
    ("controlPlane.coredns.overwriteConfig", Becomes::Value("syncer.config.coredns.corefile")),
    ("controlPlane.coredns.deployment.image", Becomes::Value("syncer.config.coredns.image")),
    ("controlPlane.coredns.deployment.replicas", Becomes::Value("syncer.config.coredns.replicas")),
    ("controlPlane.coredns", Nothing("has no counterpart: the Deployment coredns inside can be changed by the tenant")),
    ("controlPlane.service.enabled", Same),
    ("controlPlane.service.annotations", Each("expose.annotations", map)),
    ("controlPlane.service.httpsNodePort", Each("expose.nodePort", port)),
    ("controlPlane.service.spec.type", Becomes::Value("expose.type")),
    (
        "controlPlane.ingress",
        Nothing("has no counterpart: make an Ingress with TLS passthrough for the Service of the virtual cluster"),
    ),
    ("controlPlane.statefulSet.imagePullPolicy", Becomes::Value("images.pullPolicy")),
    ("controlPlane.statefulSet.image", Same),
    ("controlPlane.statefulSet.env", Each("syncer.env", environment)),
    ("controlPlane.statefulSet.resources", Nothing(PROGRAMS)),
    ("controlPlane.statefulSet.pods.labels", Each("pod.labels", map)),
    ("controlPlane.statefulSet.pods.annotations", Each("pod.annotations", map)),
    (
        "controlPlane.statefulSet.highAvailability.replicas",
        Unless("1", "has no counterpart: there is one pod of the control plane"),
    ),
    ("controlPlane.statefulSet.highAvailability", Same),
    (
        "controlPlane.statefulSet.security",
        Nothing("has no counterpart: the pod fits the Pod Security level restricted"),
    ),
    ("controlPlane.statefulSet.persistence.volumeClaim.enabled", Same),
    (
        "controlPlane.statefulSet.persistence.volumeClaim.retentionPolicy",
        Unless("Retain", "has no counterpart: tenet delete removes the claim, and --keep-data keeps it"),
    ),
    ("controlPlane.statefulSet.persistence.volumeClaim.accessModes", Same),
    ("controlPlane.statefulSet.persistence.volumeClaim.size", Becomes::Value("store.size")),
    ("controlPlane.statefulSet.persistence.volumeClaim.storageClass", Becomes::Value("store.storageClass")),
    ("controlPlane.statefulSet.persistence.binariesVolume", Same),
    ("controlPlane.statefulSet.enableServiceLinks", Same),
    ("controlPlane.statefulSet.scheduling.podManagementPolicy", Same),
    ("controlPlane.statefulSet.scheduling.priorityClassName", Becomes::Value("pod.priorityClassName")),
    ("controlPlane.statefulSet.scheduling.nodeSelector", Each("pod.nodeSelector", map)),
    ("controlPlane.statefulSet.scheduling.affinity", Each("pod.affinity", map)),
    ("controlPlane.statefulSet.scheduling.tolerations", Becomes::Value("pod.tolerations")),
    ("controlPlane.statefulSet.probes", Same),
    ("controlPlane.advanced.serviceAccount.enabled", Same),
    ("controlPlane.advanced.serviceAccount.imagePullSecrets", Each("images.pullSecrets", secret_names)),
    ("controlPlane.advanced.workloadServiceAccount.enabled", Same),
    ("controlPlane.advanced.workloadServiceAccount.name", Becomes::Value("syncer.config.pods.serviceAccount")),
    (
        "controlPlane.advanced.virtualScheduler",
        Nothing(
            "has no counterpart: the scheduler of the host places all pods; syncer.config.nodes.tenantScheduling \
             honours the labels and taints of the tenant",
        ),
    ),
    ("controlPlane.advanced.konnectivity", Same),
    ("sync.toHost.pods.enabled", On("pod")),
    ("sync.toHost.pods.enforceTolerations", Each("syncer.config.pods.tolerations.add", tolerations)),
    ("sync.toHost.pods.runtimeClassName", Nothing(BY_NAME)),
    ("sync.toHost.pods.priorityClassName", Nothing(BY_NAME)),
    ("sync.toHost.pods.useSecretsForSATokens", Same),
    ("sync.toHost.pods.rewriteHosts", Same),
    ("sync.toHost.services.enabled", On("service")),
    ("sync.toHost.endpoints.enabled", Same),
    ("sync.toHost.endpointSlices.enabled", On("endpoint-slice")),
    ("sync.toHost.persistentVolumeClaims.enabled", On("persistent-volume-claim")),
    ("sync.toHost.configMaps.enabled", On("config-map")),
    ("sync.toHost.configMaps.all", Nothing(USED)),
    ("sync.toHost.secrets.enabled", On("secret")),
    ("sync.toHost.secrets.all", Nothing(USED)),
    ("sync.toHost.ingresses.enabled", Enable("ingress")),
    ("sync.toHost.networkPolicies.enabled", Enable("network-policy")),
    ("sync.toHost.podDisruptionBudgets.enabled", On("pod-disruption-budget")),
    ("sync.fromHost.events.enabled", On("event")),
    ("sync.fromHost.nodes.enabled", True("rbac.clusterRole")),
    (
        "sync.fromHost.nodes.syncBackChanges",
        Nothing("has no counterpart: syncer.config.nodes.tenantScheduling keeps the changes inside"),
    ),
    ("sync.fromHost.ingressClasses.enabled", All(&[Enable("ingress-class"), True("rbac.clusterRole")])),
    (
        "sync.fromHost.storageClasses.enabled",
        All(&[Each("syncer.config.storage.classes", all_classes), True("rbac.clusterRole")]),
    ),
    ("sync.fromHost.runtimeClasses", Nothing(BY_NAME)),
    ("sync.fromHost.priorityClasses", Nothing(BY_NAME)),
    ("sync.fromHost.csiNodes", Same),
    ("sync.fromHost.csiDrivers", Same),
    ("sync.fromHost.csiStorageCapacities", Same),
    ("networking.replicateServices.toHost", Each("syncer.config.replicateServices.toHost", replicated)),
    ("networking.replicateServices.fromHost", Each("syncer.config.replicateServices.fromHost", replicated)),
    ("networking.advanced.clusterDomain", Becomes::Value("syncer.config.dns.clusterDomain")),
    ("networking.advanced.proxyKubelets", Same),
    ("networking.podCIDR", Same),
    ("policies.podSecurityStandard", Becomes::Value("syncer.config.pods.level")),
    ("policies.resourceQuota", Nothing(BY_HAND)),
    ("policies.limitRange", Nothing(BY_HAND)),
    ("policies.networkPolicy", Nothing(BY_HAND)),
    ("rbac.role.enabled", Same),
    ("rbac.clusterRole.enabled", True("rbac.clusterRole")),
    ("exportKubeConfig.server", Nothing("has no counterpart: tenet connect --server sets it")),
    ("exportKubeConfig.context", Nothing("has no counterpart: tenet connect --merge names the context")),
    ("integrations.metricsServer.enabled", Same),
    ("integrations.metricsServer.nodes", Same),
    ("integrations.metricsServer.pods", Same),
    ("experimental.syncSettings.setOwner", Same),
    ("experimental.syncSettings.targetNamespace", Becomes::Value("workloadNamespace")),
    ("logging.encoding", Each("syncer.config.log", encoding)),
    ("telemetry", Same),
];

fn map(value: &Value) -> Option<Value> {
    value.is_object().then(|| value.clone())
}

/// Names of certificates become one flag.
fn names(value: &Value) -> Option<Value> {
    let names: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
    Some(json!([format!("--tls-san={}", names?.join(","))]))
}

/// Port 0 is a port that the host chooses.
fn port(value: &Value) -> Option<Value> {
    let port = value.as_u64()?;
    Some(if port == 0 { Value::Null } else { json!(port) })
}

fn secret_names(value: &Value) -> Option<Value> {
    value.as_array()?.iter().map(|secret| secret.get("name").cloned()).collect()
}

/// Variables with a value; one from elsewhere has no counterpart.
fn environment(value: &Value) -> Option<Value> {
    let variables = value
        .as_array()?
        .iter()
        .map(|variable| Some((variable["name"].as_str()?.to_owned(), json!(variable["value"].as_str()?))));
    variables.collect::<Option<Map<String, Value>>>().map(Value::Object)
}

/// `KEY=VALUE:EFFECT`, where value and effect may be missing.
fn tolerations(value: &Value) -> Option<Value> {
    let toleration = |text: &Value| {
        let text = text.as_str()?;
        let (taint, effect) = text.split_once(':').map_or((text, None), |(taint, effect)| (taint, Some(effect)));
        let mut toleration = match taint.split_once('=') {
            Some((key, value)) => json!({"key": key, "operator": "Equal", "value": value}),
            None => json!({"key": taint, "operator": "Exists"}),
        };
        if let Some(effect) = effect {
            toleration["effect"] = json!(effect);
        }
        Some(toleration)
    };
    value.as_array()?.iter().map(toleration).collect()
}

/// Endpoints, separated by commas. One without a scheme is one with TLS.
fn endpoint(value: &Value) -> Option<Value> {
    let member = |text: &str| match text.trim() {
        "" => None,
        text if text.contains("://") => Some(json!(text)),
        text => Some(json!(format!("https://{text}"))),
    };
    value.as_str()?.split(',').map(member).collect()
}

fn all_classes(value: &Value) -> Option<Value> {
    (*value == true).then(|| json!(["*"]))
}

fn replicated(value: &Value) -> Option<Value> {
    let pair = |entry: &Value| Some(json!({"from": entry["from"].as_str()?, "to": entry["to"].as_str()?}));
    value.as_array()?.iter().map(pair).collect()
}

fn encoding(value: &Value) -> Option<Value> {
    match value.as_str()? {
        "json" => Some(json!({"format": "json"})),
        "console" => Some(json!({"format": "text"})),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_of_an_etcd_has_a_scheme() {
        let of = |text: &str| endpoint(&json!(text));
        assert_eq!(of("a:2379, http://b:2379"), Some(json!(["https://a:2379", "http://b:2379"])));
        assert_eq!(of("a:2379,"), None);
    }
}

//! Manifest of CoreDNS: that of kubeadm, without what only the operator of a host may use (a priority class,
//! tolerations), and for a port that needs no rights.

use serde_json::{Value, json};
use tenet_mapper::{Kind, VirtualKey, kinds};

use super::{CoreDns, DEPLOYMENT, NAME, NAMESPACE, SERVICE};

/// Revision of the manifest, raised with each change of it. Of two syncers, the older one leaves what the newer one
/// has written.
pub(super) const REVISION: u64 = 1;

const CLUSTER_ROLE: Kind = Kind::of("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles").cluster_scoped();
const CLUSTER_ROLE_BINDING: Kind =
    Kind::of("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings").cluster_scoped();

/// Kinds of the objects.
pub(super) const KINDS: [Kind; 6] =
    [kinds::SERVICE_ACCOUNT, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, kinds::CONFIG_MAP, kinds::SERVICE, DEPLOYMENT];

/// Kinds that CoreDNS reads.
pub(super) const READ_BY_COREDNS: [Kind; 3] = [kinds::ENDPOINT_SLICE, kinds::SERVICE, kinds::NAMESPACE];

/// Name of the cluster-scoped objects, as in other clusters.
const ROLE: &str = "system:coredns";
const RBAC: &str = "rbac.authorization.k8s.io";
/// Port at which CoreDNS listens: one below 1024 takes rights that not every node gives.
pub(crate) const PORT: u16 = 1053;
const METRICS: u16 = 9153;

/// One object of the manifest.
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) key: VirtualKey,
    pub(super) object: Value,
    /// Pointer to the part that belongs to the tenant.
    pub(super) tenants: Option<&'static str>,
}

impl Part {
    fn new(kind: Kind, name: &str, object: Value) -> Self {
        let namespace = if kind.namespaced { NAMESPACE } else { "" };
        let mut object = object;
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        object["metadata"]["name"] = json!(name);
        if kind.namespaced {
            object["metadata"]["namespace"] = json!(namespace);
        }
        Self { kind, key: VirtualKey::new(namespace, name), object, tenants: None }
    }
}

/// Returns the objects of CoreDNS, in the order of their creation.
pub(super) fn parts(config: &CoreDns, domain: &str) -> Vec<Part> {
    let account = Part::new(kinds::SERVICE_ACCOUNT, NAME, json!({}));
    let corefile = config.corefile.clone().unwrap_or_else(|| corefile(domain));
    let settings = Part {
        tenants: config.corefile.is_none().then_some("/data"),
        ..Part::new(kinds::CONFIG_MAP, NAME, json!({"data": {"Corefile": corefile}}))
    };
    let deployment = Part {
        tenants: config.replicas.is_none().then_some("/spec/replicas"),
        ..Part::new(DEPLOYMENT, NAME, deployment(config))
    };
    vec![
        account,
        Part::new(CLUSTER_ROLE, ROLE, role()),
        Part::new(CLUSTER_ROLE_BINDING, ROLE, binding()),
        settings,
        Part::new(kinds::SERVICE, SERVICE, service()),
        deployment,
    ]
}

fn corefile(domain: &str) -> String {
    format!(
        ".:{PORT} {{
    errors
    health {{
       lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus :{METRICS}
    forward . /etc/resolv.conf {{
       max_concurrent 1000
    }}
    cache 30 {{
       disable success {domain}
       disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
"
    )
}

fn role() -> Value {
    let rule = |kind: Kind| {
        let (group, plural) = (kind.group, kind.plural);
        json!({"apiGroups": [group], "resources": [plural], "verbs": ["list", "watch"]})
    };
    json!({"rules": READ_BY_COREDNS.map(rule)})
}

fn binding() -> Value {
    json!({
        "roleRef": {"apiGroup": RBAC, "kind": CLUSTER_ROLE.kind, "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    })
}

/// Labels by which programs find the DNS server of a cluster.
fn labels() -> Value {
    json!({"k8s-app": SERVICE, "kubernetes.io/name": "CoreDNS"})
}

fn service() -> Value {
    let port = |name: &str, protocol: &str, port: u16, target: u16| json!({"name": name, "protocol": protocol, "port": port, "targetPort": target});
    json!({
        "metadata": {"labels": labels()},
        "spec": {
            "selector": {"k8s-app": SERVICE},
            "ports": [
                port("dns", "UDP", 53, PORT),
                port("dns-tcp", "TCP", 53, PORT),
                port("metrics", "TCP", METRICS, METRICS),
            ],
        },
    })
}

fn deployment(config: &CoreDns) -> Value {
    json!({
        "metadata": {"labels": labels()},
        "spec": {
            "replicas": config.replicas.unwrap_or(1),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "selector": {"matchLabels": {"k8s-app": SERVICE}},
            "template": {"metadata": {"labels": {"k8s-app": SERVICE}}, "spec": pod(config)},
        },
    })
}

fn pod(config: &CoreDns) -> Value {
    let port =
        |name: &str, protocol: &str, port: u16| json!({"name": name, "protocol": protocol, "containerPort": port});
    let probe = |path: &str, port: &str| json!({"path": path, "port": port, "scheme": "HTTP"});
    let near = json!({
        "labelSelector": {"matchLabels": {"k8s-app": SERVICE}},
        "topologyKey": "kubernetes.io/hostname",
    });
    let spread = json!([{"weight": 100, "podAffinityTerm": near}]);
    json!({
        "serviceAccountName": NAME,
        // Names outside of the virtual cluster are those of the node.
        "dnsPolicy": "Default",
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": spread}},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": NAME,
            "image": config.image,
            "imagePullPolicy": "IfNotPresent",
            "args": ["-conf", "/etc/coredns/Corefile"],
            "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "20m", "memory": "64Mi"}},
            "ports": [
                port("dns", "UDP", PORT),
                port("dns-tcp", "TCP", PORT),
                port("metrics", "TCP", METRICS),
                port("liveness-probe", "TCP", 8080),
                port("readiness-probe", "TCP", 8181),
            ],
            "livenessProbe": {
                "httpGet": probe("/health", "liveness-probe"),
                "initialDelaySeconds": 60, "timeoutSeconds": 5, "successThreshold": 1, "failureThreshold": 5,
            },
            "readinessProbe": {"httpGet": probe("/ready", "readiness-probe")},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": 65532,
                // The program in the image carries this capability, and does not start without it.
                "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true}],
        }],
        "volumes": [{
            "name": "config-volume",
            "configMap": {"name": NAME, "items": [{"key": "Corefile", "path": "Corefile"}]},
        }],
    })
}

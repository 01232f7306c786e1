//! CoreDNS of the host, at the address that the kubelets tell pods.

use serde_json::{Value, json};

use super::images::COREDNS;

const NAME: &str = "coredns";
const COREFILE: &str = ".:53 {
    errors
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
    }
    cache 5
}
";

/// Returns the objects with their paths.
pub(super) fn objects() -> [(String, Value); 6] {
    let rbac = "rbac.authorization.k8s.io";
    let core = |resource: &str, name: &str| format!("/api/v1/namespaces/kube-system/{resource}/{name}");
    let role = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": NAME},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    });
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}],
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns"},
        "spec": {
            "clusterIP": "10.96.0.10",
            "selector": {"k8s-app": NAME},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    });
    [
        (
            core("serviceaccounts", NAME),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}}),
        ),
        (format!("/apis/{rbac}/v1/clusterroles/{NAME}"), role),
        (format!("/apis/{rbac}/v1/clusterrolebindings/{NAME}"), binding),
        (
            core("configmaps", NAME),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"Corefile": COREFILE}}),
        ),
        (core("services", "kube-dns"), service),
        (format!("/apis/apps/v1/namespaces/kube-system/deployments/{NAME}"), deployment()),
    ]
}

fn deployment() -> Value {
    let labels = json!({"k8s-app": NAME});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "dnsPolicy": "Default",
                    "containers": [{
                        "name": NAME,
                        "image": COREDNS,
                        "args": ["-conf", "/etc/coredns/Corefile"],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
                        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
                    }],
                    "volumes": [{"name": "config", "configMap": {"name": NAME}}],
                },
            },
        },
    })
}

//! Host objects that a virtual cluster needs: its namespace, the rights of its syncer, the Service of its API
//! server, and the nodes.

use kube::Client;
use serde_json::{Value, json};

use crate::{
    api::{self, ApiError},
    kwok,
};

/// User name of the syncer in the host cluster.
pub(crate) const SYNCER_USER: &str = "tenet-syncer";

/// ClusterIP of the Service of the virtual API server. It lies below the dynamic part of the range, and is
/// in the serving certificate from the start.
pub(crate) const VIRTUAL_API_ADDRESS: &str = "10.96.0.20";

/// Host objects of one virtual cluster.
pub(crate) struct Tenancy<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) virtual_port: u16,
    pub(crate) node_access: bool,
}

impl Tenancy<'_> {
    pub(crate) async fn create(&self, client: &Client) -> Result<(), ApiError> {
        for (path, object) in self.objects() {
            api::apply(client, &path, &object).await?;
        }
        Ok(())
    }

    fn objects(&self) -> Vec<(String, Value)> {
        let namespace = self.namespace;
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let mut objects = vec![
            (
                format!("/api/v1/namespaces/{namespace}"),
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            ),
            (format!("{rbac}/namespaces/{namespace}/roles/{SYNCER_USER}"), role()),
            (format!("{rbac}/namespaces/{namespace}/rolebindings/{SYNCER_USER}"), binding("RoleBinding", "Role")),
            (format!("/api/v1/namespaces/{namespace}/services/{}", self.name), self.service()),
        ];
        if self.node_access {
            let name = self.cluster_role_name();
            let mut bound = binding("ClusterRoleBinding", "ClusterRole");
            bound["metadata"]["name"] = json!(name);
            bound["roleRef"]["name"] = json!(name);
            objects.push((format!("{rbac}/clusterroles/{name}"), node_reader(&name)));
            objects.push((format!("{rbac}/clusterrolebindings/{name}"), bound));
        }
        objects
    }

    fn cluster_role_name(&self) -> String {
        format!("{SYNCER_USER}-{}-nodes", self.name)
    }

    /// The Service has no EndpointSlice: the API server of a playground listens on loopback only, and the host
    /// rejects such an endpoint ("may not be in the loopback range").
    fn service(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name},
            "spec": {
                "clusterIP": VIRTUAL_API_ADDRESS,
                "ports": [{"name": "https", "port": 443, "targetPort": self.virtual_port}],
            },
        })
    }
}

/// Creates a node on which kwok simulates pods.
pub(crate) async fn create_node(client: &Client, name: &str) -> Result<(), ApiError> {
    let room = json!({"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "10Ti", "pods": "10000"});
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                (kwok::NODE_LABEL.0): kwok::NODE_LABEL.1,
            },
            "annotations": {"metrics.k8s.io/resource-metrics-path": kwok::usage_path(name)},
        },
        "status": {"capacity": room, "allocatable": room},
    });
    api::apply(client, &format!("/api/v1/nodes/{name}"), &node).await?;
    api::apply(client, &format!("/api/v1/nodes/{name}/status"), &node).await
}

/// Returns true if the node is Ready and no longer has the not-ready taint.
pub(crate) fn takes_pods(node: &Value) -> bool {
    let ready = node["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
    ready && node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
}

/// Minimal rights of the syncer in the host namespace.
fn role() -> Value {
    const ALL: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": SYNCER_USER},
        "rules": [
            rule("", &["pods", "services", "configmaps", "secrets"], &ALL),
            rule("", &["pods/status", "pods/ephemeralcontainers", "pods/resize"], &["patch"]),
            // Rights for the requests that the kubelets of virtual nodes forward; WebSocket clients use the verb `get`.
            rule("", &["pods/exec", "pods/attach", "pods/portforward"], &["create", "get"]),
            rule("", &["pods/log"], &["get"]),
            rule("metrics.k8s.io", &["pods"], &["get", "list"]),
            rule("", &["events"], &["get", "list", "watch"]),
            rule("discovery.k8s.io", &["endpointslices"], &ALL),
            rule("coordination.k8s.io", &["leases"], &["get", "create", "patch"]),
        ],
    })
}

fn node_reader(name: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}],
    })
}

fn binding(kind: &str, role_kind: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": SYNCER_USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": SYNCER_USER}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": SYNCER_USER},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(node_access: bool) -> Vec<(String, Value)> {
        Tenancy { name: "vc-1", namespace: "tenet-vc-1", virtual_port: 6443, node_access }.objects()
    }

    #[test]
    fn the_syncer_gets_no_right_in_the_whole_cluster_unless_asked_for() {
        let kinds = |node_access| objects(node_access).into_iter().map(|(_, object)| object["kind"].clone()).collect();
        let (without, with): (Vec<Value>, Vec<Value>) = (kinds(false), kinds(true));
        assert_eq!(without, ["Namespace", "Role", "RoleBinding", "Service"]);
        assert_eq!(with[4..], ["ClusterRole", "ClusterRoleBinding"]);
    }

    #[test]
    fn every_object_has_the_name_that_its_path_ends_with() {
        for (path, object) in objects(true) {
            let name = object["metadata"]["name"].as_str().expect("a name");
            assert!(path.ends_with(&format!("/{name}")), "{path}");
        }
    }
}

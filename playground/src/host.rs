//! The objects on the host that a virtual cluster starts from: its namespace, the Service that leads to its API
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
}

impl Tenancy<'_> {
    pub(crate) async fn create(&self, client: &Client) -> Result<(), ApiError> {
        for (path, object) in self.objects() {
            api::apply(client, &path, &object).await?;
        }
        Ok(())
    }

    /// Gives the Service of the virtual API server an endpoint, from which a relay leads to loopback.
    pub(crate) async fn lead_to(&self, client: &Client, address: &str) -> Result<(), ApiError> {
        let (name, namespace) = (self.name, self.namespace);
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "protocol": "TCP", "port": self.virtual_port}],
        });
        api::apply(client, &format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"), &slice)
            .await
    }

    fn objects(&self) -> [(String, Value); 2] {
        let namespace = self.namespace;
        [
            (
                format!("/api/v1/namespaces/{namespace}"),
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            ),
            (format!("/api/v1/namespaces/{namespace}/services/{}", self.name), self.service()),
        ]
    }

    /// The Service has no EndpointSlice at first: the API server of a playground listens on loopback only, and the host
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_has_the_name_that_its_path_ends_with() {
        let tenancy = Tenancy { name: "vc-1", namespace: "tenet-vc-1", virtual_port: 6443 };
        for (path, object) in tenancy.objects() {
            let name = object["metadata"]["name"].as_str().expect("a name");
            assert!(path.ends_with(&format!("/{name}")), "{path}");
        }
    }
}

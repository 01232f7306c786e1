//! Pods of the bench and their paths.

use serde_json::{Value, json};

/// Namespace inside.
pub const NAMESPACE: &str = "default";
/// Label with the batch of a pod. Labels cross, so both sides can be watched by it.
pub const BATCH: &str = "burst/batch";
/// Label with the name of the pod inside.
pub const NAME: &str = "burst/name";

/// Returns the path of the pods of a namespace.
pub fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// Returns the path of one pod.
pub fn pod(namespace: &str, name: &str) -> String {
    format!("{}/{name}", pods(namespace))
}

/// Returns the path of the Secrets of a namespace.
pub fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// Returns the label selector of a batch.
pub fn selector(batch: &str) -> String {
    // A slash needs no escape in a query.
    format!("{BATCH}%3D{batch}")
}

/// Returns the name of the pod with this number.
pub fn name(batch: &str, number: usize) -> String {
    format!("{batch}-{number:05}")
}

/// Builds a minimal pod: one container, the default ServiceAccount.
pub fn manifest(batch: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "burst", BATCH: batch, NAME: name}},
        "spec": {
            "containers": [{
                "name": "main",
                "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }],
        },
    })
}

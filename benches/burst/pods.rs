//! The pods of the bench, and where they stand.

use serde_json::{Value, json};

/// The namespace inside.
pub const NAMESPACE: &str = "default";
/// Label: which batch a pod is of. Labels cross, so that both sides can be followed by it.
pub const BATCH: &str = "burst/batch";
/// Label: the name of the pod inside.
pub const NAME: &str = "burst/name";

/// The pods of a namespace.
pub fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// One pod.
pub fn pod(namespace: &str, name: &str) -> String {
    format!("{}/{name}", pods(namespace))
}

/// The Secrets of a namespace.
pub fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// The selector of a batch.
pub fn selector(batch: &str) -> String {
    // A slash is plain text in a query.
    format!("{BATCH}%3D{batch}")
}

/// The name of the pod with this number.
pub fn name(batch: &str, number: usize) -> String {
    format!("{batch}-{number:05}")
}

/// A pod as plain as pods are: one container, the default ServiceAccount.
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

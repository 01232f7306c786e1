//! Objects that the ideal syncer writes, as large as those of Tenet.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tenet_mapper::GroupKind;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::translate::OwnerRecord;

const ROOT_CERTIFICATE: &str = "kube-root-ca.crt-x-default-x-vc-1";

/// Builds the host pod of a virtual pod.
pub fn translate(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    if let Some(members) = spec.as_object_mut() {
        for virtual_only in ["serviceAccount", "serviceAccountName", "nodeName"] {
            members.remove(virtual_only);
        }
    }
    spec["automountServiceAccountToken"] = json!(false);
    spec["enableServiceLinks"] = json!(false);
    spec["hostname"] = pod["metadata"]["name"].clone();
    spec["dnsPolicy"] = json!("None");
    spec["dnsConfig"] = json!({
        "nameservers": ["10.96.0.10"],
        "searches": ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
        "options": [{"name": "ndots", "value": "5"}],
    });
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        container["envFrom"] = environment();
    }
    let volumes = spec["volumes"].as_array_mut().into_iter().flatten();
    for source in volumes.filter_map(|volume| volume["projected"]["sources"].as_array_mut()).flatten() {
        if source["serviceAccountToken"].is_object() {
            let items = json!([{"key": "kube-api-access.0", "path": "token", "mode": 0o600}]);
            *source = json!({"secret": {"name": secret_name(pod), "items": items}});
        } else if source["configMap"].is_object() {
            source["configMap"]["name"] = json!(ROOT_CERTIFICATE);
        }
    }
    let mut metadata = head(pod, "Pod", &host_name(pod));
    for (key, value) in pod["metadata"]["labels"].as_object().into_iter().flatten() {
        metadata["labels"][key] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Builds the Secret of a pod's token, without the token.
pub fn token_secret(pod: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": head(pod, "Pod", &secret_name(pod)),
        "type": "Opaque",
    })
}

/// Adds the token to the Secret.
pub fn with_token(secret: &Value, token: &str) -> Value {
    let mut secret = secret.clone();
    secret["data"] = json!({"kube-api-access.0": BASE64.encode(token)});
    secret
}

/// Builds the TokenRequest for that token.
pub fn token_request(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]});
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3607, "boundObjectRef": bound, "audiences": []},
    })
}

/// Builds the copy of the ConfigMap that every pod mounts.
pub fn root_certificate(config: &Value) -> Value {
    let metadata = head(config, "ConfigMap", ROOT_CERTIFICATE);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": config["data"]})
}

/// Builds the virtual Node.
pub fn node(name: &str) -> Value {
    let room = json!({"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "10Ti", "pods": "10000"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, MANAGED_BY: "vc-1"}},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    })
}

/// Builds the sources of the variables of Services.
fn environment() -> Value {
    let map = |name: &str| json!({"configMapRef": {"name": name, "optional": false}});
    json!([map("kubernetes-vc-1-aaaaaaaaaaaaaaaaaaaaaaaaaa"), map("services-default-aaaaaaaaaaaaaaaaaaaaaaaaaa")])
}

/// Builds labels and annotations with the owner record.
fn head(object: &Value, kind: &'static str, host_name: &str) -> Value {
    let text = |member: &str| object["metadata"][member].as_str().unwrap_or_default().to_owned();
    let record = OwnerRecord {
        cluster: "00000000-0000-0000-0000-000000000000".to_owned(),
        kind: GroupKind::core(kind),
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
    };
    json!({
        "name": host_name,
        "labels": record.labels("vc-1"),
        "annotations": record.annotations("tenet-vc-1", host_name),
    })
}

fn host_name(pod: &Value) -> String {
    format!("{}-x-default-x-vc-1", pod["metadata"]["name"].as_str().unwrap_or_default())
}

fn secret_name(pod: &Value) -> String {
    format!("{}-tokens", host_name(pod))
}

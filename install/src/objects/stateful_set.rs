//! StatefulSet of the control plane.

use serde_json::{Value, json};
use tenet_translate::keys::CONTROL_PLANE;

use super::{Installation, control_plane, labels, metadata};
use crate::names::{INSTANCE, PART, PART_OF, account, headless, syncer_config};
use crate::values::Distro;

/// User and group of every container. The files of a volume belong to the group.
const USER: u32 = 65532;

pub(super) fn object(installation: &Installation<'_>) -> Value {
    let selector = json!({CONTROL_PLANE: installation.name});
    let mut spec = json!({
        "replicas": 1,
        "serviceName": headless(installation.name),
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": selector},
        "template": {"metadata": pod_metadata(installation), "spec": pod(installation)},
    });
    if installation.values.store.r#type.has_volume() {
        spec["volumeClaimTemplates"] = json!([claim(installation)]);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(installation, installation.name),
        "spec": spec,
    })
}

fn pod_metadata(installation: &Installation<'_>) -> Value {
    let pod = &installation.values.pod;
    let mut labels = json!(pod.labels);
    for (key, value) in [
        // The Services of users select this label.
        ("app", "vcluster"),
        ("release", installation.name),
        (INSTANCE, installation.name),
        (PART_OF, PART),
        (CONTROL_PLANE, installation.name),
    ] {
        labels[key] = json!(value);
    }
    let mut metadata = json!({"labels": labels});
    if !pod.annotations.is_empty() {
        metadata["annotations"] = json!(pod.annotations);
    }
    metadata
}

fn pod(installation: &Installation<'_>) -> Value {
    let values = installation.values;
    let settings = &values.pod;
    let mut volumes = vec![
        json!({"name": "pki", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}),
        json!({"name": "sockets", "emptyDir": {"sizeLimit": "4Mi"}}),
        json!({"name": "config", "configMap": {"name": syncer_config(installation.name)}}),
        json!({"name": "host-token", "projected": {"sources": token()}}),
    ];
    if values.has_store_certificates() {
        volumes.push(json!({"name": "store-pki", "secret": {"secretName": values.store.external.secret}}));
    }
    if values.distro != Distro::K8s {
        volumes.push(json!({"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}));
        if !values.store.r#type.has_volume() {
            // The program unpacks itself, and keeps nothing else there.
            volumes.push(json!({"name": "data", "emptyDir": {"sizeLimit": "2Gi"}}));
        }
    }
    let mut pod = json!({
        "serviceAccountName": account(installation.name),
        "automountServiceAccountToken": false,
        // Variables of other Services would only disturb.
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": control_plane::first(installation),
        "containers": control_plane::then(installation),
        "volumes": volumes,
    });
    let mut set = |field: &str, is_set: bool, value: Value| {
        if is_set {
            pod[field] = value;
        }
    };
    set("nodeSelector", !settings.node_selector.is_empty(), json!(settings.node_selector));
    set("tolerations", !settings.tolerations.is_empty(), json!(settings.tolerations));
    set("affinity", !settings.affinity.is_empty(), json!(settings.affinity));
    set("hostAliases", !settings.host_aliases.is_empty(), json!(settings.host_aliases));
    set("priorityClassName", settings.priority_class_name.is_some(), json!(settings.priority_class_name));
    let secrets = &installation.values.images.pull_secrets;
    let named: Value = secrets.iter().map(|name| json!({"name": name})).collect();
    set("imagePullSecrets", !secrets.is_empty(), named);
    pod
}

/// Volume that a kubelet mounts into a pod by itself, for the two containers that call the host.
fn token() -> Value {
    let namespace = json!({"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}});
    json!([
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ])
}

fn claim(installation: &Installation<'_>) -> Value {
    let store = &installation.values.store;
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "labels": labels(installation.name)},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": store.size}}},
    });
    if let Some(class) = &store.storage_class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

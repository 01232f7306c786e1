//! Admission of pods: their `ServiceAccount`, as the API server's plugin does it.

use serde_json::{Value, json};
use tenet_mapper::kinds;

use super::create::{admission_name, text};
use super::defaults::items_mut;
use super::resource::Resource;
use super::server::State;
use super::status::Status;
use super::store::key;

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Gives a pod its `ServiceAccount` and the volume with its token.
pub(super) fn admit(state: &mut State, resource: &Resource, pod: &mut Value) -> Result<(), Status> {
    if resource.kind != kinds::POD {
        return Ok(());
    }
    let account = pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty());
    let account = account.unwrap_or("default").to_owned();
    pod["spec"]["serviceAccountName"] = json!(account);
    let namespace = text(pod, "namespace").to_owned();
    let accounts = state.store.find(kinds::SERVICE_ACCOUNT);
    let found = accounts.and_then(|id| state.store.get(id, &key(&namespace, &account))).cloned();
    let Some(found) = found else {
        if !state.config.service_accounts {
            return Ok(());
        }
        let why =
            format!("error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found");
        return Err(Status::forbidden(resource, admission_name(pod), &why));
    };
    if !state.config.service_accounts {
        return Ok(());
    }
    let says = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_bool);
    let mounts = says(pod, "/spec/automountServiceAccountToken")
        .or_else(|| says(&found, "/automountServiceAccountToken"))
        .unwrap_or(true);
    if mounts {
        mount(state, pod);
    }
    if pod["spec"]["imagePullSecrets"].as_array().is_none_or(Vec::is_empty)
        && let Some(secrets) = found.get("imagePullSecrets")
    {
        pod["spec"]["imagePullSecrets"] = secrets.clone();
    }
    Ok(())
}

fn mount(state: &mut State, pod: &mut Value) {
    let name = format!("kube-api-access-{}", state.random.suffix());
    let mut is_mounted = false;
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in items_mut(pod, list) {
            let mounts = &mut container["volumeMounts"];
            if mounts.as_array().into_iter().flatten().any(|mount| mount["mountPath"] == MOUNT) {
                continue;
            }
            if !mounts.is_array() {
                *mounts = json!([]);
            }
            is_mounted = true;
            push(mounts, json!({"name": name, "readOnly": true, "mountPath": MOUNT}));
        }
    }
    if !is_mounted {
        return;
    }
    let field = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    let volumes = &mut pod["spec"]["volumes"];
    if !volumes.is_array() {
        *volumes = json!([]);
    }
    push(
        volumes,
        json!({"name": name, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ]}}),
    );
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

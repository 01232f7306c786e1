//! Defaults: the values that an API server adds to an object.

mod pod;
mod service;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::resource::Resource;

pub(super) use pod::quality;

/// The elements of a list.
pub(super) fn items_mut<'v>(value: &'v mut Value, pointer: &str) -> impl Iterator<Item = &'v mut Value> + use<'v> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Sets a member that is missing.
fn set(value: &mut Value, member: &str, default: impl Into<Value>) {
    if let Some(members) = value.as_object_mut() {
        let found = members.entry(member).or_insert(Value::Null);
        if found.is_null() {
            *found = default.into();
        }
    }
}

/// Removes members that are empty.
fn drop_empty(value: &mut Value, members: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, value| {
            let is_empty = value.as_object().is_some_and(Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_str().is_some_and(str::is_empty);
            !(is_empty && members.contains(&name.as_str()))
        });
    }
}

/// Removes what says nothing: members that are null.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Defaults of an object as it is read from a request or a patch.
pub(super) fn decoded(resource: &Resource, object: &mut Value) {
    drop_nulls(object);
    if let Some(metadata) = object.get_mut("metadata") {
        drop_empty(metadata, &["labels", "annotations", "finalizers", "ownerReferences", "generateName", "namespace"]);
        if let Some(members) = metadata.as_object_mut() {
            members.remove("managedFields");
        }
    }
    match resource.kind.kind {
        "Pod" if resource.kind.group.is_empty() => pod::decoded(object),
        "Service" if resource.kind.group.is_empty() => service::decoded(object),
        "Secret" => secret(object),
        "ConfigMap" => drop_empty(object, &["data", "binaryData"]),
        "ServiceAccount" => drop_empty(object, &["secrets", "imagePullSecrets"]),
        "Node" => node(object),
        "Namespace" => {
            if let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            }
            set(object, "spec", json!({}));
            drop_empty(&mut object["spec"], &["finalizers"]);
            set(object, "status", json!({}));
        }
        "Event" => event(object),
        "Lease" => set(object, "spec", json!({})),
        "PersistentVolumeClaim" => {
            set(object, "spec", json!({}));
            set(&mut object["spec"], "volumeMode", "Filesystem");
            set(object, "status", json!({}));
            set(&mut object["status"], "phase", "Pending");
        }
        _ => {}
    }
}

/// Values that the admission plugins of an API server add at creation.
pub(super) fn admitted(resource: &Resource, object: &mut Value) {
    match resource.kind.kind {
        "Pod" => pod::admitted(object),
        "Node" => {
            let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
            set(&mut object["spec"], "taints", json!([]));
            let taints = object.pointer_mut("/spec/taints").and_then(Value::as_array_mut);
            if let Some(taints) = taints.filter(|taints| taints.iter().all(|found| found["key"] != taint["key"])) {
                taints.push(taint);
            }
        }
        "PersistentVolumeClaim" => {
            let protection = json!("kubernetes.io/pvc-protection");
            set(&mut object["metadata"], "finalizers", json!([]));
            let finalizers = object.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut);
            if let Some(finalizers) = finalizers.filter(|finalizers| !finalizers.contains(&protection)) {
                finalizers.push(protection);
            }
        }
        _ => {}
    }
}

/// State that every new object has.
pub(super) fn created(resource: &Resource, object: &mut Value, now: &str) {
    match resource.kind.kind {
        "Pod" => pod::created(object, now),
        "Service" if resource.kind.group.is_empty() => object["status"] = json!({"loadBalancer": {}}),
        "Namespace" => {
            set(&mut object["spec"], "finalizers", json!([]));
            let finalizers = object.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut);
            if let Some(finalizers) = finalizers.filter(|finalizers| !finalizers.contains(&json!("kubernetes"))) {
                finalizers.push(json!("kubernetes"));
            }
            object["status"] = json!({"phase": "Active"});
        }
        // A kubelet registers with its status.
        "Node" => {}
        "PersistentVolumeClaim" => object["status"] = json!({"phase": "Pending"}),
        _ if resource.has_status => object["status"] = json!({}),
        _ => {}
    }
}

fn secret(object: &mut Value) {
    let plain = object.as_object_mut().and_then(|members| members.remove("stringData"));
    for (name, text) in plain.as_ref().and_then(Value::as_object).into_iter().flatten() {
        object["data"][name] = json!(BASE64.encode(text.as_str().unwrap_or_default()));
    }
    set(object, "type", "Opaque");
    drop_empty(object, &["data"]);
}

fn node(object: &mut Value) {
    set(object, "spec", json!({}));
    drop_empty(&mut object["spec"], &["taints"]);
    set(object, "status", json!({}));
    let status = &mut object["status"];
    set(status, "daemonEndpoints", json!({}));
    set(&mut status["daemonEndpoints"], "kubeletEndpoint", json!({"Port": 0}));
    set(status, "nodeInfo", json!({}));
    for member in [
        "machineID",
        "systemUUID",
        "bootID",
        "kernelVersion",
        "osImage",
        "containerRuntimeVersion",
        "kubeletVersion",
        "kubeProxyVersion",
        "operatingSystem",
        "architecture",
    ] {
        set(&mut status["nodeInfo"], member, "");
    }
    if let Some(capacity) = status.get("capacity").cloned() {
        set(status, "allocatable", capacity);
    }
    for condition in items_mut(status, "/conditions") {
        null(condition, "lastHeartbeatTime");
        null(condition, "lastTransitionTime");
    }
}

/// Writes a time that is missing, as types do that always write it.
fn null(value: &mut Value, member: &str) {
    if let Some(members) = value.as_object_mut() {
        members.entry(member).or_insert(Value::Null);
    }
}

fn event(object: &mut Value) {
    for member in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        null(object, member);
    }
    for member in ["reportingComponent", "reportingInstance"] {
        set(object, member, "");
    }
    set(object, "source", json!({}));
    set(object, "involvedObject", json!({}));
}

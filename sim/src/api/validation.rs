//! Validation: the rules that an API server enforces and that the syncer or its world meets.

mod name;
mod pod;

use serde_json::{Value, json};
use tenet_mapper::kinds;

use super::object::Object;
use super::resource::Resource;
use super::status::Cause;

/// Returns what is wrong with a new object.
pub(super) fn created(resource: &Resource, object: &Value) -> Vec<Cause> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut causes = name::check(resource, name);
    match resource.kind.kind {
        "Pod" => causes.extend(pod::created(object)),
        "Service" if resource.kind.group.is_empty() => causes.extend(service(object)),
        "Event" => {
            let named = object["involvedObject"]["namespace"].as_str().unwrap_or_default();
            let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
            if named != own && !(named.is_empty() && own == "default") {
                let why = "does not match event.namespace";
                causes.push(Cause::invalid("involvedObject.namespace", &json!(named), why));
            }
        }
        _ => {}
    }
    causes
}

/// Returns what is wrong with the new metadata of an object.
pub(super) fn metadata(old: &Object, new: &Value) -> Vec<Cause> {
    let (old_metadata, new_metadata) = (&old.value()["metadata"], &new["metadata"]);
    let mut causes = Vec::new();
    if old.is_deleting() {
        let empty = Vec::new();
        let of = |metadata: &Value| metadata["finalizers"].as_array().unwrap_or(&empty).clone();
        let known = of(old_metadata);
        let mut added: Vec<_> = of(new_metadata).into_iter().filter(|finalizer| !known.contains(finalizer)).collect();
        added.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
        if !added.is_empty() {
            let added: Vec<_> = added.iter().filter_map(Value::as_str).map(|name| format!("\"{name}\"")).collect();
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    for member in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if old_metadata.get(member) != new_metadata.get(member) {
            causes.push(Cause::invalid(&format!("metadata.{member}"), &new_metadata[member], "field is immutable"));
        }
    }
    causes
}

/// Returns what is wrong with the new state of an object.
pub(super) fn updated(resource: &Resource, subresource: &str, old: &Object, new: &Value) -> Vec<Cause> {
    let changed = |pointer: &str| old.value().pointer(pointer) != new.pointer(pointer);
    match resource.kind.kind {
        "Pod" if matches!(subresource, "" | "ephemeralcontainers" | "resize") => {
            pod::updated(subresource, old.value(), new)
        }
        "ConfigMap" | "Secret" => {
            let mut causes = Vec::new();
            if old.value()["immutable"] == json!(true) {
                let why = "field is immutable when `immutable` is set";
                if new["immutable"] != json!(true) {
                    causes.push(Cause::forbidden("immutable", why));
                }
                for member in ["data", "binaryData"] {
                    if changed(&format!("/{member}")) {
                        causes.push(Cause::forbidden(member, why));
                    }
                }
            }
            if resource.kind == kinds::SECRET && changed("/type") {
                causes.push(Cause::invalid("type", &new["type"], "field is immutable"));
            }
            causes
        }
        "Service" if resource.kind.group.is_empty() && subresource.is_empty() => {
            let had_address = old.value()["spec"]["type"] != "ExternalName";
            let mut causes = service(new);
            if had_address && new["spec"]["type"] != "ExternalName" && changed("/spec/clusterIP") {
                let value = &new["spec"]["clusterIPs"];
                causes.push(Cause::invalid("spec.clusterIPs[0]", value, "may not change once set"));
            }
            causes
        }
        "PersistentVolumeClaim" if subresource.is_empty() => {
            let of = |value: &Value| {
                let mut spec = value["spec"].clone();
                // Members that the claim does not have yet may be set once.
                for member in ["volumeName", "storageClassName"] {
                    if old.value()["spec"].get(member).is_none() {
                        spec[member] = Value::Null;
                    }
                }
                spec["resources"] = Value::Null;
                spec["volumeAttributesClassName"] = Value::Null;
                spec
            };
            if of(old.value()) == of(new) {
                return Vec::new();
            }
            let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                       bound claims";
            vec![Cause::forbidden("spec", why)]
        }
        _ => Vec::new(),
    }
}

fn service(service: &Value) -> Vec<Cause> {
    let spec = &service["spec"];
    let mut causes = Vec::new();
    let is_headless = spec["clusterIP"] == "None";
    if spec["type"] == "ExternalName" {
        if spec["externalName"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required("spec.externalName", "must be a lowercase RFC-1123 hostname"));
        }
        if spec.get("clusterIP").is_some() || spec.get("clusterIPs").is_some() {
            causes.push(Cause::forbidden("spec.clusterIPs", "may not be set for ExternalName services"));
        }
        return causes;
    }
    let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    if ports.is_empty() && !is_headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    let kind = spec["type"].as_str().unwrap_or_default();
    if is_headless && matches!(kind, "NodePort" | "LoadBalancer") {
        let why = format!("may not be set to 'None' for {kind} services");
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!("None"), &why));
    }
    for (position, port) in ports.iter().enumerate() {
        let field = |member: &str| format!("spec.ports[{position}].{member}");
        if ports.len() > 1 && port["name"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(&field("name"), ""));
        }
        if !port["port"].as_u64().is_some_and(|port| (1..=65535).contains(&port)) {
            causes.push(Cause::invalid(&field("port"), &port["port"], "must be between 1 and 65535, inclusive"));
        }
        if spec["type"] == "ClusterIP" && port.get("nodePort").is_some() {
            let why = "may not be used when `type` is 'ClusterIP'";
            causes.push(Cause::forbidden(&field("nodePort"), why));
        }
    }
    causes
}

/// Returns what is wrong with the address families of a Service, in a cluster with IPv4 alone.
pub(super) fn families(service: &Value) -> Vec<Cause> {
    let spec = &service["spec"];
    let is_headless = spec["clusterIP"] == "None" && spec.get("selector").is_none();
    if is_headless || spec["ipFamilyPolicy"] != "RequireDualStack" {
        return Vec::new();
    }
    let why = "this cluster is not configured for dual-stack services";
    vec![
        Cause::invalid("spec.ipFamilyPolicy", &spec["ipFamilyPolicy"], why),
        Cause::invalid("spec.ipFamilies[1]", &spec["ipFamilies"][1], "not configured on this cluster"),
    ]
}

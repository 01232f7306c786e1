//! Transitions: the part of an object that a request through the object or a subresource may change.

use serde_json::{Map, Value, json};

use super::object::Object;
use super::resource::Resource;

/// Restores the part that the subresource does not write, and raises the generation.
pub(super) fn keep(resource: &Resource, subresource: &str, old: &Object, new: &mut Value) {
    let is_pod = resource.kind.kind == "Pod";
    match subresource {
        "status" => {
            keep_members(old, new, |member| member != "status" && member != "metadata");
            if is_pod {
                restore(old, new, &["ownerReferences", "deletionTimestamp"]);
                let quality = old.value()["status"]["qosClass"].clone();
                if new["status"].get("qosClass").is_none() {
                    new["status"]["qosClass"] = quality;
                }
            }
        }
        "finalize" => {
            let finalizers = new.pointer("/spec/finalizers").cloned();
            keep_members(old, new, |member| member != "metadata");
            new["spec"] = finalizers.map_or_else(|| json!({}), |finalizers| json!({"finalizers": finalizers}));
        }
        "ephemeralcontainers" => {
            let containers = new.pointer("/spec/ephemeralContainers").cloned();
            keep_members(old, new, |member| member != "metadata");
            restore(old, new, &["labels", "annotations", "finalizers", "ownerReferences"]);
            if let Some(containers) = containers {
                new["spec"]["ephemeralContainers"] = containers;
            }
        }
        "resize" => {
            let asked = new["spec"].clone();
            keep_members(old, new, |member| member != "metadata");
            restore(old, new, &["labels", "annotations", "finalizers", "ownerReferences"]);
            resize(&asked, &mut new["spec"]);
        }
        _ if resource.has_status => {
            keep_members(old, new, |member| member == "status");
            if resource.kind.kind == "Namespace" {
                keep_members(old, new, |member| member == "spec");
            }
        }
        _ => {}
    }
    generation(resource, old, new);
}

/// Copies members of the old object over the new one.
fn keep_members(old: &Object, new: &mut Value, is_kept: impl Fn(&str) -> bool) {
    let (Some(old), Some(new)) = (old.value().as_object(), new.as_object_mut()) else { return };
    new.retain(|name, _| !is_kept(name));
    let kept = old.iter().filter(|(name, _)| is_kept(name));
    new.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
}

/// Restores members of the metadata.
fn restore(old: &Object, new: &mut Value, members: &[&str]) {
    let Some(metadata) = new["metadata"].as_object_mut() else { return };
    for member in members {
        match old.value()["metadata"].get(*member) {
            Some(value) => drop(metadata.insert((*member).to_owned(), value.clone())),
            None => drop(metadata.remove(*member)),
        }
    }
}

fn resize(asked: &Value, spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        let asked = asked.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (container, asked) in containers.iter_mut().zip(asked) {
            for member in ["resources", "resizePolicy"] {
                if let (Some(members), Some(value)) = (container.as_object_mut(), asked.get(member)) {
                    members.insert(member.to_owned(), value.clone());
                }
            }
        }
    }
}

fn generation(resource: &Resource, old: &Object, new: &mut Value) {
    let kept = old.value()["metadata"].get("generation").cloned();
    let Some(metadata) = new["metadata"].as_object_mut() else { return };
    let Some(generation) = kept.as_ref().and_then(Value::as_u64).filter(|_| resource.has_generation) else {
        metadata.remove("generation");
        return;
    };
    let content = |object: &Value| {
        let members = object.as_object().into_iter().flatten();
        let members = members.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status"));
        members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
    };
    let is_changed = content(old.value()) != content(new);
    new["metadata"]["generation"] = json!(generation + u64::from(is_changed));
}

/// Carries the addresses of a Service over to its new state, or drops those that its new type does not have.
pub(super) fn service(old: &Object, new: &mut Value) {
    let old = &old.value()["spec"];
    let had_address = old["type"] != "ExternalName";
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let is = |spec: &Map<String, Value>, kinds: &[&str]| {
        spec.get("type").and_then(Value::as_str).is_some_and(|kind| kinds.contains(&kind))
    };
    let same = |spec: &Map<String, Value>, member: &str| spec.get(member) == old.get(member);
    if is(spec, &["ExternalName"]) {
        for member in ["clusterIP", "clusterIPs"] {
            if had_address && same(spec, member) {
                spec.remove(member);
            }
        }
        for member in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if same(spec, member) {
                spec.remove(member);
            }
        }
    } else if had_address {
        for member in ["clusterIP", "clusterIPs"] {
            if let (None, Some(value)) = (spec.get(member), old.get(member)) {
                spec.insert(member.to_owned(), value.clone());
            }
        }
        if !same(spec, "clusterIP") && same(spec, "clusterIPs") {
            let address = spec.get("clusterIP").cloned();
            spec.insert("clusterIPs".to_owned(), address.into_iter().collect());
        }
    }
    if !is(spec, &["NodePort", "LoadBalancer"]) {
        if same(spec, "externalTrafficPolicy") {
            spec.remove("externalTrafficPolicy");
        }
        drop_ports(old, spec);
    } else if matches!(old["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        keep_ports(old, spec);
    }
    if !is(spec, &["LoadBalancer"]) && same(spec, "allocateLoadBalancerNodePorts") {
        spec.remove("allocateLoadBalancerNodePorts");
    }
}

fn ports(spec: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Drops node ports that the Service had; others are an error.
fn drop_ports(old: &Value, spec: &mut Map<String, Value>) {
    let had: Vec<_> = old["ports"].as_array().into_iter().flatten().map(|port| port["nodePort"].clone()).collect();
    for port in ports(spec) {
        if port.get("nodePort").is_some_and(|port| had.contains(port)) {
            port.remove("nodePort");
        }
    }
}

/// Keeps the node port of each port whose name is still there.
fn keep_ports(old: &Value, spec: &mut Map<String, Value>) {
    for port in ports(spec).filter(|port| !port.contains_key("nodePort")) {
        let same = |old: &&Value| old.get("name") == port.get("name");
        let found = old["ports"].as_array().into_iter().flatten().find(same).and_then(|old| old.get("nodePort"));
        if let Some(found) = found {
            port.insert("nodePort".to_owned(), found.clone());
        }
    }
}

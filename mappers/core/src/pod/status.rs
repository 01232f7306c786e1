//! What the host says of a pod, as the tenant sees it.

use serde_json::{Map, Value, json};
use tenet_mapper::{Context, Effect, HostPatch, Object, PatchFormat, VirtualKey, VirtualPatch, kinds};

/// The write that makes the virtual status follow the host's; the gate drops it when it changes
/// nothing.
pub fn up(cx: &Context<'_>, key: &VirtualKey, virt: &Object, host: &Object) -> Option<Effect> {
    let wanted = project(cx, virt, host);
    if is_just_bound(virt, &wanted) {
        return None;
    }
    Some(Effect::PatchVirtual(VirtualPatch {
        kind: kinds::POD,
        key: key.clone(),
        uid: virt.uid().to_owned(),
        subresource: Some("status"),
        values: vec![("/status", wanted)],
    }))
}

fn project(cx: &Context<'_>, virt: &Object, host: &Object) -> Value {
    let mut status = host.at("/status").and_then(Value::as_object).cloned().unwrap_or_default();
    status.remove("resourceClaimStatuses");
    keep(&mut status, virt, "qosClass");
    observed(&mut status, virt, host);
    for (list, of) in [
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", "ephemeralContainers"),
    ] {
        known_containers(&mut status, virt, list, of);
    }
    let conditions = conditions(cx, &status, virt, host);
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), Value::Array(conditions));
    }
    for text in ["message", "reason"] {
        if let Some(Value::String(text)) = status.get_mut(text) {
            *text = inside(cx, text, virt, host);
        }
    }
    Value::Object(status)
}

fn keep(status: &mut Map<String, Value>, virt: &Object, member: &str) {
    match virt.at("/status").and_then(|status| status.get(member)) {
        Some(value) => status.insert(member.to_owned(), value.clone()),
        None => status.remove(member),
    };
}

/// A generation of the host means nothing inside: it says whether the newest was observed.
fn observed(status: &mut Map<String, Value>, virt: &Object, host: &Object) {
    let Some(seen) = status.remove("observedGeneration") else { return };
    if Some(&seen) == host.at("/metadata/generation")
        && let Some(generation) = virt.at("/metadata/generation")
    {
        status.insert("observedGeneration".to_owned(), generation.clone());
    }
}

/// Containers that the host injected are not the tenant's to see.
fn known_containers(status: &mut Map<String, Value>, virt: &Object, list: &str, of: &str) {
    let Some(Value::Array(statuses)) = status.get_mut(list) else { return };
    let specs = virt.list_at(&format!("/spec/{of}"));
    statuses.retain(|status| specs.iter().any(|spec| spec["name"] == status["name"]));
    if statuses.is_empty() {
        status.remove(list);
    }
}

/// The host's conditions, and those of readiness gates, which the virtual side owns.
fn conditions(cx: &Context<'_>, status: &Map<String, Value>, virt: &Object, host: &Object) -> Vec<Value> {
    let gates = gates(virt);
    let own = |condition: &Value| gates.iter().any(|gate| **gate == condition["type"]);
    let host_conditions = status.get("conditions").and_then(Value::as_array);
    let mut conditions: Vec<_> = host_conditions.into_iter().flatten().filter(|c| !own(c)).cloned().collect();
    for condition in &mut conditions {
        if let Some(seen) = condition.as_object_mut().and_then(|condition| condition.remove("observedGeneration"))
            && Some(&seen) == host.at("/metadata/generation")
            && let Some(generation) = virt.at("/metadata/generation")
        {
            condition["observedGeneration"] = generation.clone();
        }
        if let Some(Value::String(message)) = condition.get_mut("message") {
            *message = inside(cx, message, virt, host);
        }
    }
    conditions.extend(virt.list_at("/status/conditions").iter().filter(|condition| own(condition)).cloned());
    conditions
}

fn gates(virt: &Object) -> Vec<&Value> {
    virt.list_at("/spec/readinessGates").iter().map(|gate| &gate["conditionType"]).collect()
}

/// Names of the host in a message, turned to what they are inside.
fn inside(cx: &Context<'_>, message: &str, virt: &Object, host: &Object) -> String {
    let namespace = &cx.facts().names.host_namespace;
    message
        .replace(&format!("{namespace}/{}", host.name()), &format!("{}/{}", virt.namespace(), virt.name()))
        .replace(host.name(), virt.name())
}

/// Whether the binding alone has said it already: it sets the condition `PodScheduled` by itself,
/// with its own time.
fn is_just_bound(virt: &Object, wanted: &Value) -> bool {
    let others = |status: &Value| {
        let mut status = status.clone();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        status["conditions"] = Value::Null;
        (status, conditions)
    };
    let (found, found_conditions) = others(virt.at("/status").unwrap_or(&Value::Null));
    let (wanted, wanted_conditions) = others(wanted);
    let scheduled =
        |conditions: &[Value]| matches!(conditions, [one] if one["type"] == "PodScheduled" && one["status"] == "True");
    tenet_mapper::patch::same(&found, &wanted)
        && scheduled(&wanted_conditions)
        && (scheduled(&found_conditions) || virt.str_at("/spec/nodeName").is_none() && found_conditions.is_empty())
}

/// The conditions of readiness gates go down: the kubelet of the host counts them.
pub fn gates_down(cx: &Context<'_>, virt: &Object, host: &Object) -> Option<Effect> {
    let gates = gates(virt);
    let found = host.list_at("/status/conditions");
    let differs = |condition: &&Value| {
        gates.iter().any(|gate| **gate == condition["type"])
            && !found.iter().any(|other| other["type"] == condition["type"] && other["status"] == condition["status"])
    };
    let conditions: Vec<_> = virt.list_at("/status/conditions").iter().filter(differs).cloned().collect();
    (!conditions.is_empty()).then(|| {
        Effect::PatchHost(HostPatch {
            kind: kinds::POD,
            key: cx.host_key(kinds::POD, &VirtualKey::new(virt.namespace(), virt.name())),
            owner: cx.owner(kinds::POD, virt),
            subresource: Some("status"),
            format: PatchFormat::Strategic,
            body: json!({"status": {"conditions": conditions}}),
        })
    })
}

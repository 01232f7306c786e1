use serde_json::{Value, json};
use tenet_mapper::{Object, patch};

use super::Generations;

/// Conditions that a kubelet, a scheduler or the API server sets. All others are set
/// inside, for readiness gates and the like.
const HOSTS: [&str; 9] = [
    "PodScheduled",
    "PodReadyToStartContainers",
    "Initialized",
    "ContainersReady",
    "Ready",
    DISRUPTION,
    "PodResizePending",
    "PodResizeInProgress",
    "AllContainersRestarting",
];

/// Condition for a pod that is about to be removed. An eviction inside sets it before the delete.
const DISRUPTION: &str = "DisruptionTarget";

/// Returns the host's conditions, and those that are set inside.
pub(super) fn wanted(virt: &Object, host: &Object, generations: &Generations<'_>) -> Vec<Value> {
    let shown = virt.list_at("/status/conditions");
    let of_host = host.list_at("/status/conditions").iter().filter(|condition| is_of_host(condition));
    let mut wanted: Vec<_> = of_host.cloned().collect();
    for condition in &mut wanted {
        let before = shown.iter().find(|shown| shown["type"] == condition["type"]);
        if let Some(members) = condition.as_object_mut() {
            generations.turn(members, before);
        }
    }
    let is_new = |condition: &&Value| !wanted.iter().any(|other| other["type"] == condition["type"]);
    let inside = shown.iter().filter(|condition| !is_of_host(condition) || condition["type"] == DISRUPTION);
    let inside: Vec<_> = inside.filter(is_new).cloned().collect();
    wanted.extend(inside);
    wanted
}

/// Adds the condition of a pod that something outside of its own cluster ends, unless it has the condition already.
pub(super) fn disrupt(status: &mut Value, reason: &str) {
    let Some(status) = status.as_object_mut() else { return };
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return };
    if !conditions.iter().any(|condition| condition["type"] == DISRUPTION) {
        let message = "its pod on the host is deleted";
        conditions.push(json!({"type": DISRUPTION, "status": "True", "reason": reason, "message": message}));
    }
}

/// Returns true if a pod has that condition with this reason.
pub(super) fn is_disrupted(pod: &Object, reason: &str) -> bool {
    let mut conditions = pod.list_at("/status/conditions").iter();
    conditions.any(|condition| condition["type"] == DISRUPTION && condition["reason"] == reason)
}

/// Returns true if a kubelet, a scheduler or the API server of the host sets the condition.
pub(super) fn is_of_host(condition: &Value) -> bool {
    condition["type"].as_str().is_some_and(|name| HOSTS.contains(&name))
}

/// Returns true if `wanted` says no more than the status of the virtual pod does, or will as soon as
/// it is bound: the binding sets `PodScheduled` by itself, with a time of its own.
pub(super) fn differ_by_binding_alone(virt: &Object, wanted: &Value) -> bool {
    let found = virt.at("/status").unwrap_or(&Value::Null);
    let is_bound = virt.str_at("/spec/nodeName").is_some();
    is_scheduled(wanted)
        && is_scheduled(found) == is_bound
        && patch::same(&without_binding(found), &without_binding(wanted))
}

fn is_scheduled(status: &Value) -> bool {
    status["conditions"].as_array().into_iter().flatten().any(is_binding)
}

fn is_binding(condition: &Value) -> bool {
    condition["type"] == "PodScheduled" && condition["status"] == "True"
}

/// Returns the status without the fields that a binding sets.
fn without_binding(status: &Value) -> Value {
    let mut status = status.clone();
    let conditions = status.get_mut("conditions").map(Value::take).unwrap_or_default();
    let mut conditions = conditions.as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| !is_binding(condition));
    status["conditions"] = Value::Array(conditions);
    status
}

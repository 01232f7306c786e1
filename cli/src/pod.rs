//! Reading of the status of a pod, and of the conditions that other objects have as well.

use serde_json::Value;

/// Returns the conditions of an object.
pub(crate) fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

/// Returns true if a condition of this type is `True`.
pub(crate) fn is_true(object: &Value, condition: &str) -> bool {
    conditions(object).any(|found| found["type"] == condition && found["status"] == "True")
}

/// Returns the condition that says that no node takes a pod.
pub(crate) fn unscheduled(pod: &Value) -> Option<&Value> {
    conditions(pod).find(|found| found["type"] == "PodScheduled" && found["status"] == "False")
}

/// Returns the statuses of the containers, those of the init containers first.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |field: &str| pod["status"][field].as_array().into_iter().flatten();
    of("initContainerStatuses").chain(of("containerStatuses"))
}

//! Rules of pods.

use serde_json::Value;

use super::super::defaults::quality;
use super::super::status::Cause;

const UPDATE: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
    additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
    previously negative)\n";

/// Returns what is wrong with a new pod.
pub(super) fn created(pod: &Value) -> Vec<Cause> {
    let containers = items(&pod["spec"], "containers");
    if containers.is_empty() {
        return vec![Cause::required("spec.containers", "")];
    }
    let mut causes = Vec::new();
    for (position, container) in containers.iter().enumerate() {
        for member in ["name", "image"] {
            if container[member].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(&format!("spec.containers[{position}].{member}"), ""));
            }
        }
    }
    causes
}

fn items<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns what is wrong with the new state of a pod.
pub(super) fn updated(subresource: &str, old: &Value, new: &Value) -> Vec<Cause> {
    if subresource == "ephemeralcontainers" {
        return ephemeral(old, new);
    }
    if subresource == "resize" {
        let had = &old["status"]["qosClass"];
        if *had == quality(&new["spec"]) {
            return Vec::new();
        }
        return vec![Cause::invalid("spec", had, "Pod QOS Class may not change as a result of resizing")];
    }
    let (old, new) = (&old["spec"], &new["spec"]);
    for list in ["containers", "initContainers"] {
        if items(old, list).len() != items(new, list).len() {
            let what = if list == "containers" { "containers" } else { "init containers" };
            let why = format!("pod updates may not add or remove {what}");
            return vec![Cause::forbidden(&format!("spec.{list}"), &why)];
        }
    }
    let mut causes = Vec::new();
    if items(old, "tolerations").iter().any(|toleration| !items(new, "tolerations").contains(toleration)) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", why));
        return causes;
    }
    let gates = items(new, "schedulingGates");
    if let Some(position) = gates.iter().position(|gate| !items(old, "schedulingGates").contains(gate)) {
        let why = "only deletion is allowed, but found new scheduling gate";
        causes.push(Cause::forbidden(&format!("spec.schedulingGates[{position}].name"), why));
    }
    if without_mutable(old) != without_mutable(new) {
        causes.push(Cause::forbidden("spec", UPDATE));
    }
    causes
}

/// The part of a spec that never changes.
fn without_mutable(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["/containers", "/initContainers"] {
        for container in super::super::defaults::items_mut(&mut spec, list) {
            container.as_object_mut().map(|members| members.remove("image"));
        }
    }
    if let Some(members) = spec.as_object_mut() {
        for member in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
            members.remove(member);
        }
    }
    spec
}

fn ephemeral(old: &Value, new: &Value) -> Vec<Cause> {
    let found = items(&new["spec"], "ephemeralContainers");
    let is_kept = |container: &Value| found.iter().any(|other| other == container);
    if items(&old["spec"], "ephemeralContainers").iter().all(is_kept) {
        return Vec::new();
    }
    let why = "existing ephemeral containers may not be changed\n";
    vec![Cause::forbidden("spec.ephemeralContainers", why)]
}

//! Status of a pod: the host's, translated to the inside.

mod conditions;
mod gates;
mod wording;

use std::cell::OnceCell;

use serde_json::{Map, Value, json};
use tenet_mapper::plan::is_binding_noted;
use tenet_mapper::{Cause, Effect, Object, VirtualPatch, kinds, patch};

use super::{Subject, update};
pub(super) use gates::gates;

/// Status fields that belong to the virtual side.
const INSIDE: [&str; 4] =
    ["qosClass", "resourceClaimStatuses", "extendedResourceClaimStatus", "nodeAllocatableResourceClaimStatuses"];

/// Returns the effect that makes the virtual status equal to the host's; `None` when it is.
///
/// The binding of a pod sets `PodScheduled` with its own time, which counts as no
/// difference and causes no write.
///
/// Some conditions are set inside, and lists are replaced whole, so a patch that was derived from an
/// older version than the present one is not written. After a binding the present version is not known until the
/// watch shows it, so the status of a pod for which nobody sets conditions inside is not held up for that.
pub(super) fn effect(pod: &Subject<'_, '_>, host: &Object) -> Option<Effect> {
    let has_gates = !pod.virt.list_at("/spec/readinessGates").is_empty();
    let is_unknown = is_binding_noted(pod.virt) && !has_gates;
    change(pod, host, (!is_unknown).then(|| pod.virt.resource_version().to_owned()))
}

/// Returns the first status, right after the binding, whose resulting version is not known.
pub(super) fn first(pod: &Subject<'_, '_>, host: &Object) -> Option<Effect> {
    change(pod, host, None)
}

fn change(pod: &Subject<'_, '_>, host: &Object, version: Option<String>) -> Option<Effect> {
    let found = pod.virt.at("/status").unwrap_or(&Value::Null);
    let wanted = wanted(pod, host)?;
    if patch::same(found, &wanted) || conditions::differ_by_binding_alone(pod.virt, &wanted) {
        return None;
    }
    Some(Effect::PatchVirtual(write(pod, wanted, version)))
}

/// Reason of the condition of a pod that the host has ended.
const ENDED_BY_HOST: &str = "DeletedOnHost";

/// Returns the last status of a pod that is removed, from the last state of its host pod where that is known. Its phase
/// is final: a controller that waits for the end of a pod looks at nothing else, and a finalizer may keep the pod. It
/// is as wrong as the delete behind it while the host pod exists, so it needs the same proof.
pub(super) fn last(pod: &Subject<'_, '_>, host: Option<&Object>, by_host: bool) -> Option<Effect> {
    let shown = || pod.virt.at("/status").cloned().unwrap_or_default();
    let mut status = host.and_then(|host| wanted(pod, host)).unwrap_or_else(shown);
    if !matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
        status["phase"] = json!("Failed");
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            if matches!(condition["type"].as_str(), Some("Ready" | "ContainersReady")) {
                condition["status"] = json!("False");
                condition["reason"] = json!("PodFailed");
            }
        }
    }
    if by_host {
        conditions::disrupt(&mut status, ENDED_BY_HOST);
    }
    let version = Some(pod.virt.resource_version().to_owned());
    let gone = Cause::TwinAbsent { twin: kinds::POD };
    replace(pod, status, version).map(|patch| Effect::PatchVirtual(patch.because(gone)))
}

/// Returns true if a virtual pod carries the mark that its host pod was ended by the host.
pub(super) fn is_ended_by_host(virt: &Object) -> bool {
    conditions::is_disrupted(virt, ENDED_BY_HOST)
}

/// Returns the status of a pod that the host is ending. After its binding the resulting version is not known.
pub(super) fn ending(pod: &Subject<'_, '_>, host: &Object, is_bound_now: bool) -> Option<Effect> {
    let mut status = wanted(pod, host)?;
    conditions::disrupt(&mut status, ENDED_BY_HOST);
    let version = (!is_bound_now).then(|| pod.virt.resource_version().to_owned());
    replace(pod, status, version).map(Effect::PatchVirtual)
}

/// Returns the write of a status that differs from the present one.
fn replace(pod: &Subject<'_, '_>, status: Value, version: Option<String>) -> Option<VirtualPatch> {
    let is_same = patch::same(pod.virt.at("/status").unwrap_or(&Value::Null), &status);
    (!is_same).then(|| write(pod, status, version))
}

fn write(pod: &Subject<'_, '_>, status: Value, version: Option<String>) -> VirtualPatch {
    let patch = VirtualPatch::new(kinds::POD, pod.virt, Some("status"), [("/status", status)]);
    VirtualPatch { version, ..patch }
}

/// Returns the status that the virtual pod should have; `None` when the host has none yet.
fn wanted(pod: &Subject<'_, '_>, host: &Object) -> Option<Value> {
    let mut status = host.at("/status").and_then(Value::as_object).filter(|status| !status.is_empty())?.clone();
    for member in INSIDE {
        keep(&mut status, pod.virt, member);
    }
    let generations = Generations::of(pod.virt, host, pod.cx.facts().is_virtual_since(OBSERVED_SINCE));
    generations.turn(&mut status, pod.virt.at("/status"));
    for (list, containers) in [
        ("initContainerStatuses", "initContainers"),
        ("containerStatuses", "containers"),
        ("ephemeralContainerStatuses", "ephemeralContainers"),
    ] {
        retain_known(&mut status, pod.virt, list, containers);
    }
    let conditions = conditions::wanted(pod.virt, host, &generations);
    if conditions.is_empty() {
        status.remove("conditions");
    } else {
        status.insert("conditions".to_owned(), Value::Array(conditions));
    }
    let mut status = Value::Object(status);
    wording::turn(pod, host, &mut status);
    Some(status)
}

fn keep(status: &mut Map<String, Value>, virt: &Object, member: &str) {
    match virt.at("/status").and_then(|status| status.get(member)) {
        Some(value) => status.insert(member.to_owned(), value.clone()),
        None => status.remove(member),
    };
}

/// Removes the status of containers that the host has added.
fn retain_known(status: &mut Map<String, Value>, virt: &Object, list: &str, containers: &str) {
    let Some(Value::Array(statuses)) = status.get_mut(list) else { return };
    let known = virt.list_at(&format!("/spec/{containers}"));
    statuses.retain(|status| known.iter().any(|container| container["name"] == status["name"]));
    if statuses.is_empty() {
        status.remove(list);
    }
}

/// The minor version since which API servers keep `observedGeneration` of pods by default
/// (KEP-5067). Older ones drop it, so it would be written again and again.
const OBSERVED_SINCE: u32 = 34;

/// Mapping from generations of the host pod to generations of the virtual pod.
struct Generations<'p> {
    virt: &'p Object,
    host: &'p Object,
    /// The generation of the virtual pod, once it is asked for: absent while the host lacks a change of the tenant.
    inside: OnceCell<Option<&'p Value>>,
    /// True if the virtual API server keeps what was observed.
    are_kept: bool,
}

impl<'p> Generations<'p> {
    fn of(virt: &'p Object, host: &'p Object, are_kept: bool) -> Self {
        Self { virt, host, inside: OnceCell::new(), are_kept }
    }

    fn inside(&self) -> Option<&'p Value> {
        let generation = || self.virt.at("/metadata/generation").filter(|_| update::is_followed(self.virt, self.host));
        *self.inside.get_or_init(generation)
    }

    /// Translates `observedGeneration` of a status or a condition. While the host has not seen the
    /// newest generation, the previous value stays.
    fn turn(&self, part: &mut Map<String, Value>, shown: Option<&Value>) {
        const MEMBER: &str = "observedGeneration";
        let Some(seen) = part.remove(MEMBER).filter(|_| self.are_kept) else { return };
        let is_newest = self.host.at("/metadata/generation") == Some(&seen);
        let turned = if is_newest { self.inside() } else { None };
        if let Some(turned) = turned.or_else(|| shown.and_then(|shown| shown.get(MEMBER))) {
            part.insert(MEMBER.to_owned(), turned.clone());
        }
    }
}

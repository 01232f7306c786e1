//! Volumes behind claims: the host pod waits for the copy of each claim. On the host an ephemeral volume is an ordinary
//! one, of the claim that the virtual controller makes for the pod. Inline volumes are for drivers that the
//! configuration names.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Dependency, EventReason, Object, Outcome, VirtualKey, kinds, pointer};

use super::config::Pods;
use super::{Subject, content};

/// Claim that a pod mounts.
struct Claim {
    key: VirtualKey,
    is_ephemeral: bool,
}

/// Returns the claim of a volume. That of an ephemeral one has the name that the kubelet expects: `POD-VOLUME`.
fn claim_of(virt: &Object, volume: &Value) -> Option<Claim> {
    let named = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str);
    let is_ephemeral = volume.get("ephemeral").is_some_and(|source| !source.is_null());
    let name = match (named, is_ephemeral) {
        (Some(name), _) => name.to_owned(),
        (None, true) => format!("{}-{}", virt.name(), volume.get("name").and_then(Value::as_str).unwrap_or_default()),
        (None, false) => return None,
    };
    Some(Claim { key: VirtualKey::new(virt.namespace(), name), is_ephemeral: named.is_none() })
}

/// Replaces every ephemeral volume of a draft by one of its claim.
pub(super) fn turn_ephemeral(pod: &Subject<'_, '_>, draft: &mut Value) {
    for at in pointer::elements(pod.virt.value(), "/spec/volumes") {
        let claim = pod.virt.at(&at).and_then(|volume| claim_of(pod.virt, volume));
        if let Some(claim) = claim.filter(|claim| claim.is_ephemeral) {
            let host_key = pod.cx.host_key(kinds::PERSISTENT_VOLUME_CLAIM, &claim.key);
            pointer::set(draft, &format!("{at}/persistentVolumeClaim"), json!({"claimName": host_key.name()}));
        }
    }
}

/// Returns the wait for claims that are not on the host, as a scheduler waits for claims that do not exist.
pub(super) fn missing(pod: &Subject<'_, '_>) -> Option<Outcome> {
    let kind = kinds::PERSISTENT_VOLUME_CLAIM;
    let mut outcome = Outcome::done();
    for claim in pod.virt.list_at("/spec/volumes").iter().filter_map(|volume| claim_of(pod.virt, volume)) {
        let host_key = pod.cx.host_key(kind, &claim.key);
        let name = claim.key.name();
        let Some(original) = pod.cx.virt(kind, &claim.key) else {
            if !claim.is_ephemeral {
                let message = format!("the PersistentVolumeClaim {name} does not exist");
                outcome = outcome.then(pod.event(EventReason::Degraded, &message)).tell_if_it_lasts(message);
            }
            outcome = outcome.wait_for(Dependency::host(kind, &host_key));
            continue;
        };
        if claim.is_ephemeral && !is_made_for(&original, pod.virt) {
            let message = format!("the PersistentVolumeClaim {name} was not made for this pod");
            outcome = outcome.then(pod.event(EventReason::Degraded, &message)).tell_if_it_lasts(message);
            outcome = outcome.wait_for(Dependency::virt(kind, &claim.key));
        } else if original.is_deleting() {
            let message = format!("the PersistentVolumeClaim {name} is being deleted");
            outcome = outcome.then(pod.event(EventReason::Degraded, &message)).tell_if_it_lasts(message);
            outcome = outcome.wait_for(Dependency::virt(kind, &claim.key));
        } else {
            let copy = pod.cx.host(kind, &host_key).and_then(|copy| pod.cx.owned_by(kind, &claim.key, &copy).ok());
            if copy.is_none_or(|owner| owner.uid != original.uid()) {
                outcome = outcome.wait_for(Dependency::host(kind, &host_key));
                outcome = outcome.tell_if_it_lasts(content::late(kind, &claim.key));
            }
        }
    }
    (!outcome.wait.is_empty()).then_some(outcome)
}

/// Refuses inline volumes of drivers that the configuration does not name.
pub(super) fn of_other_drivers(virt: &Object, pods: &Pods) -> Vec<Refusal> {
    let refusal = |at: String| {
        let driver = virt.str_at(&format!("{at}/csi/driver"))?;
        let why = format!("the driver {driver} is not among pods.csiDrivers");
        let is_listed = pods.csi_drivers.iter().any(|listed| listed == driver);
        (!is_listed).then(|| Refusal { field: pointer::field(&format!("{at}/csi")), why })
    };
    pointer::elements(virt.value(), "/spec/volumes").into_iter().filter_map(refusal).collect()
}

/// Returns true if a pod is the controller of a claim.
fn is_made_for(claim: &Object, pod: &Object) -> bool {
    let owners = claim.list_at("/metadata/ownerReferences");
    owners.iter().any(|owner| owner["controller"] == true && owner["uid"] == pod.uid())
}

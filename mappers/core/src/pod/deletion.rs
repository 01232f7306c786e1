//! How pods end. The side that is deleted first leads, the other follows with its grace
//! period; the tenant sees how the containers ended before the virtual pod goes.

use serde_json::Value;
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{
    Context, Deletion, Dependency, Effect, EventReason, HostKey, MapError, Object, Outcome, VirtualKey, kinds,
};

use super::{Subject, status, tokens};

/// Whose a host pod is, when it stands for a virtual pod of this name.
pub(super) fn owner(cx: &Context<'_>, key: &VirtualKey, host: &Object) -> Result<OwnerRecord, MapError> {
    let owner = cx.owned(kinds::POD, host)?;
    if owner.kind == kinds::POD && owner.namespace == key.namespace() && owner.name == key.name() {
        return Ok(owner);
    }
    Err(MapError::Foreign {
        place: format!("Pod {}/{}", host.namespace(), host.name()),
        why: format!("it belongs to {} {}/{}", owner.kind, owner.namespace, owner.name),
    })
}

/// The virtual pod is gone, or another one has its name: nobody waits for the host pod. A
/// delete that gives it time is cut short.
pub(super) fn orphan(host: &Object, owner: &OwnerRecord) -> Outcome {
    if host.is_deleting() && host.deletion_grace() == Some(0) {
        return Outcome::done();
    }
    Outcome::one(Effect::Delete(Deletion::orphan(kinds::POD, host, owner, kinds::POD)))
}

/// Another pod has taken the name: its host pod has to wait for the place.
pub(super) fn make_room(host: &Object, owner: &OwnerRecord, place: &HostKey) -> Outcome {
    orphan(host, owner).wait_for(Dependency::host(kinds::POD, place))
}

/// Neither pod is there: its tokens go as well.
pub(super) fn leftovers(cx: &Context<'_>, key: &VirtualKey) -> Outcome {
    let deletion =
        tokens::secret(cx, key).map(|(secret, owner)| Deletion::orphan(kinds::SECRET, &secret, &owner, kinds::POD));
    Outcome::done().then_together(deletion.map(Effect::Delete))
}

/// One of the two is being deleted.
pub(super) fn together(pod: &Subject<'_, '_>, host: &Object) -> Outcome {
    let shown = status::effect(pod, host);
    if pod.virt.is_deleting() {
        // The tenant may lose patience: a shorter grace period is passed on, too.
        let is_cut_short = pod.virt.deletion_grace() < host.deletion_grace();
        let follow = Deletion::follow(kinds::POD, host, pod.virt).filter(|_| !host.is_deleting() || is_cut_short);
        return Outcome::done().then_together(follow.map(Effect::Delete)).then_together(shown);
    }
    // A pod that has finished stays as it is: what is left of it is history.
    let follow = Deletion::follow_host(kinds::POD, pod.virt, host).filter(|_| !pod.is_finished());
    Outcome::done().then_each(shown.map(Effect::best_effort)).then_together(follow.map(Effect::Delete))
}

/// The virtual pod is being deleted, and there is no host pod (any more): nothing holds it.
pub(super) fn finish(pod: &Subject<'_, '_>) -> Outcome {
    let last = last_seen(pod).and_then(|last| status::effect(pod, &last));
    Outcome::done()
        .then_each(last.map(Effect::best_effort))
        .then_together(redundant_secret(pod))
        .then_together(farewell(pod))
}

/// The host pod was there and is gone: the virtual one follows, and its controller replaces
/// it.
pub(super) fn lost(pod: &Subject<'_, '_>) -> Outcome {
    finish(pod).then(pod.event(EventReason::Changed, "its pod on the host is gone, so it is deleted"))
}

/// The virtual pod has finished, and its host pod is gone: it stays, for those who count
/// jobs and read exit codes.
pub(super) fn finished(pod: &Subject<'_, '_>) -> Outcome {
    Outcome::done().then_together(redundant_secret(pod))
}

/// Somebody inside has bound the virtual pod to another node than the one that it runs on:
/// it ends on the host first, then inside.
pub(super) fn apart(pod: &Subject<'_, '_>, host: &Object) -> Outcome {
    let message = "it was bound to another node than the host has chosen, so it is deleted";
    Outcome::one(Effect::Delete(Deletion::redundant(kinds::POD, host))).then(pod.event(EventReason::Changed, message))
}

/// Whether a virtual pod without a host pod had one before: then it is not created again.
pub(super) fn was_there(pod: &Subject<'_, '_>) -> bool {
    // The API server itself says of a new pod that its gates are closed.
    let scheduler = |condition: &Value| condition["type"] == "PodScheduled" && condition["reason"] != "SchedulingGated";
    pod.virt.list_at("/status/conditions").iter().any(scheduler)
        || pod.virt.str_at("/status/startTime").is_some()
        || last_seen(pod).is_some()
}

/// The last state of the host pod of this very virtual pod.
fn last_seen(pod: &Subject<'_, '_>) -> Option<Object> {
    let last = pod.cx.last_state(kinds::POD, &pod.place)?;
    owner(pod.cx, pod.key, &last).is_ok_and(|owner| owner.uid == pod.virt.uid()).then_some(last)
}

fn redundant_secret(pod: &Subject<'_, '_>) -> Option<Effect> {
    let (secret, _) = tokens::secret(pod.cx, pod.key)?;
    Some(Effect::Delete(Deletion::redundant(kinds::SECRET, &secret)))
}

/// The delete that removes the virtual pod. One without a grace period was sent already when
/// a finalizer still holds the pod.
fn farewell(pod: &Subject<'_, '_>) -> Option<Effect> {
    let is_sent = pod.virt.is_deleting() && pod.virt.deletion_grace() == Some(0);
    (!is_sent).then(|| Effect::Delete(Deletion::finish(kinds::POD, pod.virt, &pod.place)))
}

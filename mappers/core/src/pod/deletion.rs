//! End of pods. The side that is deleted first leads, and the other follows with its grace
//! period; the tenant sees the final state of the containers before the virtual pod is removed.

use tenet_mapper::keys::BOUND;
use tenet_mapper::{
    Context, Deletion, Dependency, Effect, EventReason, HostKey, Object, Outcome, VirtualKey, kinds, plan,
};

use super::scheduling::Binding;
use super::{Subject, grace, projected, scheduling, status, tenant_nodes};

/// Ends the host pod of a virtual pod that is gone or replaced by another of its name. Nothing inside waits for
/// it, so a graceful delete is cut short.
pub(super) fn orphan(host: &Object) -> Outcome {
    if host.is_deleting() && host.deletion_grace() == Some(0) {
        return Outcome::done();
    }
    Outcome::one(Effect::Delete(Deletion::orphan(kinds::POD, host, kinds::POD)))
}

/// Ends the host pod of an earlier virtual pod of this name; the new one waits until the name is free.
pub(super) fn make_room(host: &Object, host_key: &HostKey) -> Outcome {
    orphan(host).wait_for(Dependency::host(kinds::POD, host_key))
}

/// Removes the Secret beside a pod when neither pod exists.
pub(super) fn leftovers(cx: &Context<'_>, key: &VirtualKey) -> Outcome {
    let deletion = projected::secret(cx, key).map(|(secret, _)| Deletion::orphan(kinds::SECRET, &secret, kinds::POD));
    Outcome::done().then_together(deletion.map(Effect::Delete))
}

/// Handles two pods of which one is being deleted.
pub(super) fn together(pod: &Subject<'_, '_>, host: &Object) -> Outcome {
    let shown = status::effect(pod, host);
    if pod.virt.is_deleting() {
        // The tenant may shorten the grace period later; that is passed on too.
        let is_cut_short = pod.virt.deletion_grace() < host.deletion_grace();
        let follow = Deletion::follow(kinds::POD, host, pod.virt).filter(|_| !host.is_deleting() || is_cut_short);
        let follow = follow.map(|deletion| Effect::Delete(grace::shorten(pod, deletion)));
        return Outcome::done().then_together(follow).then_together(shown);
    }
    // A finished pod stays unchanged as a record.
    let Some(follow) = Deletion::follow_host(kinds::POD, pod.virt, host).filter(|_| !pod.is_finished()) else {
        return Outcome::done().then_each(shown.map(Effect::best_effort));
    };
    // The API server removes a pod that is not bound at once, and its host pod has not ended yet.
    let bind = match scheduling::binding(pod, host) {
        Binding::Follow(bind) => Some(bind),
        Binding::Wait(node) => return Outcome::done().wait_for(node),
        Binding::Same | Binding::Apart => None,
    };
    let shown = status::ending(pod, host, bind.is_some());
    Outcome::done().then_together(bind).then_each(shown.map(Effect::best_effort)).then(Effect::Delete(follow))
}

/// The virtual pod is being deleted, and there is no host pod (any more): nothing holds it.
pub(super) fn finish(pod: &Subject<'_, '_>) -> Outcome {
    end(pod, status::is_ended_by_host(pod.virt))
}

fn end(pod: &Subject<'_, '_>, by_host: bool) -> Outcome {
    let shown = if was_there(pod) { status::last(pod, last_seen(pod).as_ref(), by_host) } else { None };
    // The Secret is needed until the delete has proved that the host pod is gone.
    Outcome::done()
        .then_each(shown.map(Effect::best_effort))
        .then_together(farewell(pod))
        .then_together(redundant_secret(pod))
}

/// Handles a host pod that existed and is gone: the virtual pod is deleted too, and its controller replaces
/// it.
pub(super) fn lost(pod: &Subject<'_, '_>) -> Outcome {
    end(pod, true).then(pod.event(EventReason::Changed, "its pod on the host is gone, so it is deleted"))
}

/// Keeps a finished virtual pod whose host pod is gone, for controllers that count
/// jobs and read exit codes.
pub(super) fn finished(pod: &Subject<'_, '_>) -> Outcome {
    Outcome::done().then_together(redundant_secret(pod))
}

/// Handles a virtual pod that was bound inside to another node than its host pod:
/// it ends on the host first, then inside.
pub(super) fn apart(pod: &Subject<'_, '_>, host: &Object) -> Outcome {
    let message = "it was bound to another node than the host has chosen, so it is deleted";
    Outcome::one(Effect::Delete(Deletion::redundant(kinds::POD, host))).then(pod.event(EventReason::Changed, message))
}

/// Returns true if a virtual pod without a host pod had one before, and so must not be created again.
pub(super) fn was_there(pod: &Subject<'_, '_>) -> bool {
    // A scheduler of the tenant may have bound the pod as well, and any user may say that it is not scheduled: so
    // neither the node nor the condition is evidence. The UID is not that of a pod from which the annotations were
    // copied.
    pod.virt.annotation(BOUND) == Some(pod.virt.uid())
        || pod.virt.str_at("/status/startTime").is_some()
        || last_seen(pod).is_some_and(|last| !tenant_nodes::was_replaced(&last))
}

/// Returns true if a host pod has gone, and somebody else's has its name since.
pub(super) fn has_lost_its_name(pod: &Subject<'_, '_>, host: &Object) -> bool {
    let last = || pod.cx.last_state(kinds::POD, &pod.host_key);
    (pod.virt.is_deleting() || was_there(pod)) && !plan::may_be_copy(host, pod.virt, last().as_ref(), pod.cx.facts())
}

/// Returns the last state of the host pod of exactly this virtual pod.
fn last_seen(pod: &Subject<'_, '_>) -> Option<Object> {
    let last = pod.cx.last_state(kinds::POD, &pod.host_key)?;
    pod.cx.owned_by(kinds::POD, pod.key, &last).is_ok_and(|owner| owner.uid == pod.virt.uid()).then_some(last)
}

fn redundant_secret(pod: &Subject<'_, '_>) -> Option<Effect> {
    let (secret, _) = projected::secret(pod.cx, pod.key)?;
    Some(Effect::Delete(Deletion::redundant(kinds::SECRET, &secret)))
}

/// Returns the delete that removes the virtual pod. A delete without grace period was already sent when
/// a finalizer still holds the pod.
fn farewell(pod: &Subject<'_, '_>) -> Option<Effect> {
    let is_sent = pod.virt.is_deleting() && pod.virt.deletion_grace() == Some(0);
    (!is_sent).then(|| Effect::Delete(Deletion::finish(kinds::POD, pod.virt)))
}

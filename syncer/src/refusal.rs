//! Refusals: the virtual object says why it, or its last change, does not cross.
//!
//! The copy of a change that is refused stays as it was last accepted. The tenant gets an event and, where the kind has
//! conditions, a condition: `tenet.sh/Synced` of an object that is on the host, a condition of its kind (of pods
//! `PodScheduled`) of one that does not. Both go when the object crosses again.

use tenet_mapper::rules::Refusal;
use tenet_mapper::{
    Context, Effect, Event, EventReason, Facts, Kind, MapError, MapperSpec, Object, Side, VirtualKey, condition, plan,
};

use crate::engine::Engine;

const STAYS: &str = "the object on the host stays as it was last accepted";

/// Tells the tenant why an object, or a change of it, is refused.
pub async fn tell(
    engine: &Engine,
    spec: &MapperSpec,
    key: &VirtualKey,
    refusals: Vec<Refusal>,
) -> Result<(), MapError> {
    say(engine, spec, key, EventReason::Refused, MapError::Refused(refusals).to_string()).await
}

/// Returns true if an object says already that it, or a change of it, is refused; also if its kind cannot say so.
pub fn is_told(engine: &Engine, spec: &MapperSpec, key: &VirtualKey) -> bool {
    let is_said = |virt: Object| condition::is_said(&virt, spec.pending_condition);
    !spec.has_conditions || cached(engine, spec.kind, key).is_some_and(is_said)
}

/// Tells the tenant why an object, or a change of it, does not cross.
pub async fn say(
    engine: &Engine,
    spec: &MapperSpec,
    key: &VirtualKey,
    reason: EventReason,
    why: String,
) -> Result<(), MapError> {
    let Some(virt) = cached(engine, spec.kind, key) else { return Ok(()) };
    let has_copy = has_copy(engine, spec.kind, key, &virt);
    let message = if has_copy { format!("{STAYS}: {why}") } else { why };
    let event = Event::warning(spec.kind, &virt, reason, message);
    let message = plan::event::told(&event, &engine.facts.load().names);
    engine.gate.perform(Effect::Emit(event)).await?;
    let related = spec.reports_on.and_then(|on| Some((on.kind, cached(engine, on.kind, &(on.find)(&virt)?)?)));
    if let Some((kind, related)) = related {
        let message = format!("{} {}: {message}", spec.kind.kind, virt.name());
        engine.gate.perform(Effect::Emit(Event::warning(kind, &related, reason, message))).await?;
    }
    if !spec.has_conditions || virt.is_deleting() {
        return Ok(());
    }
    let now = engine.runtime.timestamp();
    let status = match (has_copy, spec.pending_condition) {
        (true, _) => condition::refused(&virt, reason.as_str(), &message, &now),
        // To the tenant a foreign object under the name of the copy is a refusal, too.
        (false, Some(pending)) => {
            let reason = if reason == EventReason::Blocked { EventReason::Refused } else { reason };
            condition::pending(&virt, pending, reason.as_str(), &message, &now)
        }
        (false, None) => None,
    };
    match status {
        Some(status) => {
            tracing::info!(kind = %spec.kind, object = %key, reason = reason.as_str(), message, "refusal told to the tenant");
            engine.gate.set_status(spec.kind, &virt, &status).await.map(drop)
        }
        None => Ok(()),
    }
}

/// Takes the condition away from an object that crosses again.
pub async fn withdraw(engine: &Engine, spec: &MapperSpec, key: &VirtualKey) -> Result<(), MapError> {
    let Some(virt) = cached(engine, spec.kind, key).filter(|virt| !virt.is_deleting()) else { return Ok(()) };
    match condition::accepted(&virt, spec.pending_condition) {
        Some(status) => engine.gate.set_status(spec.kind, &virt, &status).await.map(drop),
        None => Ok(()),
    }
}

fn cached(engine: &Engine, kind: Kind, key: &VirtualKey) -> Option<Object> {
    engine.caches.get(Side::Virtual, kind)?.get(key.namespace(), key.name())
}

/// Returns true if the host has the copy of this very object.
fn has_copy(engine: &Engine, kind: Kind, key: &VirtualKey, virt: &Object) -> bool {
    let facts: &Facts = &engine.facts.load();
    let view = engine.view_of(kind);
    let cx = Context::new(&view, facts, engine.runtime.unix_seconds());
    let copy = cx.host(kind, &cx.host_key(kind, key));
    copy.and_then(|copy| cx.ownership(&copy).ours()).is_some_and(|owner| owner.uid == virt.uid())
}

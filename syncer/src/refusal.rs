//! Refusal of a change of an object that has a copy on the host: the copy stays as it was last
//! accepted, and the virtual object says so, in an event and, where the kind has conditions, in
//! the condition `tenet.sh/Synced`, until a change of it crosses again.

use tenet_mapper::rules::Refusal;
use tenet_mapper::{
    Context, Effect, Event, EventReason, EventType, Facts, Kind, MapError, MapperSpec, Object, Side, VirtualKey,
    condition,
};
use time::format_description::well_known::Rfc3339;

use crate::engine::Engine;

const STAYS: &str = "the object on the host stays as it was last accepted";

/// Tells the tenant why an object, or a change of it, does not cross.
pub async fn tell(
    engine: &Engine,
    spec: &MapperSpec,
    key: &VirtualKey,
    refusals: Vec<Refusal>,
) -> Result<(), MapError> {
    let Some(virt) = cached(engine, spec.kind, key) else { return Ok(()) };
    let has_copy = has_copy(engine, spec.kind, key, &virt);
    let why = MapError::Refused(refusals).to_string();
    let message = if has_copy { format!("{STAYS}: {why}") } else { why };
    let event = Event {
        kind: spec.kind,
        key: key.clone(),
        uid: virt.uid().to_owned(),
        reason: EventReason::Refused,
        event_type: EventType::Warning,
        message: message.clone(),
    };
    engine.gate.perform(Effect::Emit(event)).await?;
    if !has_copy || !spec.has_conditions || virt.is_deleting() {
        return Ok(());
    }
    let now = engine.runtime.now().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
    let now = now.unwrap_or_default();
    match condition::refused(&virt, EventReason::Refused.as_str(), &message, &now) {
        Some(conditions) => engine.gate.set_conditions(spec.kind, &virt, &conditions).await.map(drop),
        None => Ok(()),
    }
}

/// Takes the condition away from an object that crosses again.
pub async fn withdraw(engine: &Engine, kind: Kind, key: &VirtualKey) -> Result<(), MapError> {
    let Some(virt) = cached(engine, kind, key).filter(|virt| !virt.is_deleting()) else { return Ok(()) };
    match condition::accepted(&virt) {
        Some(conditions) => engine.gate.set_conditions(kind, &virt, &conditions).await.map(drop),
        None => Ok(()),
    }
}

fn cached(engine: &Engine, kind: Kind, key: &VirtualKey) -> Option<Object> {
    engine.caches.get(Side::Virtual, kind)?.get(key.namespace(), key.name())
}

/// Returns whether the host has the copy of this very object.
fn has_copy(engine: &Engine, kind: Kind, key: &VirtualKey, virt: &Object) -> bool {
    let facts: &Facts = &engine.facts.load();
    let view = engine.view_of(kind);
    let cx = Context::new(&view, facts, engine.runtime.unix_seconds());
    let copy = cx.host(kind, &cx.host_key(kind, key));
    copy.and_then(|copy| cx.ownership(&copy).ours()).is_some_and(|owner| owner.uid == virt.uid())
}

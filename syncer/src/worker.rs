//! Takes keys from the queue, asks their mapper, and hands the effects to the gate.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tenet_mapper::{Context, Effect, Event, EventReason, EventType, Facts, MapError, Mapper, Next, Outcome, Side};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::gate::Done;
use crate::queue::{Again, Lane, Ticket};
use crate::retry;

/// Works until it is told to stop; what has begun is finished.
pub async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        let ticket = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ticket = engine.queue.pop() => ticket,
        };
        let again = work(&engine, &ticket).await;
        engine.queue.done(&ticket.key, again);
    }
}

/// What was written during one reconcile.
#[derive(Default)]
struct Written {
    down: usize,
    up: usize,
}

async fn work(engine: &Engine, ticket: &Ticket) -> Again {
    let Some(mapper) = engine.mappers.get(usize::from(ticket.key.mapper)) else { return Again::No };
    let kind = mapper.spec().kind.kind;
    let facts = engine.facts.load_full();
    match AssertUnwindSafe(reconcile(engine, mapper.as_ref(), &facts, ticket)).catch_unwind().await {
        Ok(Ok(again)) => {
            engine.metrics.reconciled(kind, "ok");
            again
        }
        Ok(Err(error)) => {
            engine.metrics.reconciled(kind, error.class());
            report(engine, mapper.as_ref(), ticket, &error).await;
            retry::after(&error, ticket.failures)
        }
        Err(_) => {
            engine.metrics.reconciled(kind, "panic");
            engine.metrics.panicked(kind);
            tracing::error!(kind, object = %ticket.key.object, "the mapper panicked; the object is left alone for a while");
            retry::after_panic()
        }
    }
}

async fn reconcile(engine: &Engine, mapper: &dyn Mapper, facts: &Facts, ticket: &Ticket) -> Result<Again, MapError> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let cx = Context::new(&engine.view, facts, now);
    let seen = engine.caches.versions();
    let outcome = match mapper.reconcile(&cx, &ticket.key.object).await {
        Err(MapError::NotReady(dependency)) => Outcome::wait_for(*dependency),
        other => other?,
    };
    let Outcome { effects, next, wait } = outcome;
    perform(engine, mapper, ticket, effects).await?;
    let kind = mapper.spec().kind;
    engine.router.acknowledge(kind, &cx.host_key(kind, &ticket.key.object));
    if wait.is_empty() {
        return Ok(again(next, now));
    }
    let kinds: Vec<_> = wait.iter().map(|dependency| (dependency.side, dependency.kind)).collect();
    engine.router.wait(&ticket.key, wait);
    // What came while the mapper looked may be what it waits for.
    let moved = kinds.iter().any(|kind| engine.caches.version(*kind) != seen.get(kind).copied());
    Ok(if moved { Again::After(Duration::from_millis(1)) } else { Again::After(retry::FALLBACK) })
}

async fn perform(engine: &Engine, mapper: &dyn Mapper, ticket: &Ticket, effects: Vec<Effect>) -> Result<(), MapError> {
    let kind = mapper.spec().kind.kind;
    let mut written = Written::default();
    for effect in effects {
        let side = side_of(&effect);
        if engine.gate.perform(effect).await? == Done::Unchanged {
            continue;
        }
        let lag = engine.queue.age(ticket);
        match side {
            Some(Side::Host) => written.down += 1,
            Some(Side::Virtual) => written.up += 1,
            None => continue,
        }
        if ticket.lane != Lane::Patrol {
            engine.metrics.synced(kind, if side == Some(Side::Host) { "down" } else { "up" }, lag);
        }
    }
    if ticket.lane == Lane::Patrol && written.down + written.up > 0 {
        engine.metrics.drifted(kind, written.down + written.up);
        tracing::warn!(kind, object = %ticket.key.object, down = written.down, up = written.up,
            "the patrol found a difference that no event had told");
    }
    Ok(())
}

/// The side that an effect changes; events change nothing.
fn side_of(effect: &Effect) -> Option<Side> {
    match effect {
        Effect::ApplyHost(_) | Effect::PatchHost(_) => Some(Side::Host),
        Effect::Delete(deletion) => Some(deletion.side()),
        Effect::Emit(_) => None,
        Effect::Together(effects) => effects.iter().find_map(side_of),
        _ => Some(Side::Virtual),
    }
}

fn again(next: Next, now: i64) -> Again {
    match next {
        Next::Done => Again::No,
        Next::After(delay) => Again::After(delay),
        Next::At(instant) => Again::After(Duration::from_secs(u64::try_from(instant - now).unwrap_or(0).max(1))),
    }
}

/// Tells the operator, and, when it concerns the tenant, the tenant.
async fn report(engine: &Engine, mapper: &dyn Mapper, ticket: &Ticket, error: &MapError) {
    let (kind, object) = (mapper.spec().kind, &ticket.key.object);
    let reason = match error {
        MapError::Refused(_) => EventReason::Refused,
        MapError::Foreign { .. } => EventReason::Blocked,
        MapError::Rejected(_) | MapError::Malformed(_) => EventReason::Rejected,
        MapError::Conflict(_) => {
            tracing::debug!(kind = kind.kind, %object, %error, "tried again");
            return;
        }
        _ => {
            tracing::warn!(kind = kind.kind, %object, %error, failures = ticket.failures, "tried again");
            return;
        }
    };
    tracing::info!(kind = kind.kind, %object, %error, class = error.class(), "not synced");
    let Some(virt) =
        engine.caches.get(Side::Virtual, kind).and_then(|cache| cache.get(object.namespace(), object.name()))
    else {
        return;
    };
    let event = Event {
        kind,
        key: object.clone(),
        uid: virt.uid().to_owned(),
        reason,
        event_type: EventType::Warning,
        message: error.to_string(),
    };
    if let Err(error) = engine.gate.perform(Effect::Emit(event)).await {
        tracing::warn!(kind = kind.kind, %object, %error, "the tenant could not be told");
    }
}

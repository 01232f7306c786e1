//! Worker: takes keys from the queue, runs their mapper, and passes the effects to the gate.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tenet_mapper::{
    Contents, Context, Dependency, Effect, EventReason, Facts, MapError, Mapper, MapperSpec, Next, Outcome, Side,
    Stage, Step, VirtualKey,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::NamespacedName;
use crate::engine::Engine;
use crate::gate::{Done, Origin};
use crate::queue::{Again, Key, Lane, Ticket};
use crate::router::Standing;
use crate::view::MapperView;
use crate::{patrol, refusal, retry};

/// Maximum of content reads for one reconcile.
const READS: usize = 3;
/// Time after which the tenant is told what an object waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes keys from the queue and reconciles each in a task of its own, until it is told to stop; reconciles
/// in progress are finished. The queue bounds how many keys of one mapper are at work.
pub async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let ticket = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            ticket = next(&engine) => ticket,
        };
        let worker = Arc::clone(&engine);
        engine.runtime.spawn(Box::pin(tasks.track_future(async move {
            let again = contained(&worker, &ticket).await;
            worker.queue.done(&ticket.key, again);
        })));
    }
    tasks.close();
    tasks.wait().await;
}

/// Returns the next ticket; while writes are suspended, none.
async fn next(engine: &Engine) -> Ticket {
    engine.claim.agreed().await;
    engine.queue.pop().await
}

/// Number of writes of one reconcile.
#[derive(Default)]
struct Written {
    down: usize,
    up: usize,
}

/// Works on a key. A panic beside the mapper quarantines the key as well: it must not stay at work forever.
async fn contained(engine: &Engine, ticket: &Ticket) -> Again {
    let again = AssertUnwindSafe(work(engine, ticket)).catch_unwind().await.unwrap_or_else(|_| {
        engine.metrics.task_panicked("worker");
        let (mapper, object) = (ticket.key.mapper, &ticket.key.object);
        tracing::error!(%mapper, %object, "worker panicked: object quarantined");
        retry::after_panic()
    });
    // A stopped mapper waits for nothing: its start enqueues every key again.
    if engine.router.is_running(ticket.key.mapper) { again } else { Again::No }
}

async fn work(engine: &Engine, ticket: &Ticket) -> Again {
    let Some(mapper) = engine.mappers.get(ticket.key.mapper) else { return Again::No };
    // The mapper was stopped while the key waited; its start enqueues every key again.
    if !engine.router.is_running(ticket.key.mapper) {
        return Again::No;
    }
    let kind = mapper.spec().kind.group_kind().label();
    let facts = engine.facts.load_full();
    match AssertUnwindSafe(reconcile(engine, mapper, &facts, ticket)).catch_unwind().await {
        Ok(Ok((again, result))) => {
            engine.metrics.reconciled(kind, result);
            again
        }
        Ok(Err(error)) => {
            engine.metrics.reconciled(kind, error.class());
            let error = report(engine, mapper, ticket, error).await;
            retry::after(&error, ticket.failures, &*engine.runtime)
        }
        Err(_) => {
            engine.metrics.reconciled(kind, "panic");
            engine.metrics.panicked(kind);
            tracing::error!(kind, object = %ticket.key.object, "mapper panicked: object quarantined");
            retry::after_panic()
        }
    }
}

/// Reconciles a key. Returns its next reconcile, and the result as a word for metrics.
async fn reconcile(
    engine: &Engine,
    mapper: &dyn Mapper,
    facts: &Facts,
    ticket: &Ticket,
) -> Result<(Again, &'static str), MapError> {
    let now = engine.runtime.unix_seconds();
    let seen = engine.caches.versions();
    let view = engine.view.of(ticket.key.mapper);
    let kind = mapper.spec().kind;
    let host_key = Context::new(&view, facts, now).host_key(kind, &ticket.key.object);
    let name = NamespacedName::new(host_key.namespace(), host_key.name());
    let version_of_copy = || engine.caches.get(Side::Host, kind).and_then(|cache| cache.version_of(&name));
    let version = version_of_copy();
    // A last state that comes during the reconcile was not looked at, so it is not acknowledged.
    let last = engine.router.last_states().version(kind, &host_key);
    let decided = decide(engine, mapper, &view, facts, ticket, now).await;
    match &decided {
        Ok(_) => engine.router.judge(&ticket.key, Standing::Admitted),
        // A copy on the host stays as it was last accepted, with all that it needs.
        Err(MapError::Refused(_)) => {
            let standing = if version_of_copy().is_some() { Standing::Admitted } else { Standing::Withheld };
            engine.router.judge(&ticket.key, standing);
        }
        Err(_) => {}
    }
    // Without it a name that is free again would be noticed only at the next try, minutes later.
    let blocked = |error: MapError| {
        if matches!(error, MapError::Foreign { .. }) {
            engine.router.wait(&ticket.key, BTreeSet::from([Dependency::host(kind, &host_key)]));
            // The name may have become free during the reconcile.
            if version_of_copy() != version {
                engine.queue.add(ticket.key.clone(), Lane::Urgent);
            }
        }
        error
    };
    let Outcome { stages, next, wait, lasting, refused, all, wake, settle } = decided.map_err(blocked)?;
    let has_written = perform(engine, mapper, ticket, stages, settle.is_some()).await.map_err(blocked)?;
    // The patrol enqueues all of them by itself.
    if ticket.lane != Lane::Patrol {
        if all {
            patrol::enqueue_originals(engine, mapper.spec(), Lane::Change);
        }
        for object in wake {
            engine.queue.add(Key { mapper: ticket.key.mapper, object }, Lane::Change);
        }
    }
    let result = if refused.is_empty() { "ok" } else { "refused" };
    let patience = PATIENCE.saturating_sub(engine.router.has_waited(&ticket.key, &wait));
    // The reason that was told stays: after a restart the wait begins anew, and nothing is new to the tenant.
    let lasts = !lasting.is_empty() && (patience.is_zero() || view.has_shown_refusal());
    let unsaid = (!lasting.is_empty() && !lasts).then_some(patience);
    if !refused.is_empty() {
        check_defaults(engine, mapper.spec(), &ticket.key.object)?;
        refusal::tell(engine, mapper.spec(), &ticket.key.object, refused).await?;
    } else if lasts {
        let why = lasting.join(", ");
        refusal::say(engine, mapper.spec(), &ticket.key.object, EventReason::Waiting, why).await?;
    } else if view.has_shown_refusal() {
        refusal::withdraw(engine, mapper.spec(), &ticket.key.object).await?;
    }
    if let Some(last) = last {
        engine.router.last_states().acknowledge(kind, &host_key, &last);
    }
    let streams: Vec<_> = wait.iter().map(Dependency::stream).collect();
    engine.router.wait(&ticket.key, wait);
    // A change that arrived during the reconcile may satisfy the wait, so re-check.
    let missed = match streams.as_slice() {
        [] => None,
        streams if engine.caches.have_changed(&seen, streams) => Some(Duration::from_millis(1)),
        _ => Some(retry::FALLBACK),
    };
    let settled = settle.filter(|_| has_written);
    let again = [delay(next, now), missed, settled, unsaid].into_iter().flatten().min().map_or(Again::No, Again::After);
    Ok((again, result))
}

/// Runs the mapper, and reads the content that it requests. The content is dropped with the outcome.
async fn decide(
    engine: &Engine,
    mapper: &dyn Mapper,
    view: &MapperView<'_>,
    facts: &Facts,
    ticket: &Ticket,
    now: i64,
) -> Result<Outcome, MapError> {
    let mut contents = Contents::default();
    for _ in 0..READS {
        let cx = Context::new(view, facts, now).with(&contents);
        match mapper.reconcile(&cx, &ticket.key.object) {
            Err(MapError::NeedsContent(reads)) => engine.view.read(reads, &mut contents).await?,
            decided => return decided,
        }
    }
    match mapper.reconcile(&Context::new(view, facts, now).with(&contents), &ticket.key.object) {
        Err(MapError::NeedsContent(_)) => Err(MapError::Malformed(format!(
            "the mapper {} asked for content more than {READS} times",
            mapper.spec().id
        ))),
        decided => decided,
    }
}

/// Performs the stages in order. The first error of a stage is returned after all of the stage
/// was tried; later stages are skipped. Returns true if anything was written.
async fn perform(
    engine: &Engine,
    mapper: &dyn Mapper,
    ticket: &Ticket,
    stages: Vec<Stage>,
    settles: bool,
) -> Result<bool, MapError> {
    let kind = mapper.spec().kind.group_kind().label();
    let mut written = Written::default();
    for Stage(steps) in stages {
        let all = join_all(steps.into_iter().map(|step| attempt(engine, ticket, step, settles))).await;
        let mut failed = None;
        for result in all {
            match result {
                Ok(None) => {}
                Ok(Some(Side::Host)) => written.down += 1,
                Ok(Some(Side::Virtual)) => written.up += 1,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
    }
    if ticket.lane == Lane::Patrol && written.down + written.up > 0 {
        engine.metrics.drifted(kind, written.down + written.up);
        tracing::warn!(kind, object = %ticket.key.object, down = written.down, up = written.up, "drift detected");
    }
    Ok(written.down + written.up > 0)
}

/// Performs one step. Returns the side that it changed, if any; events change nothing.
async fn attempt(engine: &Engine, ticket: &Ticket, step: Step, settles: bool) -> Result<Option<Side>, MapError> {
    let (target, is_event) = (step.effect.target(), matches!(step.effect, Effect::Emit(_)));
    match engine.gate.perform_for(step.effect, Some(Origin { key: &ticket.key, settles })).await {
        Ok(Done::Unchanged) => Ok(None),
        Ok(Done::Wrote) if is_event => Ok(None),
        Ok(Done::Wrote) => {
            if ticket.lane != Lane::Patrol {
                let direction = if target.side == Side::Host { "down" } else { "up" };
                engine.metrics.synced(engine.kind_of(ticket.key.mapper), direction, engine.queue.age(ticket));
            }
            Ok(Some(target.side))
        }
        Err(error @ (MapError::Rejected(_) | MapError::QuotaExceeded { .. } | MapError::Malformed(_)))
            if step.best_effort =>
        {
            tracing::warn!(%target, object = %ticket.key.object, %error, "best-effort write rejected");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns the time until a key is due although nothing changes.
fn delay(next: Next, now: i64) -> Option<Duration> {
    match next {
        Next::Done => None,
        Next::After(delay) => Some(delay),
        Next::At(instant) => Some(Duration::from_secs(u64::try_from(instant - now).unwrap_or(0).max(1))),
    }
}

/// Returns an error while a refused field may be a default that is not learnt yet.
fn check_defaults(engine: &Engine, spec: &MapperSpec, object: &VirtualKey) -> Result<(), MapError> {
    engine.view.defaults.doubt(spec.kind, refusal::is_told(engine, spec, object));
    engine.view.defaults.check(spec.kind)
}

/// Logs an error, and emits an event when it concerns the tenant. Returns the error that
/// decides when to try again: a refusal that could not be reported is reported later.
async fn report(engine: &Engine, mapper: &dyn Mapper, ticket: &Ticket, error: MapError) -> MapError {
    let (kind, object) = (mapper.spec().kind, &ticket.key.object);
    let reason = match error {
        MapError::Refused(refusals) => {
            let error = MapError::Refused(refusals.clone());
            if let Err(learning) = check_defaults(engine, mapper.spec(), object) {
                return learning;
            }
            tracing::info!(%kind, %object, %error, class = error.class(), "not synced");
            return match refusal::tell(engine, mapper.spec(), object, refusals).await {
                Ok(()) => error,
                Err(untold) => {
                    tracing::warn!(%kind, %object, error = %untold, "cannot report the error to the tenant");
                    untold
                }
            };
        }
        MapError::Foreign { .. } => EventReason::Blocked,
        MapError::Rejected(_) => {
            // The host may reject a default of the virtual API server that is not known as one yet.
            engine.view.defaults.doubt(kind, refusal::is_told(engine, mapper.spec(), object));
            EventReason::Rejected
        }
        MapError::QuotaExceeded { .. } | MapError::Malformed(_) => EventReason::Rejected,
        MapError::Conflict(_) | MapError::Suspended(_) => {
            tracing::debug!(%kind, %object, %error, "reconcile failed: retrying");
            return error;
        }
        _ => {
            tracing::warn!(%kind, %object, %error, failures = ticket.failures, "reconcile failed: retrying");
            return error;
        }
    };
    tracing::info!(%kind, %object, %error, class = error.class(), "not synced");
    if let Err(untold) = refusal::say(engine, mapper.spec(), object, reason, error.to_string()).await {
        tracing::warn!(%kind, %object, error = %untold, "cannot report the error to the tenant");
    }
    error
}

#[cfg(test)]
mod tests;

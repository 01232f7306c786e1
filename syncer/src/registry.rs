//! Starts and stops mappers while the syncer runs.
//!
//! A mapper runs while every stream that it needs is listed. A stream whose API or right is
//! missing stops the mappers that need it, and no other; its informer goes on probing, so a
//! custom resource definition that appears, or a right that is granted, starts them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tenet_mapper::{Kind, Mapper, MapperId, Side};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::informer::Missing;
use crate::mappers::Mappers;
use crate::queue::Lane;
use crate::{learn, patrol};

/// Interval between two checks of all streams while a mapper waits for a list, so that the reason stays current.
const LOOK: Duration = Duration::from_secs(1);
/// The same while none does: each change of a stream is notified, so a check finds nothing new.
const RARE_LOOK: Duration = Duration::from_secs(30);

/// State of one mapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Some of its streams are not listed yet: these.
    Listing(Vec<String>),
    /// It is asked about its keys.
    Running,
    /// An API or a right that it needs is missing: these.
    Off(Vec<String>),
}

/// The streams that a mapper reads.
struct Needs {
    /// Streams without which it cannot run.
    required: BTreeSet<(Side, Kind)>,
    /// The originals of the kinds that refer to its kind. A copy that nothing refers to is removed,
    /// so it cannot judge while objects are there that it may not see.
    referrers: BTreeSet<(Side, Kind)>,
    /// All streams, also those that it can run without once it is known if they exist, in a fixed order.
    all: Vec<(Side, Kind)>,
}

/// The mappers with their states.
pub struct Registry {
    needs: BTreeMap<MapperId, Needs>,
    states: RwLock<BTreeMap<MapperId, State>>,
}

impl Registry {
    /// A registry in which no mapper runs yet.
    pub fn new(mappers: &Mappers) -> Self {
        let needs: BTreeMap<_, _> =
            mappers.iter().map(|mapper| (mapper.spec().id, Needs::of(mapper, mappers))).collect();
        let states = needs.keys().map(|mapper| (*mapper, State::Listing(Vec::new()))).collect();
        Self { needs, states: RwLock::new(states) }
    }

    /// The state of a mapper.
    pub fn state(&self, mapper: MapperId) -> Option<State> {
        self.states.read().get(&mapper).cloned()
    }

    /// Starts and stops mappers until it is told to stop.
    pub async fn run(engine: Arc<Engine>, stop: CancellationToken) {
        let changed = engine.caches.changed();
        loop {
            for mapper in engine.mappers.iter() {
                engine.registry.step(&engine, mapper.spec().id);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = changed.notified() => {}
                () = tokio::time::sleep(engine.registry.pause()) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        let is_listing = self.states.read().values().any(|state| matches!(state, State::Listing(_)));
        if is_listing { LOOK } else { RARE_LOOK }
    }

    /// Stops every mapper until its streams are listed again.
    pub fn start_anew(&self, engine: &Engine) {
        for (mapper, state) in &mut *self.states.write() {
            *state = State::Listing(Vec::new());
            engine.router.stop(*mapper);
            engine.metrics.running(engine.kind_of(*mapper), false);
        }
    }

    /// Compares a mapper with its streams.
    fn step(&self, engine: &Arc<Engine>, mapper: MapperId) {
        let (missing, unlisted) = self.streams(engine, mapper);
        let mut states = self.states.write();
        let Some(state) = states.get_mut(&mapper) else { return };
        match state {
            _ if !missing.is_empty() => {
                let off = State::Off(missing.clone());
                if *state == off {
                    return;
                }
                if !matches!(state, State::Off(_)) {
                    tracing::warn!(
                        %mapper,
                        missing = missing.join("; "),
                        "mapper stopped: an API or a right is missing"
                    );
                    engine.router.stop(mapper);
                    engine.queue.stop(mapper);
                }
                *state = off;
            }
            // A stream that fails for another reason resumes at its last version.
            State::Running => return,
            _ if !unlisted.is_empty() => *state = State::Listing(unlisted),
            _ => {
                *state = State::Running;
                start(engine, mapper);
                return;
            }
        }
        engine.metrics.running(engine.kind_of(mapper), false);
    }

    /// The streams of a mapper that have failed for longer than `span`, with the reasons.
    pub fn behind(&self, engine: &Engine, mapper: MapperId, span: Duration) -> Vec<String> {
        let needs = self.needs.get(&mapper);
        let streams = needs.into_iter().flat_map(|needs| needs.all.iter().copied());
        let failing = streams.filter_map(|(side, kind)| {
            let health = engine.caches.health(side, kind).filter(|health| health.missing.is_none())?;
            let (since, reason) = health.failing?;
            (since.elapsed() > span)
                .then(|| format!("{side} {} for {} s: {reason}", kind.resource(), since.elapsed().as_secs()))
        });
        failing.collect()
    }

    /// The streams of a mapper that are missing, and those that are not listed yet, with the reasons.
    fn streams(&self, engine: &Engine, mapper: MapperId) -> (Vec<String>, Vec<String>) {
        let (mut missing, mut unlisted) = (Vec::new(), Vec::new());
        let Some(needs) = self.needs.get(&mapper) else { return (missing, unlisted) };
        for (side, kind) in needs.all.iter().copied() {
            let Some(health) = engine.caches.health(side, kind) else { continue };
            let stream = || {
                let reason = health.failing.as_ref().map(|(_, reason)| format!(": {reason}")).unwrap_or_default();
                format!("{side} {}{reason}", kind.resource())
            };
            // A kind that is not served has no objects that refer to anything.
            let is_hidden = health.missing == Some(Missing::Forbidden) && needs.referrers.contains(&(side, kind));
            let blocks = is_hidden || (health.missing.is_some() && needs.required.contains(&(side, kind)));
            if blocks {
                missing.push(stream());
            } else if health.missing.is_none() && !health.synced {
                unlisted.push(stream());
            }
        }
        (missing, unlisted)
    }
}

/// Starts a mapper, and enqueues all of its keys.
fn start(engine: &Arc<Engine>, mapper: MapperId) {
    learn::begin(engine, mapper);
    engine.router.start(mapper);
    engine.metrics.running(engine.kind_of(mapper), true);
    tracing::info!(%mapper, "mapper started");
    let (engine, runtime) = (Arc::clone(engine), Arc::clone(&engine.runtime));
    runtime.spawn(Box::pin(async move { patrol::enqueue_mapper(&engine, mapper, Lane::Change).await }));
}

impl Needs {
    /// The inputs of a mapper, and the originals of all kinds that refer to its kind.
    fn of(mapper: &dyn Mapper, all: &Mappers) -> Self {
        let spec = mapper.spec();
        let (mut required, mut optional, mut referrers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for input in &spec.inputs {
            let needs = if input.optional { &mut optional } else { &mut required };
            needs.insert((input.side, input.kind));
        }
        for other in all.iter().map(Mapper::spec) {
            if other.refers_to(spec.kind.group_kind()) {
                referrers.insert((Side::Virtual, other.kind));
            }
        }
        let all: BTreeSet<_> = required.iter().chain(&optional).chain(&referrers).copied().collect();
        Self { required, referrers, all: all.into_iter().collect() }
    }
}

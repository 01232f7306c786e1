//! Router from a change of an object to the keys that it affects.

mod keys;
mod last;
mod refer;
mod references;
mod sources;
mod waits;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::RwLock;
use tenet_mapper::translate::{Foreign, Ownership};
use tenet_mapper::{
    Dependency, Elsewhere, Facts, Input, KeysOf, Kind, Mapper, MapperId, MapperSpec, Object, ObjectRef, Projection,
    Side, VirtualKey,
};

use crate::cache::{Cache, NamespacedName, Sight};
use crate::mappers::Mappers;
use crate::metrics::Metrics;
use crate::queue::{Key, Lane, Queue};
pub use last::LastStates;
use references::References;
pub use references::Standing;
use sources::{Sources, Touched};
use waits::Waits;

/// An input of a mapper.
#[derive(Clone, Debug)]
struct Route {
    mapper: MapperId,
    /// The position among the inputs of the mapper.
    position: usize,
    projection: Projection,
    keys: KeysOf,
}

/// Event of an object that is routed.
#[derive(Clone, Copy)]
enum Event<'e> {
    /// The cache has stored it. The sight says which readers see a difference; the key has caused the change, and is
    /// not enqueued for it.
    Stored(&'e Sight, Option<&'e Key>),
    /// It is gone.
    Gone,
    /// None: every key that it affects is enqueued.
    None,
}

/// Index from objects to keys. It enqueues the keys that a change affects.
pub struct Router {
    mappers: Arc<Mappers>,
    queue: Arc<Queue>,
    routes: HashMap<(Side, Kind), Vec<Route>>,
    elsewhere: Vec<(MapperId, Elsewhere)>,
    /// For each mapper, true while it runs.
    running: BTreeMap<MapperId, AtomicBool>,
    sources: DashMap<(MapperId, usize), Sources>,
    references: RwLock<References>,
    waiting: Waits,
    gone: LastStates,
    cluster: String,
    cluster_id: String,
    /// Configuration that key functions may ask.
    facts: Option<Arc<ArcSwap<Facts>>>,
    /// Counts the panics of key functions.
    metrics: Option<Arc<Metrics>>,
}

impl Router {
    /// A router for these mappers of the virtual cluster `cluster` with the id `cluster_id`.
    pub fn new(mappers: Arc<Mappers>, queue: Arc<Queue>, cluster: &str, cluster_id: &str) -> Self {
        let mut routes: HashMap<_, Vec<Route>> = HashMap::new();
        for mapper in mappers.iter() {
            for (position, input) in mapper.spec().inputs.iter().enumerate() {
                let Input { projection, keys, .. } = *input;
                let route = Route { mapper: mapper.spec().id, position, projection, keys };
                routes.entry((input.side, input.kind)).or_default().push(route);
            }
        }
        for mapper in mappers.iter() {
            queue.settle(mapper.spec().id, mapper.spec().settle);
        }
        let of = |mapper: &dyn Mapper| {
            let id = mapper.spec().id;
            mapper.spec().elsewhere.iter().map(move |elsewhere| (id, *elsewhere)).collect::<Vec<_>>()
        };
        let elsewhere = mappers.iter().flat_map(of).collect();
        let running = mappers.iter().map(|mapper| (mapper.spec().id, AtomicBool::new(false))).collect();
        Self {
            running,
            mappers,
            queue,
            elsewhere,
            routes,
            sources: DashMap::new(),
            references: RwLock::default(),
            waiting: Waits::default(),
            gone: LastStates::default(),
            cluster: cluster.to_owned(),
            cluster_id: cluster_id.to_owned(),
            facts: None,
            metrics: None,
        }
    }

    /// Counts panics of key functions in these metrics.
    #[must_use]
    pub fn counting(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Answers key functions that depend on the configuration from these facts.
    #[must_use]
    pub fn configured(self, facts: Arc<ArcSwap<Facts>>) -> Self {
        Self { facts: Some(facts), ..self }
    }

    /// Returns the declaration of a mapper.
    pub fn spec(&self, mapper: MapperId) -> Option<&MapperSpec> {
        self.mappers.get(mapper).map(Mapper::spec)
    }

    /// Returns the projections of the readers of a kind that a change wakes.
    pub fn readers(&self, side: Side, kind: Kind) -> Vec<Projection> {
        let routes = self.routes.get(&(side, kind)).into_iter().flatten();
        routes.filter(|route| !matches!(route.keys, KeysOf::None)).map(|route| route.projection).collect()
    }

    /// Handles an object that is stored in the cache; `sight` says which readers see a difference.
    pub fn changed(&self, cache: &Cache, object: &Object, sight: &Sight) {
        self.changed_by(cache, object, sight, None);
    }

    /// As [`Self::changed`], for a change that the reconcile of a key has made and that is not news to it: every other
    /// key that the object affects is enqueued.
    pub fn changed_by(&self, cache: &Cache, object: &Object, sight: &Sight, cause: Option<&Key>) {
        if cache.is_elsewhere() {
            self.route_elsewhere(cache, object, Lane::Urgent, |elsewhere| sight.concerns(&elsewhere.projection));
            return;
        }
        let lane = if cache.side() == Side::Host || object.is_deleting() { Lane::Urgent } else { Lane::Change };
        if cache.side() == Side::Virtual {
            self.refer(cache, object, false);
        }
        self.route(cache, object, lane, Event::Stored(sight, cause));
    }

    /// Handles an object that is gone; `last` is its last state.
    pub fn gone(&self, cache: &Cache, last: &Object) {
        if cache.is_elsewhere() {
            self.route_elsewhere(cache, last, Lane::Urgent, |_| true);
            return;
        }
        if cache.side() == Side::Virtual {
            self.refer(cache, last, true);
            self.forget_last_of(cache.kind(), last.uid());
        } else if self.owner_of(last).is_some_and(|owner| owner.kind == cache.kind().group_kind()) {
            // Only the mapper of its own kind acknowledges a last state.
            self.gone.keep(cache.kind(), last);
        }
        self.route(cache, last, Lane::Urgent, Event::Gone);
    }

    /// Forgets the last state of the copy of a virtual object that has gone, while no mapper runs that would
    /// acknowledge it: in a replica that stands by another one shows it.
    fn forget_last_of(&self, kind: Kind, uid: &str) {
        let mapper = self.mappers.of_kind(kind);
        if !mapper.is_some_and(|mapper| self.is_running(mapper.spec().id)) {
            self.gone.forget(kind, |last| self.owner_of(last).is_none_or(|owner| owner.uid != uid));
        }
    }

    /// Last states of host objects that have gone.
    pub fn last_states(&self) -> &LastStates {
        &self.gone
    }

    /// Shows the objects of an input that touch a key, in order of their names, until `visit` returns false. A mapper
    /// often needs one of thousands, so they are taken page by page.
    pub fn visit_sources(
        &self,
        mapper: MapperId,
        position: usize,
        key: &VirtualKey,
        mut visit: impl FnMut(&NamespacedName) -> bool,
    ) {
        let page = |after: Option<&NamespacedName>| {
            self.sources.get(&(mapper, position)).map(|sources| sources.page(key, after)).unwrap_or_default()
        };
        let mut places = page(None);
        while let Some(last) = places.last() {
            if !places.iter().all(&mut visit) {
                return;
            }
            let next = page(Some(last));
            places = next;
        }
    }

    /// Wakes a key when one of these changes, and no longer when one of earlier dependencies does.
    pub fn wait(&self, key: &Key, dependencies: BTreeSet<Dependency>) {
        self.waiting.set(key, dependencies);
    }

    /// Returns how long a key has waited for exactly these dependencies.
    pub fn has_waited(&self, key: &Key, dependencies: &BTreeSet<Dependency>) -> Duration {
        self.waiting.lasted(key, dependencies)
    }

    /// Returns the number of entries that stand for objects: references, sources, waiting keys and last states.
    pub fn len(&self) -> usize {
        let references = self.references.read();
        let sources: usize = self.sources.iter().map(|sources| sources.len()).sum();
        references.len() + sources + self.waiting.len() + self.gone.len()
    }

    /// Returns true if no entry stands for an object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees memory that is no longer needed.
    pub fn compact(&self) {
        self.waiting.compact();
        self.gone.compact();
        for mut sources in self.sources.iter_mut() {
            sources.compact();
        }
        self.references.write().compact();
    }

    /// Returns true if something has woken a key since its reconcile began: it has decided about an earlier state.
    pub fn is_overtaken(&self, key: &Key) -> bool {
        self.queue.is_overtaken(key)
    }

    /// Enqueues all keys that an object affects.
    pub fn enqueue_object(&self, cache: &Cache, object: &Object, lane: Lane) {
        if cache.is_elsewhere() {
            self.route_elsewhere(cache, object, lane, |_| true);
        } else {
            self.route(cache, object, lane, Event::None);
        }
    }

    /// Enqueues these keys of a mapper, while it runs.
    pub fn enqueue_keys(&self, mapper: MapperId, keys: impl IntoIterator<Item = VirtualKey>, lane: Lane) {
        if self.is_running(mapper) {
            for object in keys {
                self.queue.add(Key { mapper, object }, lane);
            }
        }
    }

    /// Enqueues the keys of the mappers that read an object elsewhere on the host. No copies are there, so its owner
    /// record says nothing.
    fn route_elsewhere(&self, cache: &Cache, object: &Object, lane: Lane, sees: impl Fn(&Elsewhere) -> bool) {
        for (mapper, elsewhere) in self.elsewhere.iter().filter(|(_, it)| it.kind == cache.kind() && sees(it)) {
            let keys = self.keys_by_facts(*mapper, object, elsewhere.keys);
            self.enqueue_keys(*mapper, keys, lane);
        }
        self.wake(cache.side(), cache.kind(), object);
    }

    /// Enqueues the keys of one mapper that an object touches.
    pub fn enqueue_for(&self, mapper: MapperId, cache: &Cache, object: &Object, lane: Lane) {
        let routes = self.routes.get(&(cache.side(), cache.kind())).into_iter().flatten();
        for route in routes.filter(|route| route.mapper == mapper) {
            // Reading the record costs a digest, and whole caches pass here when a mapper starts.
            let owner = if matches!(route.keys, KeysOf::Owner) { self.owner_of(object) } else { None };
            self.enqueue(route, self.touched(route, cache, object, owner.as_ref(), false).keys, lane, None);
        }
    }

    /// Starts to enqueue the keys of a mapper.
    pub fn start(&self, mapper: MapperId) {
        if let Some(running) = self.running.get(&mapper) {
            running.store(true, Ordering::Release);
        }
        // An object that has gone before is in no cache. In order, so that one seed of the simulator always gives the
        // same run.
        let gone: BTreeSet<_> =
            self.gone.all().filter_map(|last| self.owner_key(mapper, &self.owner_of(&last)?)).collect();
        for object in gone {
            self.queue.add(Key { mapper, object }, Lane::Change);
        }
    }

    /// Stops to enqueue keys of a mapper, and drops its waiting keys. The indexes are
    /// kept.
    pub fn stop(&self, mapper: MapperId) {
        if let Some(running) = self.running.get(&mapper) {
            running.store(false, Ordering::Release);
        }
        self.waiting.stop(mapper);
    }

    /// Returns true while a mapper runs.
    pub fn is_running(&self, mapper: MapperId) -> bool {
        self.running.get(&mapper).is_some_and(|running| running.load(Ordering::Acquire))
    }

    /// Enqueues the keys of the mappers that see a change.
    fn route(&self, cache: &Cache, object: &Object, lane: Lane, event: Event<'_>) {
        let (side, kind) = (cache.side(), cache.kind());
        let (sight, cause) = match event {
            Event::Stored(sight, cause) => (Some(sight), cause),
            Event::Gone | Event::None => (None, None),
        };
        let ownership = if side == Side::Host { self.ownership(object) } else { None };
        let owner = match ownership {
            Some(Ownership::Ours(owner)) => Some(owner),
            Some(Ownership::Foreign(Foreign::Damaged)) if matches!(event, Event::Stored(..)) => {
                self.alarm(kind, object);
                None
            }
            _ => None,
        };
        for route in self.routes.get(&(side, kind)).into_iter().flatten() {
            // Also called for readers that see no change: it maintains the index of sources.
            let Touched { keys, moved } =
                self.touched(route, cache, object, owner.as_ref(), matches!(event, Event::Gone));
            if !moved && sight.is_some_and(|sight| !sight.concerns(&route.projection)) {
                continue;
            }
            // The mapper of the kind has written it, and has decided about that state already.
            if !(sight.is_some_and(Sight::is_echo) && self.spec(route.mapper).is_some_and(|spec| spec.kind == kind)) {
                self.enqueue(route, keys, lane, cause);
            }
        }
        self.wake(side, kind, object);
    }

    /// Enqueues keys of a route, except the one that has caused the change.
    fn enqueue(&self, route: &Route, keys: Vec<VirtualKey>, lane: Lane, cause: Option<&Key>) {
        if self.is_running(route.mapper) {
            let keys = keys.into_iter().map(|object| Key { mapper: route.mapper, object });
            for key in keys.filter(|key| Some(key) != cause) {
                self.queue.add(key, lane);
            }
        }
    }

    fn wake(&self, side: Side, kind: Kind, object: &Object) {
        let changed = || Dependency::Object(ObjectRef::new(side, kind, object.namespace(), object.name()));
        for key in self.waiting.wake(|| [changed(), Dependency::Any(side, kind)]) {
            self.queue.add(key, Lane::Urgent);
        }
    }

    /// Logs and counts a host object whose owner record was changed: its owner is unknown, so it stays as it is.
    fn alarm(&self, kind: Kind, host: &Object) {
        let object = format!("{}/{}", host.namespace(), host.name());
        tracing::error!(%kind, object, "owner record of a host object was changed: the object is not written or deleted");
        if let Some(metrics) = &self.metrics {
            metrics.damaged(kind);
        }
    }
}

#[cfg(test)]
mod tests;

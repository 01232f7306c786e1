//! Router from a change of an object to the keys that it affects.

mod references;
mod waits;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::RwLock;
use tenet_mapper::translate::{Foreign, OwnerRecord, Ownership};
use tenet_mapper::{
    Dependency, Elsewhere, Facts, GroupKind, HostKey, Input, KeysOf, Kind, Mapper, MapperId, MapperSpec, Object,
    ObjectRef, Projection, Side, VirtualKey,
};

use crate::cache::{Cache, NamespacedName, Sight};
use crate::mappers::Mappers;
use crate::metrics::Metrics;
use crate::panics::contain;
use crate::queue::{Key, Lane, Queue};
pub use references::Standing;
use references::{References, Targets};
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

/// Keys of a route that an object affects.
#[derive(Default)]
struct Touched {
    keys: Vec<VirtualKey>,
    /// True if they differ from the keys that it affected before.
    moved: bool,
}

/// Index of one input in both directions: objects to keys, and keys to objects.
#[derive(Default)]
struct Sources {
    by_object: HashMap<NamespacedName, Vec<VirtualKey>>,
    by_key: HashMap<VirtualKey, BTreeSet<NamespacedName>>,
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

/// Number of sources in a page behind the first, which has one.
const SOURCES_PAGE: usize = 64;

/// Incarnation and version of the last state of a host object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastVersion {
    uid: String,
    version: String,
}

impl LastVersion {
    fn of(last: &Object) -> Self {
        Self { uid: last.uid().to_owned(), version: last.resource_version().to_owned() }
    }
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
    gone: DashMap<(Kind, HostKey), Object>,
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
            gone: DashMap::new(),
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
            let key = HostKey::new(last.namespace(), last.name());
            self.gone.insert((cache.kind(), key), last.clone());
        }
        self.route(cache, last, Lane::Urgent, Event::Gone);
    }

    /// Forgets the last state of the copy of a virtual object that has gone, while no mapper runs that would
    /// acknowledge it: in a replica that stands by another one shows it.
    fn forget_last_of(&self, kind: Kind, uid: &str) {
        let mapper = self.mappers.of_kind(kind);
        if self.gone.is_empty() || mapper.is_some_and(|mapper| self.is_running(mapper.spec().id)) {
            return;
        }
        self.gone.retain(|(of, _), last| *of != kind || self.owner_of(last).is_none_or(|owner| owner.uid != uid));
    }

    /// The last state of a host object that has gone.
    pub fn last_state(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.gone.get(&(kind, key.clone())).map(|object| object.clone())
    }

    /// Returns the incarnation and version of a last state.
    pub fn last_version(&self, kind: Kind, key: &HostKey) -> Option<LastVersion> {
        self.gone.get(&(kind, key.clone())).map(|last| LastVersion::of(&last))
    }

    /// Acknowledges the end of a host object: its last state is not needed any more, unless another one has
    /// come since `seen`.
    pub fn acknowledge(&self, kind: Kind, key: &HostKey, seen: &LastVersion) {
        self.gone.remove_if(&(kind, key.clone()), |_, last| LastVersion::of(last) == *seen);
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
        let mut page = self.sources(mapper, position, key, None);
        while let Some(last) = page.last() {
            if !page.iter().all(&mut visit) {
                return;
            }
            let next = self.sources(mapper, position, key, Some(last));
            page = next;
        }
    }

    /// Returns the page of sources behind this one; the first page without it.
    fn sources(
        &self,
        mapper: MapperId,
        position: usize,
        key: &VirtualKey,
        after: Option<&NamespacedName>,
    ) -> Vec<NamespacedName> {
        let Some(sources) = self.sources.get(&(mapper, position)) else { return Vec::new() };
        let Some(places) = sources.by_key.get(key) else { return Vec::new() };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = if after.is_some() { SOURCES_PAGE } else { 1 };
        places.range::<NamespacedName, _>((start, Bound::Unbounded)).take(page).cloned().collect()
    }

    /// Returns true if an object that is on the host, or may be, refers to this one.
    pub fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.references.read().is_referenced(&(kind.group_kind(), key.clone()))
    }

    /// Returns the virtual kinds whose objects may refer to one of this kind.
    pub fn referrers_of(&self, kind: GroupKind) -> Vec<Kind> {
        self.mappers.iter().map(Mapper::spec).filter(|spec| spec.refers_to(kind)).map(|spec| spec.kind).collect()
    }

    /// Returns true if an object refers to this one and no reconcile has decided yet that the former may not be on the
    /// host.
    pub fn is_mentioned(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.references.read().is_mentioned(&(kind.group_kind(), key.clone()))
    }

    /// Notes what the reconcile of a key says about its references, and wakes the objects that are needed now, or not
    /// any more.
    pub fn judge(&self, key: &Key, standing: Standing) {
        let referrer = (key.mapper, key.object.clone());
        if !self.references.read().stands_otherwise(&referrer, standing) {
            return;
        }
        let changed = self.references.write().judge(&referrer, standing);
        for (kind, key) in &changed {
            self.enqueue_kind(*kind, key);
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
        let sources: usize = self.sources.iter().map(|sources| sources.by_object.len() + sources.by_key.len()).sum();
        references.len() + sources + self.waiting.len() + self.gone.len()
    }

    /// Returns true if no entry stands for an object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees memory that is no longer needed.
    pub fn compact(&self) {
        self.waiting.compact();
        self.gone.shrink_to_fit();
        for mut sources in self.sources.iter_mut() {
            sources.by_object.shrink_to_fit();
            sources.by_key.shrink_to_fit();
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

    fn keys_by_facts(
        &self,
        mapper: MapperId,
        object: &Object,
        keys_of: fn(&Facts, &Object) -> Vec<VirtualKey>,
    ) -> Vec<VirtualKey> {
        let Some(facts) = self.facts.as_ref().map(|facts| facts.load()) else { return Vec::new() };
        self.contain(mapper, object, || keys_of(&facts, object)).unwrap_or_default()
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
            self.gone.iter().filter_map(|last| self.owner_key(mapper, &self.owner_of(&last)?)).collect();
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

    /// Returns the keys of a route that an object affects; `owner` is its owner record.
    fn touched(
        &self,
        route: &Route,
        cache: &Cache,
        object: &Object,
        owner: Option<&OwnerRecord>,
        gone: bool,
    ) -> Touched {
        let keys = match route.keys {
            KeysOf::None => Vec::new(),
            KeysOf::Own => vec![VirtualKey::new(object.namespace(), object.name())],
            KeysOf::Owner => owner.and_then(|owner| self.owner_key(route.mapper, owner)).into_iter().collect(),
            KeysOf::Configured(keys_of) => self.keys_by_facts(route.mapper, object, keys_of),
            KeysOf::With(keys_of) => {
                match self.contain(route.mapper, object, || keys_of(object)) {
                    Some(keys) => return self.reindex(route, cache, object, keys, gone),
                    None if gone => return self.reindex(route, cache, object, Vec::new(), gone),
                    // The index stays as it is: its entries keep other objects alive.
                    None => self.indexed(route, object),
                }
            }
        };
        Touched { keys, moved: false }
    }

    /// Runs code of a mapper about an object. A panic costs that mapper this object: the others are woken.
    fn contain<T>(&self, mapper: MapperId, object: &Object, run: impl FnOnce() -> T) -> Option<T> {
        let at = format!("{mapper} {}/{}", object.namespace(), object.name());
        contain(self.metrics.as_deref(), "router", at, run)
    }

    /// Returns the keys of a route that the index has for an object.
    fn indexed(&self, route: &Route, object: &Object) -> Vec<VirtualKey> {
        let object_key = NamespacedName::new(object.namespace(), object.name());
        let sources = self.sources.get(&(route.mapper, route.position));
        sources.and_then(|sources| sources.by_object.get(&object_key).cloned()).unwrap_or_default()
    }

    /// Records the keys that an object affects now. Returns them with those that it affected before.
    fn reindex(&self, route: &Route, cache: &Cache, object: &Object, keys: Vec<VirtualKey>, gone: bool) -> Touched {
        let object_key = NamespacedName::new(object.namespace(), object.name());
        let mut sources = self.sources.entry((route.mapper, route.position)).or_default();
        if !is_last(cache, object, gone) {
            return Touched { keys, moved: false };
        }
        let now = if gone { Vec::new() } else { keys };
        let before = if now.is_empty() {
            sources.by_object.remove(&object_key)
        } else {
            sources.by_object.insert(object_key.clone(), now.clone())
        };
        let before = before.unwrap_or_default();
        for key in before.iter().filter(|key| !now.contains(key)) {
            if let Some(places) = sources.by_key.get_mut(key) {
                places.remove(&object_key);
                if places.is_empty() {
                    sources.by_key.remove(key);
                }
            }
        }
        for key in now.iter().filter(|key| !before.contains(key)) {
            sources.by_key.entry(key.clone()).or_default().insert(object_key.clone());
        }
        let moved = now != before;
        let mut keys = now;
        keys.extend(before);
        keys.sort_unstable();
        keys.dedup();
        Touched { keys, moved }
    }

    fn owner_of(&self, host: &Object) -> Option<OwnerRecord> {
        self.ownership(host)?.ours()
    }

    fn ownership(&self, host: &Object) -> Option<Ownership> {
        Some(OwnerRecord::read(host.value().get("metadata")?, &self.cluster, &self.cluster_id))
    }

    fn owner_key(&self, mapper: MapperId, owner: &OwnerRecord) -> Option<VirtualKey> {
        let is_own = owner.kind == self.mappers.get(mapper)?.spec().kind;
        is_own.then(|| VirtualKey::new(owner.namespace.as_str(), owner.name.as_str()))
    }

    /// Logs and counts a host object whose owner record was changed: its owner is unknown, so it stays as it is.
    fn alarm(&self, kind: Kind, host: &Object) {
        let object = format!("{}/{}", host.namespace(), host.name());
        tracing::error!(%kind, object, "owner record of a host object was changed: the object is not written or deleted");
        if let Some(metrics) = &self.metrics {
            metrics.damaged(kind);
        }
    }

    /// Records the references of a virtual object and wakes objects that are newly needed, or not any
    /// more.
    fn refer(&self, cache: &Cache, object: &Object, gone: bool) {
        let Some(spec) = self.mappers.of_kind(cache.kind()).map(Mapper::spec) else { return };
        if spec.table.is_none() {
            return;
        }
        let namespace = object.namespace();
        let now: Targets = if gone || !(spec.refers)(object) {
            Targets::new()
        } else {
            // Without an answer the references stay as they are: they keep other objects alive.
            let Some(references) = self.contain(spec.id, object, || spec.references(object)) else { return };
            references.into_iter().map(|r| (r.kind, r.name)).collect()
        };
        let referrer = (spec.id, VirtualKey::new(namespace, object.name()));
        let changed = {
            let mut references = self.references.write();
            if !is_last(cache, object, gone) {
                return;
            }
            references.replace(referrer, now)
        };
        for (kind, key) in &changed {
            self.enqueue_kind(*kind, key);
        }
    }

    fn enqueue_kind(&self, kind: GroupKind, object: &VirtualKey) {
        let mapper = self.mappers.of_kind(kind).map(|mapper| mapper.spec().id);
        if let Some(mapper) = mapper.filter(|mapper| self.is_running(*mapper)) {
            self.queue.add(Key { mapper, object: object.clone() }, Lane::Change);
        }
    }
}

/// Returns true if a change is still the latest of its object. The cache and its indexes are
/// not written together, so two changes may arrive in the wrong order; the older one is
/// ignored, because the newer one arrives as well. Call it with the index
/// locked.
fn is_last(cache: &Cache, object: &Object, gone: bool) -> bool {
    if gone { !cache.is_taken(object) } else { cache.holds(object) }
}

#[cfg(test)]
mod tests;

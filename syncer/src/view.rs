//! Read access of mappers: caches and single reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::RwLock;
use tenet_mapper::rules::Defaults;
use tenet_mapper::{
    Bound, Contents, HostKey, Kind, MapError, MapperId, MapperSpec, Object, ObjectRef, Read, Reading, Side, View,
    VirtualKey, condition,
};
use tokio::sync::Notify;

use crate::api::{Api, Target};
use crate::cache::{Cache, NamespacedName};
use crate::gate::errors;
use crate::informer::{Health, Missing};
use crate::learn::Learnt;
use crate::router::Router;

/// A cache and the health of each stream into it.
type Cached = (Arc<Cache>, Vec<Arc<RwLock<Health>>>);

/// A cache and the health of its only stream.
type Stream = (Arc<Cache>, Arc<RwLock<Health>>);

/// The caches of both sides.
#[derive(Default)]
pub struct Caches {
    by_kind: BTreeMap<(Side, Kind), Cached>,
    /// Objects that mappers read elsewhere on the host, by kind and namespace.
    elsewhere: RwLock<BTreeMap<(Kind, String), Stream>>,
    changed: Arc<Notify>,
}

impl Caches {
    /// Adds a cache and the health of a stream into it.
    pub fn add(&mut self, cache: Arc<Cache>, health: Arc<RwLock<Health>>) {
        let (_, streams) = self.by_kind.entry((cache.side(), cache.kind())).or_insert_with(|| (cache, Vec::new()));
        streams.push(health);
    }

    /// Returns the signal that is notified when the health of a stream has changed.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// The cache of a kind on one side.
    pub fn get(&self, side: Side, kind: Kind) -> Option<&Arc<Cache>> {
        self.by_kind.get(&(side, kind)).map(|(cache, _)| cache)
    }

    /// Adds the cache of a stream of host objects elsewhere.
    pub fn add_elsewhere(&self, namespace: &str, cache: Arc<Cache>, health: Arc<RwLock<Health>>) {
        self.elsewhere.write().insert((cache.kind(), namespace.to_owned()), (cache, health));
    }

    /// Removes the cache of a stream of host objects elsewhere.
    pub fn remove_elsewhere(&self, kind: Kind, namespace: &str) {
        self.elsewhere.write().remove(&(kind, namespace.to_owned()));
    }

    /// The cache of the host objects that are read elsewhere.
    pub fn elsewhere(&self, kind: Kind, namespace: &str) -> Option<Arc<Cache>> {
        self.elsewhere.read().get(&(kind, namespace.to_owned())).map(|(cache, _)| Arc::clone(cache))
    }

    /// The state of a stream of host objects elsewhere.
    pub fn reading(&self, kind: Kind, namespace: &str) -> Reading {
        let streams = self.elsewhere.read();
        let Some((_, health)) = streams.get(&(kind, namespace.to_owned())) else { return Reading::Listing };
        match &*health.read() {
            Health { missing: Some(Missing::Forbidden), .. } => Reading::Forbidden,
            Health { synced: true, .. } => Reading::Listed,
            Health { .. } => Reading::Listing,
        }
    }

    /// All caches of host objects elsewhere, in a fixed order.
    pub fn all_elsewhere(&self) -> Vec<Arc<Cache>> {
        self.elsewhere.read().values().map(|(cache, _)| Arc::clone(cache)).collect()
    }

    /// The health of a kind: that of all its streams together.
    pub fn health(&self, side: Side, kind: Kind) -> Option<Health> {
        let (_, streams) = self.by_kind.get(&(side, kind))?;
        streams.iter().map(|health| health.read().clone()).reduce(Health::and)
    }

    /// Returns how often each cache has changed, in a fixed order.
    pub fn versions(&self) -> Vec<u64> {
        self.by_kind.values().map(|(cache, _)| cache.changes()).collect()
    }

    /// Returns true if one of these caches has changed since [`Self::versions`] was `seen`.
    pub fn have_changed(&self, seen: &[u64], caches: &[(Side, Kind)]) -> bool {
        self.by_kind.iter().zip(seen).any(|((key, (cache, _)), seen)| caches.contains(key) && cache.changes() != *seen)
    }

    /// Lets every stream of a side list anew, and forget what it knows of versions.
    pub fn start_anew(&self, side: Side) {
        for (_, (cache, streams)) in self.by_kind.iter().filter(|((at, _), _)| *at == side) {
            cache.forget_newest();
            for health in streams {
                let mut health = health.write();
                health.synced = false;
                health.anew.notify_one();
            }
        }
        if side == Side::Host {
            for (cache, health) in self.elsewhere.read().values() {
                cache.forget_newest();
                let mut health = health.write();
                health.synced = false;
                health.anew.notify_one();
            }
        }
        self.changed.notify_one();
    }

    /// All caches, in a fixed order.
    pub fn all(&self) -> Vec<&Arc<Cache>> {
        self.by_kind.values().map(|(cache, _)| cache).collect()
    }
}

/// Read access that all mappers share.
pub struct EngineView {
    /// The caches.
    pub caches: Arc<Caches>,
    /// Index from objects to keys.
    pub router: Arc<Router>,
    /// Defaults of the virtual API server.
    pub defaults: Learnt,
    /// The virtual API server, for single reads.
    pub virt: Api,
    /// The host API server, for single reads.
    pub host: Api,
    /// Time limit of a read.
    pub limit: Duration,
}

/// The view of one mapper.
pub struct MapperView<'e> {
    engine: &'e EngineView,
    mapper: MapperId,
    spec: Option<&'e MapperSpec>,
    shown_refusal: AtomicBool,
}

impl MapperView<'_> {
    /// Returns true if a virtual object that was looked up says that it, or its last change, does not cross: that may
    /// have to be withdrawn.
    pub fn has_shown_refusal(&self) -> bool {
        self.shown_refusal.load(Ordering::Relaxed)
    }

    /// The cache of what the mapper reads elsewhere in a host namespace.
    fn elsewhere(&self, side: Side, kind: Kind, namespace: &str) -> Option<Arc<Cache>> {
        let is_read = side == Side::Host && self.spec?.elsewhere.iter().any(|elsewhere| elsewhere.kind == kind);
        if is_read { self.engine.caches.elsewhere(kind, namespace) } else { None }
    }
}

impl EngineView {
    /// The view of a mapper.
    pub fn of(&self, mapper: MapperId) -> MapperView<'_> {
        MapperView { engine: self, mapper, spec: self.router.spec(mapper), shown_refusal: AtomicBool::new(false) }
    }

    /// Reads whole virtual objects, and the metadata of host objects, from the API servers.
    pub async fn read(&self, reads: BTreeSet<Read>, contents: &mut Contents) -> Result<(), MapError> {
        let answers = join_all(reads.into_iter().map(async |read| {
            let object = &read.object;
            let target = Target::new(object.kind, &object.namespace, &object.name);
            let answer = match object.side {
                Side::Virtual => self.virt.get(&target, self.limit).await,
                Side::Host => self.host.get_metadata(&target, self.limit).await,
            };
            (read, answer)
        }));
        for (read, answer) in answers.await {
            contents.insert(read, answer.map_err(errors::classify)?.map(Object::new));
        }
        Ok(())
    }
}

impl View for MapperView<'_> {
    fn get(&self, object: &ObjectRef) -> Option<Object> {
        let key = NamespacedName::from(object);
        let own = self.engine.caches.get(object.side, object.kind).and_then(|cache| cache.get_at(&key));
        let elsewhere = || self.elsewhere(object.side, object.kind, &object.namespace)?.get_at(&key);
        let found = own.or_else(elsewhere)?;
        if object.side == Side::Virtual
            && let Some(spec) = self.spec.filter(|spec| spec.kind == object.kind && spec.has_conditions)
            && condition::is_said(&found, spec.pending_condition)
        {
            self.shown_refusal.store(true, Ordering::Relaxed);
        }
        Some(found)
    }

    fn list(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Object> {
        let mut all = self.engine.caches.get(side, kind).map(|cache| cache.list(namespace)).unwrap_or_default();
        if let Some(cache) = self.elsewhere(side, kind, namespace) {
            all.extend(cache.list(namespace));
            all.sort_by(|one, other| one.name().cmp(other.name()));
            all.dedup_by(|one, other| one.name() == other.name());
        }
        all
    }

    fn last_state(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.engine.router.last_states().get(kind, key)
    }

    fn visit_sources(&self, input: Bound, key: &VirtualKey, visit: &mut dyn FnMut(Object) -> bool) {
        let Some(cache) = self.engine.caches.get(input.side, input.kind) else { return };
        self.engine.router.visit_sources(self.mapper, input.position, key, |object_key| {
            cache.get_at(object_key).is_none_or(&mut *visit)
        });
    }

    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.engine.router.is_referenced(kind, key)
    }

    fn is_mentioned(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.engine.router.is_mentioned(kind, key)
    }

    fn can_read(&self, side: Side, kind: Kind) -> bool {
        self.engine.caches.health(side, kind).is_some_and(|health| health.synced && health.missing.is_none())
    }

    fn reading(&self, kind: Kind, namespace: &str) -> Reading {
        self.engine.caches.reading(kind, namespace)
    }

    fn defaults(&self, kind: Kind) -> Arc<Defaults> {
        self.engine.defaults.of(kind)
    }
}

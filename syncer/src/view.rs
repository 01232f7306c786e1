//! What mappers see: the caches and single reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::Defaults;
use tenet_mapper::{HostKey, Kind, MapError, Object, Side, View, VirtualKey, async_trait, kinds};

use crate::api::{Api, Target};
use crate::cache::Cache;
use crate::gate::errors;
use crate::informer::Health;
use crate::router::Router;

/// A cache and how its stream is doing.
type Stream = (Arc<Cache>, Arc<RwLock<Health>>);

/// The caches of both sides.
#[derive(Default)]
pub struct Caches {
    caches: HashMap<(Side, Kind), Stream>,
}

impl Caches {
    /// Adds a cache and the health of its stream.
    pub fn add(&mut self, cache: Arc<Cache>, health: Arc<RwLock<Health>>) {
        self.caches.insert((cache.side(), cache.kind()), (cache, health));
    }

    /// The cache of a kind on one side.
    pub fn get(&self, side: Side, kind: Kind) -> Option<&Arc<Cache>> {
        self.caches.get(&(side, kind)).map(|(cache, _)| cache)
    }

    /// How the stream of a kind is doing.
    pub fn health(&self, side: Side, kind: Kind) -> Option<Health> {
        self.caches.get(&(side, kind)).map(|(_, health)| health.read().clone())
    }

    /// The virtual nodes that are pictures of ours, in order of their names.
    pub fn virtual_nodes(&self, cluster: &str) -> Vec<Object> {
        let mut nodes = self.get(Side::Virtual, kinds::NODE).map(|cache| cache.list("")).unwrap_or_default();
        nodes.retain(|node| node.label(MANAGED_BY) == Some(cluster));
        nodes
    }

    /// How often the cache of a kind has changed.
    pub fn version(&self, (side, kind): (Side, Kind)) -> Option<u64> {
        self.get(side, kind).map(|cache| cache.changes())
    }

    /// How often each cache has changed.
    pub fn versions(&self) -> HashMap<(Side, Kind), u64> {
        self.caches.iter().map(|(key, (cache, _))| (*key, cache.changes())).collect()
    }

    /// All caches with the health of their streams, in a fixed order.
    pub fn all(&self) -> Vec<(&Arc<Cache>, Health)> {
        let mut all: Vec<_> = self.caches.values().map(|(cache, health)| (cache, health.read().clone())).collect();
        all.sort_by_key(|(cache, _)| (cache.side(), cache.kind()));
        all
    }
}

/// The view that workers hand to mappers.
pub struct EngineView {
    /// The caches.
    pub caches: Arc<Caches>,
    /// Who touches what.
    pub router: Arc<Router>,
    /// What the virtual API server fills in.
    pub defaults: ArcSwap<HashMap<Kind, Arc<Defaults>>>,
    /// The virtual API server, for single reads.
    pub virt: Api,
    /// How long a read may take.
    pub limit: Duration,
}

#[async_trait]
impl View for EngineView {
    fn get(&self, side: Side, kind: Kind, namespace: &str, name: &str) -> Option<Object> {
        self.caches.get(side, kind)?.get(namespace, name)
    }

    fn last_seen(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.router.last_seen(kind, key)
    }

    fn sources(&self, mapper: &str, side: Side, kind: Kind, key: &VirtualKey) -> Vec<Object> {
        let Some(cache) = self.caches.get(side, kind) else { return Vec::new() };
        let places = self.router.sources(mapper, side, kind, key);
        places.iter().filter_map(|place| cache.get_at(place)).collect()
    }

    fn find_source(
        &self,
        mapper: &str,
        side: Side,
        kind: Kind,
        key: &VirtualKey,
        wanted: &(dyn Fn(&Object) -> bool + Send + Sync),
    ) -> Option<Object> {
        let cache = self.caches.get(side, kind)?;
        self.router.find_source(mapper, side, kind, key, |place| cache.get_at(place).filter(|object| wanted(object)))
    }

    fn list(&self, kind: Kind, namespace: &str) -> Vec<Object> {
        self.caches.get(Side::Virtual, kind).map(|cache| cache.list(namespace)).unwrap_or_default()
    }

    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.router.is_referenced(kind, key)
    }

    fn can_read(&self, side: Side, kind: Kind) -> bool {
        self.caches.health(side, kind).is_some_and(|health| health.synced && !health.unreadable)
    }

    fn defaults(&self, kind: Kind) -> Arc<Defaults> {
        self.defaults.load().get(&kind).cloned().unwrap_or_default()
    }

    async fn fetch(&self, kind: Kind, key: &VirtualKey) -> Result<Option<Object>, MapError> {
        let target = Target::new(kind, key.namespace(), key.name());
        match self.virt.get(&target, self.limit).await {
            Ok(object) => Ok(object.map(Object::new)),
            Err(error) => Err(errors::classify(error)),
        }
    }
}

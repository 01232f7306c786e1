//! Keys that an object affects.

use tenet_mapper::translate::{OwnerRecord, Ownership};
use tenet_mapper::{Facts, KeysOf, MapperId, Object, VirtualKey};

use super::sources::Touched;
use super::{Route, Router};
use crate::cache::{Cache, NamespacedName};
use crate::panics::contain;

impl Router {
    pub(super) fn keys_by_facts(
        &self,
        mapper: MapperId,
        object: &Object,
        keys_of: fn(&Facts, &Object) -> Vec<VirtualKey>,
    ) -> Vec<VirtualKey> {
        let Some(facts) = self.facts.as_ref().map(|facts| facts.load()) else { return Vec::new() };
        self.contain(mapper, object, || keys_of(&facts, object)).unwrap_or_default()
    }

    /// Returns the keys of a route that an object affects; `owner` is its owner record.
    pub(super) fn touched(
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
    pub(super) fn contain<T>(&self, mapper: MapperId, object: &Object, run: impl FnOnce() -> T) -> Option<T> {
        let at = format_args!("{mapper} {}/{}", object.namespace(), object.name());
        contain(self.metrics.as_deref(), "router", at, run)
    }

    /// Returns the keys of a route that the index has for an object.
    fn indexed(&self, route: &Route, object: &Object) -> Vec<VirtualKey> {
        let object_key = NamespacedName::new(object.namespace(), object.name());
        self.sources.get(&(route.mapper, route.position)).map(|sources| sources.keys(&object_key)).unwrap_or_default()
    }

    /// Records the keys that an object affects now. Returns them with those that it affected before.
    fn reindex(&self, route: &Route, cache: &Cache, object: &Object, keys: Vec<VirtualKey>, gone: bool) -> Touched {
        let object_key = NamespacedName::new(object.namespace(), object.name());
        let mut sources = self.sources.entry((route.mapper, route.position)).or_default();
        if !is_last(cache, object, gone) {
            return Touched { keys, moved: false };
        }
        sources.replace(&object_key, if gone { Vec::new() } else { keys })
    }

    pub(super) fn owner_of(&self, host: &Object) -> Option<OwnerRecord> {
        self.ownership(host)?.ours()
    }

    pub(super) fn ownership(&self, host: &Object) -> Option<Ownership> {
        Some(OwnerRecord::read(host.value().get("metadata")?, &self.cluster, &self.cluster_id))
    }

    pub(super) fn owner_key(&self, mapper: MapperId, owner: &OwnerRecord) -> Option<VirtualKey> {
        let is_own = owner.kind == self.mappers.get(mapper)?.spec().kind;
        is_own.then(|| VirtualKey::new(owner.namespace.as_str(), owner.name.as_str()))
    }
}

/// Returns true if a change is still the latest of its object. The cache and its indexes are
/// not written together, so two changes may arrive in the wrong order; the older one is
/// ignored, because the newer one arrives as well. Call it with the index
/// locked.
pub(super) fn is_last(cache: &Cache, object: &Object, gone: bool) -> bool {
    if gone { !cache.is_taken(object) } else { cache.holds(object) }
}

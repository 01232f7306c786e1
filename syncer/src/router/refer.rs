//! References of the objects that the router sees: which keys they wake.

use tenet_mapper::{GroupKind, Kind, Mapper, Object, VirtualKey};

use super::Router;
use super::keys::is_last;
use super::references::{Standing, Targets};
use crate::cache::Cache;
use crate::queue::{Key, Lane};

impl Router {
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

    /// Records the references of a virtual object and wakes objects that are newly needed, or not any
    /// more.
    pub(super) fn refer(&self, cache: &Cache, object: &Object, gone: bool) {
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

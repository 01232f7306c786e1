//! Caches as the gate sees them: it reads them before a write, and stores the answer.

use std::sync::Arc;

use serde_json::Value;
use tenet_mapper::plan::{self, Payload, Write};
use tenet_mapper::{Kind, MapError, Object, ObjectRef, Side};

use super::{Gate, Origin, is_shown_status};
use crate::api::Target;
use crate::cache::{Cache, Change};
use crate::queue::Key;
use crate::quorum;

impl Gate {
    pub(super) fn cached(&self, object: &ObjectRef) -> Option<Object> {
        let caches = self.caches_of(object.side, object.kind, &object.namespace);
        caches.iter().find_map(|cache| cache.get_at(&object.into()))
    }

    /// The caches of the objects of a kind in a namespace. What mappers read beside their inputs is in caches of its own:
    /// the objects of other namespaces of the host, and in the host namespace those that are no copies.
    pub(super) fn caches_of(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Arc<Cache>> {
        let is_on_host = side == Side::Host && kind.namespaced;
        let is_own = !is_on_host || self.parts.facts.load().names.host_namespace("") == namespace;
        let own = self.parts.caches.get(side, kind).filter(|_| is_own).map(Arc::clone);
        let elsewhere = if is_on_host { self.parts.caches.elsewhere(kind, namespace) } else { None };
        own.into_iter().chain(elsewhere).collect()
    }

    /// Replaces what the cache holds of an object by a quorum read. The next reconcile then acts on the state
    /// of the server, and does not wait for a watch that may be late. Returns true if the cache has changed.
    pub(crate) async fn refresh(&self, object: &ObjectRef) -> Result<bool, MapError> {
        let ObjectRef { side, kind, namespace, name } = object;
        let caches = self.caches_of(*side, *kind, namespace).into_iter();
        let known: Vec<_> = caches.map(|cache| (cache.get_at(&object.into()), cache)).collect();
        let found = self.read(*side, &Target::new(*kind, namespace, name)).await?;
        let mut has_changed = false;
        for (cached, cache) in &known {
            let uid = cached.as_ref().map(Object::uid);
            has_changed |= quorum::take(cache, &self.parts.router, &object.into(), uid, found.clone());
        }
        Ok(has_changed)
    }

    /// Removes an object from the cache that the server reports absent. Returns true if the cache had it.
    pub(super) fn forget(&self, object: &ObjectRef, uid: &str) -> bool {
        let Some(cache) = self.parts.caches.get(object.side, object.kind) else { return false };
        quorum::take(cache, &self.parts.router, &object.into(), Some(uid), None)
    }

    /// Stores the server's answer in the cache, so that the next reconcile does not act
    /// on an older state. Returns true if the cache has changed.
    pub(super) fn ingest(&self, side: Side, kind: Kind, object: Value) -> bool {
        self.store(side, kind, object, |_| None)
    }

    /// Stores the answer to a write. It does not enqueue the key of the reconcile when it is not news to it.
    pub(super) fn take(&self, write: &Write, cached: Option<&Object>, answer: Value, origin: Option<Origin<'_>>) {
        self.store(write.target.side, write.target.kind, answer, |answer| {
            let is_known = |origin: &Origin<'_>| match (&write.payload, cached) {
                (Payload::Create { .. }, _) => origin.settles,
                // A status is the last step of a mapper; what is written beside it may be one of several.
                (_, Some(cached)) => is_shown_status(write) && plan::is_as_written(write, cached, answer),
                (_, None) => false,
            };
            origin.filter(is_known).map(|origin| origin.key)
        });
    }

    /// Stores an object in the cache, and enqueues the keys that it affects, without the one that `cause` names.
    pub(super) fn store<'k>(
        &self,
        side: Side,
        kind: Kind,
        object: Value,
        cause: impl FnOnce(&Object) -> Option<&'k Key>,
    ) -> bool {
        // A Status instead of an object carries no state.
        if object.get("metadata").and_then(|metadata| metadata.get("uid")).is_none() {
            return false;
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let caches = self.caches_of(side, kind, namespace);
        let Some(cache) = caches.iter().find(|cache| cache.selects(&object)).or(caches.first()) else { return false };
        let Change::Stored(object, sight) = cache.store(object) else { return false };
        self.parts.router.changed_by(cache, &object, &sight, cause(&object));
        true
    }
}

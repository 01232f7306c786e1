//! Proofs. Nothing is deleted, and nothing is shown as gone, only because a cache does not contain an object.

use serde_json::Value;
use tenet_mapper::plan::{self, Proof};
use tenet_mapper::{Effect, Facts, HostKey, Kind, MapError, Object, ObjectRef, Side};

use super::breaker::Breaker;
use super::limiter::Class;
use super::{Gate, Origin, errors};
use crate::api::{Sought, Target, revision};
use crate::claim::Floor;

impl Gate {
    /// Proves the absence that an effect depends on, if it depends on one, and passes the breaker.
    pub(super) async fn justify(
        &self,
        effect: &Effect,
        cached: &Object,
        origin: Option<Origin<'_>>,
    ) -> Result<(), MapError> {
        let facts = self.parts.facts.load_full();
        let Some(proof) = plan::proof(effect, cached, &facts)? else {
            return match self.implied(effect, cached, &facts) {
                Some(proof) => self.prove(&proof, cached, &facts, origin).await,
                None => Ok(()),
            };
        };
        let (target, uid, is_counted) = (effect.target(), cached.uid(), !self.is_known_to_end(cached, &proof));
        if is_counted {
            self.pass_breaker(&target, uid, Breaker::judge).await?;
        }
        self.prove(&proof, cached, &facts, origin).await?;
        if is_counted {
            self.pass_breaker(&target, uid, Breaker::admit).await?;
        }
        Ok(())
    }

    /// Returns the proof that a status needs which names no cause, of an object whose copy the cache lacks: the copy
    /// has gone since the mapper decided, or the mapper has not said that the status depends on it.
    fn implied(&self, effect: &Effect, virt: &Object, facts: &Facts) -> Option<Proof> {
        let Effect::PatchVirtual(patch) = effect else { return None };
        if patch.subresource != Some("status") {
            return None;
        }
        let copies = self.parts.caches.get(Side::Host, patch.kind).filter(|cache| cache.is_selective())?;
        let proof = plan::without_copy(patch.kind, virt, facts);
        copies.version_of(&proof.twin()?.into()).is_none().then_some(proof)
    }

    /// Proves an absence, on which the write to `written` depends, by a quorum read of the cluster that was claimed.
    async fn prove(
        &self,
        proof: &Proof,
        written: &Object,
        facts: &Facts,
        origin: Option<Origin<'_>>,
    ) -> Result<(), MapError> {
        match proof {
            Proof::Absent { twin, uid } => {
                self.prove_absent(twin, |found| uid.is_empty() || found.uid() == uid).await?;
                self.parts.claim.verify(proof.side()).await?;
                // The watch has not told its end yet, and a mapper must not make it a new copy. A UID does not come back.
                self.forget(twin, uid);
                return Ok(());
            }
            Proof::NoCopy { copy } => {
                let last = self.parts.router.last_states().get(copy.kind, &HostKey::new(&*copy.namespace, &*copy.name));
                self.prove_absent(copy, |found| plan::may_be_copy(found, written, last.as_ref(), facts)).await?;
            }
            Proof::Known { kind, namespace, field, label } => {
                let field = field.as_ref().map(|field| format!("fieldSelector={field}&")).unwrap_or_default();
                let path = format!("{}?{field}labelSelector={label}", kind.path(namespace));
                self.prove_known(*kind, &path, origin).await?;
            }
        }
        // Verified last: a store that was replaced before the read does not pass.
        Ok(self.parts.claim.verify(proof.side()).await?)
    }

    /// Proves that no object is there which `counts`.
    async fn prove_absent(&self, twin: &ObjectRef, counts: impl FnOnce(&Object) -> bool) -> Result<(), MapError> {
        let ObjectRef { side, kind, namespace, name } = twin;
        let (target, floor) = (Target::new(*kind, namespace, name), self.floor(*side, *kind));
        let path = target.list_path();
        let list = self.call(*side, Class::Spare, "list", |api, limit| api.get_path(&path, limit)).await?;
        let sought = Sought::read(&target, list).map_err(errors::classify)?;
        self.parts.claim.check_floor(&floor, sought.revision)?;
        let Some(found) = sought.object.map(Object::new).filter(counts) else { return Ok(()) };
        self.ingest(*side, *kind, found.value().clone());
        Err(MapError::Conflict(format!("{kind} {namespace}/{name} still exists")))
    }

    /// The least revision of a store that answers from now on.
    fn floor(&self, side: Side, kind: Kind) -> Floor {
        let seen = self.parts.caches.get(side, kind).map_or(0, |cache| cache.newest());
        self.parts.claim.floor(side, seen)
    }

    /// Proves that the mapper knew every host object that the path lists: the cache holds it, and it has woken the key
    /// before the reconcile began.
    async fn prove_known(&self, kind: Kind, path: &str, origin: Option<Origin<'_>>) -> Result<(), MapError> {
        let floor = self.floor(Side::Host, kind);
        let list = self.call(Side::Host, Class::Spare, "list", |api, limit| api.get_path(path, limit)).await?;
        self.parts.claim.check_floor(&floor, revision(&list))?;
        let Some(items) = list["items"].as_array() else {
            return Err(MapError::Transient { reason: format!("the list of {kind} has no items"), after: None });
        };
        let unknown: Vec<_> = items.iter().filter(|item| !self.knows(kind, item)).collect();
        for item in &unknown {
            self.ingest(Side::Host, kind, (*item).clone());
        }
        if !unknown.is_empty() {
            return Err(MapError::Conflict(format!("the cache lacked a {kind} of the host that was listed")));
        }
        // Another proof, or the watch, may have brought one since the mapper decided.
        if origin.is_some_and(|origin| self.parts.router.is_overtaken(origin.key)) {
            return Err(MapError::Conflict(format!("a {kind} of the host has changed since the reconcile began")));
        }
        Ok(())
    }

    /// Returns true if the cache holds a listed object, in this version or a later one.
    fn knows(&self, kind: Kind, item: &Value) -> bool {
        let item = Object::new(item.clone());
        let cached = self.cached(&ObjectRef::new(Side::Host, kind, item.namespace(), item.name()));
        let version = |object: &Object| object.resource_version().parse::<u64>().ok();
        cached.is_some_and(|cached| {
            let is_current = cached.resource_version() == item.resource_version() || version(&cached) > version(&item);
            is_current && cached.uid() == item.uid()
        })
    }
}

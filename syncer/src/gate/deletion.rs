//! Deletes. An object is never deleted only because a cache does not contain its counterpart.

use http::StatusCode;
use serde_json::Value;
use tenet_mapper::plan::{self, Proof, Write};
use tenet_mapper::{Deletion, Kind, MapError, Object, ObjectRef, Side};

use super::breaker::Breaker;
use super::limiter::Class;
use super::{Done, Gate, errors};
use crate::api::{Sought, Target, revision};
use crate::claim::Floor;

impl Gate {
    pub(super) async fn delete(&self, deletion: &Deletion, cached: &Object, write: &Write) -> Result<Done, MapError> {
        let facts = self.parts.facts.load_full();
        if deletion.is_unreferenced() {
            self.know_referrers(deletion, cached).await?;
        }
        if let Some(proof) = plan::proof(deletion, cached, &facts)? {
            let is_counted = !self.is_known_to_end(cached, &proof);
            if is_counted {
                self.pass_breaker(deletion, Breaker::judge).await?;
            }
            self.prove(&proof).await?;
            if is_counted {
                self.pass_breaker(deletion, Breaker::admit).await?;
            }
        }
        let ObjectRef { kind, name, .. } = deletion.target();
        match self.write(write).await {
            Ok(answer) => {
                if deletion.version().is_some() {
                    self.parts.metrics.admission.reserved(*kind, "removed");
                }
                self.ingest_deleted(deletion, answer);
                Ok(Done::Wrote)
            }
            // The object is gone, or another object has its name: either way ours does not exist.
            Err(error) if error.is_object_absent() => {
                self.forget(deletion.target(), deletion.uid());
                Ok(Done::Unchanged)
            }
            Err(error) if error.code() == Some(StatusCode::CONFLICT) => {
                Err(MapError::Conflict(format!("{kind} {name} has changed since it was seen")))
            }
            Err(error) => Err(errors::classify(error)),
        }
    }

    /// A graceful delete answers with the object, which now carries its deletion; any other answers
    /// with a Status or with the last state of what is gone.
    fn ingest_deleted(&self, deletion: &Deletion, answer: Value) {
        let metadata = &answer["metadata"];
        let held = metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        let graceful = metadata["deletionGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds > 0);
        let (side, kind) = (deletion.target().side, deletion.target().kind);
        if metadata["deletionTimestamp"].is_string() && (held || graceful) {
            self.ingest(side, kind, answer);
            return;
        }
        if let Some(cache) = self.parts.caches.get(side, kind) {
            cache.note_deleted(deletion.uid());
        }
        self.forget(deletion.target(), deletion.uid());
    }

    /// Proves an absence by a quorum read of the cluster that was claimed.
    async fn prove(&self, proof: &Proof) -> Result<(), MapError> {
        match proof {
            Proof::Absent { twin, uid } => self.prove_absent(twin, uid).await?,
            Proof::Known { kind, namespace, field, label } => {
                let field = field.as_ref().map(|field| format!("fieldSelector={field}&")).unwrap_or_default();
                let path = format!("{}?{field}labelSelector={label}", kind.path(namespace));
                self.prove_known(*kind, &path).await?;
            }
        }
        // Verified last: a store that was replaced before the read does not pass.
        Ok(self.parts.claim.verify(proof.side()).await?)
    }

    async fn prove_absent(&self, twin: &ObjectRef, uid: &str) -> Result<(), MapError> {
        let ObjectRef { side, kind, namespace, name } = twin;
        let (target, floor) = (Target::new(*kind, namespace, name), self.floor(*side, *kind));
        let path = target.list_path();
        let list = self.call(*side, Class::Spare, "list", |api, limit| api.get_path(&path, limit)).await?;
        let sought = Sought::read(&target, list).map_err(errors::classify)?;
        self.parts.claim.check_floor(&floor, sought.revision)?;
        let Some(found) = sought.object else { return Ok(()) };
        if !uid.is_empty() && found.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid) {
            return Ok(());
        }
        self.ingest(*side, *kind, found);
        Err(MapError::Conflict(format!("{kind} {namespace}/{name} still exists")))
    }

    /// The least revision of a store that answers from now on.
    fn floor(&self, side: Side, kind: Kind) -> Floor {
        let seen = self.parts.caches.get(side, kind).map_or(0, |cache| cache.newest());
        self.parts.claim.floor(side, seen)
    }

    /// Proves that the cache holds every host object that the path lists.
    async fn prove_known(&self, kind: Kind, path: &str) -> Result<(), MapError> {
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
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(MapError::Conflict(format!("the cache lacked a {kind} of the host that was listed")))
        }
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

//! Deletes. Nothing is deleted because it was not seen.

use http::StatusCode;
use serde_json::{Value, json};
use tenet_mapper::translate::{OwnerRecord, Ownership};
use tenet_mapper::{Cause, Deletion, MapError, ObjectRef, Side, keys, kinds};

use super::{Done, Gate, errors};
use crate::api::Target;

impl Gate {
    pub(super) async fn delete(&self, deletion: Deletion) -> Result<Done, MapError> {
        let ObjectRef { side, kind, namespace, name } = deletion.target();
        let (side, kind) = (*side, *kind);
        self.check_right(&deletion)?;
        self.prove(deletion.cause()).await?;
        let mut options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"uid": deletion.uid()}, "propagationPolicy": "Background",
        });
        if let Some(version) = deletion.version() {
            options["preconditions"]["resourceVersion"] = json!(version);
        }
        if let Some(grace) = deletion.grace() {
            options["gracePeriodSeconds"] = json!(grace);
        }
        let target = Target::new(kind, namespace, name);
        match self.send(side, "delete", |api, limit| api.delete(&target, &options, limit)).await {
            Ok(answer) => {
                if deletion.version().is_some() {
                    self.parts.metrics.admission.reserved(kind, "removed");
                }
                self.ingest_deleted(&deletion, answer);
                Ok(Done::Wrote)
            }
            // Gone already, or another object by now: either way ours is not there.
            Err(error) if error.is_object_absent() => {
                self.forget(&deletion);
                Ok(Done::Unchanged)
            }
            Err(error) if error.code() == Some(StatusCode::CONFLICT) => {
                Err(MapError::Conflict(format!("{kind} {name} has changed by now")))
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
        if metadata["deletionTimestamp"].is_string() && (held || graceful) {
            self.ingest(deletion.target().side, deletion.target().kind, answer);
        } else {
            self.forget(deletion);
        }
    }

    /// The server says that it is absent: so does the cache from now on.
    fn forget(&self, deletion: &Deletion) {
        let ObjectRef { side, kind, namespace, name } = deletion.target();
        if let Some(cache) = self.parts.caches.get(*side, *kind)
            && let Some(last) = cache.evict(namespace, name, deletion.uid())
        {
            self.parts.router.gone(cache, &last);
        }
    }

    /// On the host only what carries our record, on the virtual side pictures only with
    /// our mark.
    fn check_right(&self, deletion: &Deletion) -> Result<(), MapError> {
        let ObjectRef { side, kind, namespace, name } = deletion.target();
        let cached = self.cached(*side, *kind, namespace, name);
        let cached = cached.filter(|cached| cached.uid() == deletion.uid());
        let Some(cached) = cached else {
            return Err(MapError::Conflict(format!("{kind} {name} is not what was seen")));
        };
        let place = || format!("{kind} {namespace}/{name}");
        let facts = self.parts.facts.load();
        match side {
            Side::Host => {
                let metadata = cached.value().get("metadata").unwrap_or(&Value::Null);
                match OwnerRecord::read(metadata, &facts.names.cluster, &facts.cluster_id) {
                    Ownership::Ours(_) => Ok(()),
                    Ownership::Foreign(why) => Err(MapError::Foreign { place: place(), why: why.to_string() }),
                }
            }
            Side::Virtual if *deletion.cause() != Cause::Redundant => Ok(()),
            Side::Virtual if cached.label(keys::MANAGED_BY) == Some(&facts.names.cluster) => Ok(()),
            Side::Virtual => Err(MapError::Foreign { place: place(), why: "it is not a picture of ours".to_owned() }),
        }
    }

    /// Absence is proved by a quorum read of a cluster with the recorded id.
    async fn prove(&self, cause: &Cause) -> Result<(), MapError> {
        let Cause::TwinAbsent { twin: ObjectRef { side, kind, namespace, name }, uid } = cause else { return Ok(()) };
        if *side == Side::Virtual {
            self.check_identity().await?;
        }
        let found = self.read(*side, &Target::new(*kind, namespace, name)).await?;
        let found_uid = found.as_ref().and_then(|found| found.pointer("/metadata/uid")).and_then(Value::as_str);
        match found_uid {
            None => Ok(()),
            Some(found) if !uid.is_empty() && found != uid => Ok(()),
            Some(_) => {
                if let Some(found) = found {
                    self.ingest(*side, *kind, found);
                }
                Err(MapError::Conflict(format!("{kind} {namespace}/{name} is there after all")))
            }
        }
    }

    /// The virtual API server is still the cluster that we serve.
    async fn check_identity(&self) -> Result<(), MapError> {
        let found = self.read(Side::Virtual, &Target::new(kinds::NAMESPACE, "", "kube-system")).await?;
        let id = found.as_ref().and_then(|found| found.pointer("/metadata/uid")).and_then(Value::as_str);
        let known = &self.parts.facts.load().cluster_id;
        if id == Some(known) {
            return Ok(());
        }
        tracing::error!(expected = known, found = id, "the virtual API server answers with another cluster id");
        Err(MapError::Transient {
            reason: "the virtual cluster has another id: nothing is deleted".to_owned(),
            after: None,
        })
    }
}

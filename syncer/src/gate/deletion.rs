//! Deletes. An object is never deleted only because a cache does not contain its counterpart.

use http::StatusCode;
use serde_json::Value;
use tenet_mapper::plan::Write;
use tenet_mapper::{Cause, Deletion, MapError, ObjectRef, Side, kinds};

use super::{Done, Gate, errors};
use crate::api::Target;

impl Gate {
    pub(super) async fn delete(&self, deletion: &Deletion, write: &Write) -> Result<Done, MapError> {
        self.prove(deletion.cause()).await?;
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
                self.forget(deletion);
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

    /// Removes an object from the cache that the server reports absent.
    fn forget(&self, deletion: &Deletion) {
        let ObjectRef { side, kind, namespace, name } = deletion.target();
        if let Some(cache) = self.parts.caches.get(*side, *kind)
            && let Some(last) = cache.evict(namespace, name, deletion.uid())
        {
            self.parts.router.gone(cache, &last);
        }
    }

    /// Proves an absence by a quorum read of a cluster with the recorded id.
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

    /// Checks that the virtual API server still serves the same cluster.
    async fn check_identity(&self) -> Result<(), MapError> {
        let found = self.read(Side::Virtual, &Target::new(kinds::NAMESPACE, "", "kube-system")).await?;
        let id = found.as_ref().and_then(|found| found.pointer("/metadata/uid")).and_then(Value::as_str);
        let known = &self.parts.facts.load().cluster_id;
        if id == Some(known) {
            return Ok(());
        }
        tracing::error!(expected = known, found = id, "cluster id of the virtual API server changed");
        Err(MapError::Transient {
            reason: "the virtual cluster has another id: nothing is deleted".to_owned(),
            after: None,
        })
    }
}

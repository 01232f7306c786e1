//! Deletes, after their proof.

use http::StatusCode;
use serde_json::Value;
use tenet_mapper::keys::PENDING;
use tenet_mapper::plan::Write;
use tenet_mapper::{Deletion, MapError, Object, ObjectRef};

use super::{Done, Gate, errors};

impl Gate {
    pub(super) async fn delete(&self, deletion: &Deletion, cached: &Object, write: &Write) -> Result<Done, MapError> {
        if deletion.is_unreferenced() {
            self.know_referrers(deletion, cached).await?;
        }
        let ObjectRef { kind, name, .. } = deletion.target();
        match self.write(write).await {
            Ok(answer) => {
                if cached.annotation(PENDING).is_some() {
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
                // The server contradicts the cache.
                if let Err(error) = self.refresh(deletion.target()).await {
                    tracing::debug!(object = %deletion.target(), %error, "cannot refresh a cached object");
                }
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
}

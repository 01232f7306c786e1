//! Events on virtual objects, each emitted once.

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::{Event, EventReason, MapError, ObjectRef, Side, kinds};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use super::{Done, Gate, errors};
use crate::api::Target;
use crate::cluster_event;

/// Events emitted since the start, so that they need not be looked up, with the time of the last one.
#[derive(Default)]
pub(super) struct Told(Mutex<HashMap<u64, Instant>>);

/// Number of remembered events; older ones are looked up again.
const REMEMBERED: usize = 4096;
/// Time after which an event is emitted again. An API server keeps events for an hour, unless it is told
/// otherwise.
pub(super) const RENEWAL: Duration = Duration::from_secs(45 * 60);

impl Gate {
    /// Emits an event, unless the same was emitted lately: its name is derived from its content.
    pub(super) async fn emit(&self, event: &Event, write: &Write) -> Result<Done, MapError> {
        let ObjectRef { namespace, name, .. } = &write.target;
        // The name contains a digest of the event, so that 64 bits do for those of one syncer.
        let mut hasher = DefaultHasher::new();
        (namespace, name).hash(&mut hasher);
        let id = hasher.finish();
        if self.events.0.lock().get(&id).is_some_and(|told| told.elapsed() < RENEWAL) {
            return Ok(Done::Unchanged);
        }
        let done = match self.read(Side::Virtual, &Target::new(kinds::EVENT, namespace, name)).await? {
            Some(found) => self.renew(&found, write).await?,
            None => self.post(event, write.clone()).await?,
        };
        let mut told = self.events.0.lock();
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(id, Instant::now());
        Ok(done)
    }

    /// Emits a warning that concerns the whole virtual cluster: on its namespace `kube-system`.
    pub(super) async fn tell_cluster(&self, reason: EventReason, message: String) {
        let facts = self.parts.facts.load_full();
        let event = cluster_event::warning(&facts, reason, message);
        for write in &cluster_event::writes(&facts, &event) {
            if let Err(error) = self.emit(&event, write).await {
                tracing::warn!(%error, reason = reason.as_str(), "cannot emit an event on kube-system");
            }
        }
    }

    /// Emits an event again that still holds, before the API server forgets it.
    async fn renew(&self, found: &Value, write: &Write) -> Result<Done, MapError> {
        let now = self.parts.runtime.now();
        let last = found["lastTimestamp"].as_str().and_then(|last| OffsetDateTime::parse(last, &Rfc3339).ok());
        if last.is_some_and(|last| now - last < RENEWAL) {
            return Ok(Done::Unchanged);
        }
        let (uid, count) = (&found["metadata"]["uid"], found["count"].as_i64().unwrap_or(1) + 1);
        let change = json!({"metadata": {"uid": uid}, "count": count, "lastTimestamp": self.parts.runtime.timestamp()});
        match self.write(&Write { payload: Payload::Merge(change), ..write.clone() }).await {
            Ok(_) => Ok(Done::Wrote),
            Err(error) if matches!(error.code(), Some(StatusCode::CONFLICT | StatusCode::NOT_FOUND)) => {
                Ok(Done::Unchanged)
            }
            Err(error) => Err(errors::classify(error)),
        }
    }

    async fn post(&self, event: &Event, mut write: Write) -> Result<Done, MapError> {
        cluster_event::stamp(&mut write, &self.parts.runtime.timestamp());
        if event.reason == EventReason::Repaired {
            self.parts.metrics.admission.repaired(event.kind);
        }
        match self.write(&write).await {
            Ok(_) => Ok(Done::Wrote),
            Err(error) if error.code() == Some(StatusCode::CONFLICT) => Ok(Done::Unchanged),
            // The namespace is being deleted, so there is no reader.
            Err(error) if matches!(error.code(), Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)) => {
                Ok(Done::Unchanged)
            }
            Err(error) => Err(errors::classify(error)),
        }
    }
}

//! Events on virtual objects, each emitted once.

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::{Event, EventReason, MapError, ObjectRef, Side, kinds};
use time::format_description::well_known::Rfc3339;

use super::{Done, Gate, errors};
use crate::api::Target;

/// Events emitted since the start, so that they need not be looked up.
#[derive(Default)]
pub(super) struct Told(Mutex<HashSet<u64>>);

/// Number of remembered events; older ones are looked up again.
const REMEMBERED: usize = 4096;
impl Gate {
    /// Emits an event, unless the same was emitted before: its name is derived from its content.
    pub(super) async fn emit(&self, event: &Event, write: &Write) -> Result<Done, MapError> {
        let ObjectRef { namespace, name, .. } = &write.target;
        // The name contains a digest of the event, so that 64 bits do for those of one syncer.
        let mut hasher = DefaultHasher::new();
        (namespace, name).hash(&mut hasher);
        let id = hasher.finish();
        if self.events.0.lock().contains(&id) {
            return Ok(Done::Unchanged);
        }
        let done = match self.read(Side::Virtual, &Target::new(kinds::EVENT, namespace, name)).await? {
            Some(_) => Done::Unchanged,
            None => self.post(event, write.clone()).await?,
        };
        let mut told = self.events.0.lock();
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(id);
        Ok(done)
    }

    async fn post(&self, event: &Event, mut write: Write) -> Result<Done, MapError> {
        let now = self.parts.runtime.now().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
        if let Payload::Create { object, .. } = &mut write.payload {
            object["firstTimestamp"] = json!(now);
            object["lastTimestamp"] = json!(now);
        }
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

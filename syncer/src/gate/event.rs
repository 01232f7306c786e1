//! Events on virtual objects: each thing is said once.

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashSet;
use tenet_mapper::translate::digest;
use tenet_mapper::{Event, EventReason, EventType, MapError, Side, kinds};
use time::format_description::well_known::Rfc3339;

use super::{Done, Gate, errors};
use crate::api::Target;

/// What was said since the start, so that it need not be looked up.
#[derive(Default)]
pub(super) struct Told(Mutex<HashSet<String>>);

/// More than this is forgotten, and looked up again.
const REMEMBERED: usize = 4096;
/// The API server's own limit of an event's message, in bytes.
const LONGEST_MESSAGE: usize = 1024;

impl Gate {
    pub(super) async fn emit(&self, event: &Event) -> Result<Done, MapError> {
        let message = shorten(&event.message);
        let id = digest::of_parts("notice", &[&event.uid, event.reason.as_str(), message]);
        if self.events.0.lock().contains(&id) {
            return Ok(Done::Unchanged);
        }
        // Cluster-scoped objects have their events in `default`.
        let namespace = if event.key.namespace().is_empty() { "default" } else { event.key.namespace() };
        // The name says what is said: after a restart the same is not said again.
        let name = format!("{}.{id}", event.key.name());
        let target = Target::new(kinds::EVENT, namespace, &name);
        let done = match self.read(Side::Virtual, &target).await? {
            Some(_) => Done::Unchanged,
            None => self.post(event, &target, message).await?,
        };
        let mut told = self.events.0.lock();
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(id);
        Ok(done)
    }

    async fn post(&self, event: &Event, target: &Target<'_>, message: &str) -> Result<Done, MapError> {
        let now = self.parts.runtime.now().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
        let body = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": target.name, "namespace": target.namespace},
            "involvedObject": {
                "apiVersion": event.kind.api_version(), "kind": event.kind.kind,
                "namespace": event.key.namespace(), "name": event.key.name(), "uid": event.uid,
            },
            "reason": event.reason.as_str(), "message": message,
            "type": if event.event_type == EventType::Warning { "Warning" } else { "Normal" },
            "source": {"component": "tenet-syncer"}, "reportingComponent": "tenet.sh/syncer",
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        if event.reason == EventReason::Repaired {
            self.parts.metrics.admission.repaired(event.kind);
        }
        match self.send(Side::Virtual, "create", |api, limit| api.create(target, &body, limit)).await {
            Ok(_) => Ok(Done::Wrote),
            Err(error) if error.code() == Some(StatusCode::CONFLICT) => Ok(Done::Unchanged),
            // The namespace is going away: nobody is left to be told.
            Err(error) if matches!(error.code(), Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)) => {
                Ok(Done::Unchanged)
            }
            Err(error) => Err(errors::classify(error)),
        }
    }
}

fn shorten(message: &str) -> &str {
    let mut end = message.len().min(LONGEST_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "ä".repeat(600);
        assert_eq!(shorten(&long).len(), 1024);
        assert_eq!(shorten("short"), "short");
    }
}

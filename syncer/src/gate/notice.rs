//! Events on virtual objects: each thing is said once.

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashSet;
use tenet_mapper::translate::digest;
use tenet_mapper::{MapError, Notice, NoticeKind, Severity, Side, kinds};
use time::OffsetDateTime;
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
    pub(super) async fn emit(&self, notice: &Notice) -> Result<Done, MapError> {
        let message = shorten(&notice.message);
        let id = digest::of_parts("notice", &[&notice.uid, notice.about.reason(), message]);
        if self.notices.0.lock().contains(&id) {
            return Ok(Done::Unchanged);
        }
        // Cluster-scoped objects have their events in `default`.
        let namespace = if notice.key.namespace().is_empty() { "default" } else { notice.key.namespace() };
        // The name says what is said: after a restart the same is not said again.
        let name = format!("{}.{id}", notice.key.name());
        let target = Target::new(kinds::EVENT, namespace, &name);
        let done = match self.read(Side::Virtual, &target).await? {
            Some(_) => Done::Unchanged,
            None => self.post(notice, &target, message).await?,
        };
        let mut told = self.notices.0.lock();
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(id);
        Ok(done)
    }

    async fn post(&self, notice: &Notice, target: &Target<'_>, message: &str) -> Result<Done, MapError> {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
        let body = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": target.name, "namespace": target.namespace},
            "involvedObject": {
                "apiVersion": notice.kind.api_version(), "kind": notice.kind.kind,
                "namespace": notice.key.namespace(), "name": notice.key.name(), "uid": notice.uid,
            },
            "reason": notice.about.reason(), "message": message,
            "type": if notice.severity == Severity::Warning { "Warning" } else { "Normal" },
            "source": {"component": "tenet-syncer"}, "reportingComponent": "tenet.sh/syncer",
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        if notice.about == NoticeKind::Repaired {
            self.parts.metrics.admission.repaired(notice.kind);
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

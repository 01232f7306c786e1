use serde_json::json;
use tenet_translate::digest;

use super::{Payload, Write};
use crate::{Event, EventType, ObjectRef, VirtualKey, kinds};

/// The API server's own limit of an event's message, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// The event, without its times. Its name says what is said: the same is not said twice.
pub(super) fn create(event: &Event) -> Write {
    let message = shorten(&event.message);
    let id = digest::of_parts("notice", &[&event.uid, event.reason.as_str(), message]);
    // Cluster-scoped objects have their events in `default`.
    let namespace = if event.key.namespace().is_empty() { "default" } else { event.key.namespace() };
    let name = format!("{}.{id}", event.key.name());
    let object = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": event.kind.api_version(), "kind": event.kind.kind,
            "namespace": event.key.namespace(), "name": event.key.name(), "uid": event.uid,
        },
        "reason": event.reason.as_str(), "message": message,
        "type": if event.event_type == EventType::Warning { "Warning" } else { "Normal" },
        "source": {"component": "tenet-syncer"}, "reportingComponent": "tenet.sh/syncer",
        "count": 1,
    });
    Write {
        target: ObjectRef::virt(kinds::EVENT, &VirtualKey::new(namespace, name.as_str())),
        subresource: None,
        payload: Payload::Create { object, fallback: None },
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

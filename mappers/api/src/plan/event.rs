//! Events on virtual objects.

use serde_json::json;
use tenet_translate::{Names, Wording, digest, without_numbers};

use super::{Payload, Write};
use crate::{Event, EventType, ObjectRef, VirtualKey, kinds};

/// The API server's own limit of an event's message, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// The event, without its times. Its name depends on its content, so that an equal one is not emitted twice.
pub(super) fn create(event: &Event, names: &Names) -> Write {
    let message = told(event, names);
    let message = shorten(&message);
    // Numbers do not tell two events apart: those of a quota change with each try.
    let said = without_numbers(message);
    let id = digest::of_parts("notice", &[&event.uid, event.reason.as_str(), &said]);
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

/// Returns the message in the names that the tenant knows: the host's own words may be in it.
pub fn told(event: &Event, names: &Names) -> String {
    let (namespace, name) = (event.key.namespace(), event.key.name());
    let host = names.host_name(event.kind.group_kind(), namespace, name);
    Wording::new(names.host_namespace(namespace), namespace)
        .named_by(names)
        .object(&host, name)
        .translate(&event.message)
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
    use tenet_translate::NameScheme;

    use super::*;
    use crate::EventReason;

    #[test]
    fn the_words_of_the_host_are_told_in_the_names_of_the_tenant() {
        let event = Event {
            kind: kinds::SERVICE,
            key: VirtualKey::new("shop", "web"),
            uid: "u".to_owned(),
            reason: EventReason::Rejected,
            event_type: EventType::Warning,
            message: "services \"web-x-shop-x-vc-1\" is forbidden: User \"system:serviceaccount:team-a:vc-1\" cannot"
                .to_owned(),
        };
        let write = create(&event, &Names::new("vc-1", "team-a", NameScheme::Tenet));
        let Payload::Create { object, .. } = write.payload else { panic!("an event is created") };
        assert_eq!(object["message"], "services \"web\" is forbidden: User \"the syncer\" cannot");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "ä".repeat(600);
        assert_eq!(shorten(&long).len(), 1024);
        assert_eq!(shorten("short"), "short");
    }
}

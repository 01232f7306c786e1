//! Event that concerns the whole virtual cluster: on its namespace `kube-system`.

use serde_json::json;
use tenet_mapper::plan::{self, Payload, PlanContext, Write};
use tenet_mapper::{Effect, Event, EventReason, EventType, Facts, Projection, VirtualKey, kinds};

/// Returns a warning to the tenant.
pub fn warning(facts: &Facts, reason: EventReason, message: String) -> Event {
    Event {
        kind: kinds::NAMESPACE,
        key: VirtualKey::new("", "kube-system"),
        uid: facts.cluster_id.clone(),
        reason,
        event_type: EventType::Warning,
        message,
    }
}

/// Returns the writes that emit an event.
pub fn writes(facts: &Facts, event: &Event) -> Vec<Write> {
    let cx = PlanContext { facts, projection: &Projection::Whole, minted: &[] };
    plan::plan(&Effect::Emit(event.clone()), None, &cx).unwrap_or_default()
}

/// Sets the times of an event that is created at `now`.
pub fn stamp(write: &mut Write, now: &str) {
    if let Payload::Create { object, .. } = &mut write.payload {
        object["firstTimestamp"] = json!(now);
        object["lastTimestamp"] = json!(now);
    }
}

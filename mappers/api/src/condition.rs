//! The condition [`SYNCED`] of a virtual object. It belongs to the engine: a mapper that copies
//! the status of the host neither carries it nor takes it away.

use serde_json::{Value, json};
use tenet_translate::keys::SYNCED;

use crate::Object;

/// The pointer of the list.
pub const CONDITIONS: &str = "/status/conditions";

/// The condition of an object, if it has one.
pub fn find(object: &Object) -> Option<&Value> {
    object.list_at(CONDITIONS).iter().find(|condition| is_ours(condition))
}

/// The conditions of an object that says, since `now`, why its last change did not cross; `None`
/// when it says so already.
pub fn refused(object: &Object, reason: &str, message: &str, now: &str) -> Option<Value> {
    let says = |condition: &Value| {
        condition["status"] == "False" && condition["reason"] == reason && condition["message"] == message
    };
    if find(object).is_some_and(says) {
        return None;
    }
    let condition = json!({
        "type": SYNCED, "status": "False", "reason": reason, "message": message, "lastTransitionTime": now,
    });
    Some(with(object.list_at(CONDITIONS), Some(&condition)))
}

/// The conditions of an object that crosses again; `None` when it says nothing else.
pub fn accepted(object: &Object) -> Option<Value> {
    find(object).map(|_| with(object.list_at(CONDITIONS), None))
}

/// The value for `pointer` of a virtual object, with the condition that the object has, whatever
/// `value` says of it.
pub fn keep(object: &Object, pointer: &str, value: &Value) -> Value {
    let (found, mut kept) = (find(object), value.clone());
    let conditions = match pointer {
        CONDITIONS => Some(&mut kept),
        "/status" if found.is_some() || kept.get("conditions").is_some() => {
            kept.as_object_mut().map(|status| status.entry("conditions").or_insert(Value::Null))
        }
        _ => None,
    };
    if let Some(conditions) = conditions {
        let wanted = conditions.as_array().map(Vec::as_slice).unwrap_or_default();
        if wanted.iter().find(|condition| is_ours(condition)) != found {
            *conditions = with(wanted, found);
        }
    }
    kept
}

fn with(conditions: &[Value], ours: Option<&Value>) -> Value {
    let others = conditions.iter().filter(|condition| !is_ours(condition));
    let all: Vec<_> = others.chain(ours).cloned().collect();
    if all.is_empty() { Value::Null } else { Value::Array(all) }
}

fn is_ours(condition: &Value) -> bool {
    condition["type"] == SYNCED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(conditions: &Value) -> Object {
        Object::new(json!({"status": {"conditions": conditions}}))
    }

    fn synced(message: &str) -> Value {
        json!({"type": SYNCED, "status": "False", "reason": "SyncRefused", "message": message,
               "lastTransitionTime": "2027-01-15T08:00:00Z"})
    }

    #[test]
    fn a_refusal_is_said_once_and_taken_back() {
        let (ready, now) = (json!({"type": "Ready", "status": "True"}), "2027-01-15T08:00:00Z");
        let fine = object(&json!([ready]));
        let said = refused(&fine, "SyncRefused", "no", now).unwrap();
        assert_eq!(said, json!([ready, synced("no")]));
        let marked = object(&said);
        assert_eq!(refused(&marked, "SyncRefused", "no", "2027-01-15T09:00:00Z"), None, "at rest nothing is written");
        assert_eq!(refused(&marked, "SyncRefused", "still no", now), Some(json!([ready, synced("still no")])));
        assert_eq!(accepted(&marked), Some(json!([ready])));
        assert_eq!(accepted(&fine), None);
        assert_eq!(accepted(&object(&json!([synced("no")]))), Some(Value::Null));
    }

    #[test]
    fn a_status_from_the_host_leaves_the_condition_as_it_is() {
        let (ready, marked) = (json!({"type": "Ready", "status": "True"}), object(&json!([synced("no")])));
        for (pointer, value, expected) in [
            (CONDITIONS, json!([ready]), json!([ready, synced("no")])),
            (CONDITIONS, Value::Null, json!([synced("no")])),
            (CONDITIONS, json!([synced("no"), ready]), json!([synced("no"), ready])),
            (CONDITIONS, json!([synced("the host's"), ready]), json!([ready, synced("no")])),
            ("/status", json!({"phase": "Running"}), json!({"phase": "Running", "conditions": [synced("no")]})),
            ("/status/loadBalancer", json!({}), json!({})),
            ("/spec/ports", json!([]), json!([])),
        ] {
            assert_eq!(keep(&marked, pointer, &value), expected, "{pointer} {value}");
        }
        // A host that is a virtual cluster itself has conditions of its own syncer.
        let fine = object(&json!([]));
        assert_eq!(keep(&fine, CONDITIONS, &json!([synced("the host's"), ready])), json!([ready]));
        assert_eq!(keep(&fine, "/status", &json!({"phase": "Running"})), json!({"phase": "Running"}));
    }
}

//! Conditions in which a virtual object says that it, or its last change, does not cross.
//!
//! The condition [`SYNCED`] is for an object that is on the host. It belongs to the engine: a mapper that copies
//! the status of the host neither carries it nor takes it away. An object that is not there says so in
//! a condition of its kind, which the status of the host later replaces.
//!
//! All functions return members of `status`, for a merge patch.

use serde_json::{Value, json};
use tenet_translate::keys::SYNCED;

use crate::{EventReason, Object};

/// The pointer of the list.
pub const CONDITIONS: &str = "/status/conditions";

/// Reasons with which the engine says that an object is not on the host.
const PENDING: [EventReason; 3] = [EventReason::Refused, EventReason::Rejected, EventReason::Waiting];

/// The condition of an object, if it has one.
pub fn find(object: &Object) -> Option<&Value> {
    object.list_at(CONDITIONS).iter().find(|condition| is_ours(condition))
}

/// Returns true if an object says that it, or its last change, does not cross.
pub fn is_said(object: &Object, pending: Option<&str>) -> bool {
    find(object).is_some() || pending.is_some_and(|pending| find_pending(object, pending).is_some())
}

/// Makes an object that is on the host say, since `now`, why its last change did not cross; `None`
/// when it says so already.
pub fn refused(object: &Object, reason: &str, message: &str, now: &str) -> Option<Value> {
    if find(object).is_some_and(|condition| says(condition, reason, message)) {
        return None;
    }
    let condition = new(SYNCED, reason, message, now);
    Some(json!({"conditions": with(object.list_at(CONDITIONS), is_ours, Some(&condition))}))
}

/// Makes an object that is not on the host say, since `now`, why, in the condition of type
/// `pending`; `None` when it says so already, or when somebody else has set the condition.
pub fn pending(object: &Object, pending: &str, reason: &str, message: &str, now: &str) -> Option<Value> {
    let of_type = |condition: &Value| condition["type"] == pending;
    let found = object.list_at(CONDITIONS).iter().find(|condition| of_type(condition));
    if found.is_some_and(|condition| !is_pending(condition, pending) || says(condition, reason, message)) {
        return None;
    }
    let condition = new(pending, reason, message, now);
    Some(json!({"conditions": with(object.list_at(CONDITIONS), of_type, Some(&condition)), "reason": reason}))
}

/// Removes the statement that an object, or its last change, does not cross; `None` when the object does not say so.
pub fn accepted(object: &Object, pending: Option<&str>) -> Option<Value> {
    if !is_said(object, pending) {
        return None;
    }
    let (found, is_pending) =
        (object.list_at(CONDITIONS), |condition: &Value| pending.is_some_and(|pending| is_pending(condition, pending)));
    let mut status = json!({"conditions": with(found, |condition| is_ours(condition) || is_pending(condition), None)});
    if found.iter().any(is_pending) {
        status["reason"] = Value::Null;
    }
    Some(status)
}

/// Returns true if a condition says this already. Numbers are not compared: those of a quota change with each try.
fn says(condition: &Value, reason: &str, message: &str) -> bool {
    let told = condition["message"].as_str().unwrap_or_default();
    condition["status"] == "False"
        && condition["reason"] == reason
        && tenet_translate::without_numbers(told) == tenet_translate::without_numbers(message)
}

fn new(condition: &str, reason: &str, message: &str, now: &str) -> Value {
    json!({"type": condition, "status": "False", "reason": reason, "message": message, "lastTransitionTime": now})
}

fn find_pending<'o>(object: &'o Object, pending: &str) -> Option<&'o Value> {
    object.list_at(CONDITIONS).iter().find(|condition| is_pending(condition, pending))
}

/// Returns true if the engine has set this condition of type `pending`.
fn is_pending(condition: &Value, pending: &str) -> bool {
    let reason = condition["reason"].as_str();
    condition["type"] == pending
        && condition["status"] == "False"
        && PENDING.iter().any(|known| reason == Some(known.as_str()))
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
            *conditions = with(wanted, is_ours, found);
        }
    }
    kept
}

/// The conditions without those that `replaced` accepts, and with `condition`.
fn with(conditions: &[Value], replaced: impl Fn(&Value) -> bool, condition: Option<&Value>) -> Value {
    let others = conditions.iter().filter(|other| !replaced(other));
    let all: Vec<_> = others.chain(condition).cloned().collect();
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
        assert_eq!(said, json!({"conditions": [ready, synced("no")]}));
        let marked = object(&said["conditions"]);
        assert_eq!(refused(&marked, "SyncRefused", "no", "2027-01-15T09:00:00Z"), None, "at rest nothing is written");
        assert_eq!(
            refused(&marked, "SyncRefused", "still no", now),
            Some(json!({"conditions": [ready, synced("still no")]}))
        );
        assert_eq!(accepted(&marked, None), Some(json!({"conditions": [ready]})));
        assert_eq!(accepted(&fine, None), None);
        assert_eq!(accepted(&object(&json!([synced("no")])), None), Some(json!({"conditions": null})));
    }

    #[test]
    fn an_object_that_is_not_on_the_host_says_why_in_a_condition_of_its_kind() {
        let (now, kind) = ("2027-01-15T08:00:00Z", "PodScheduled");
        let condition = |reason: &str, message: &str| json!({"type": kind, "status": "False", "reason": reason, "message": message, "lastTransitionTime": now});
        let said = pending(&object(&json!([])), kind, "SyncRefused", "no", now).unwrap();
        assert_eq!(said, json!({"conditions": [condition("SyncRefused", "no")], "reason": "SyncRefused"}));
        let marked = object(&said["conditions"]);
        assert!(is_said(&marked, Some(kind)) && !is_said(&marked, None));
        assert_eq!(pending(&marked, kind, "SyncRefused", "no", "2027-01-15T09:00:00Z"), None);
        let full = |used: u8| format!("exceeded a quota of the host, used: pods={used}");
        let over = object(&json!([condition("SyncRejected", &full(3))]));
        assert_eq!(pending(&over, kind, "SyncRejected", &full(4), now), None, "only a number differs");
        assert!(pending(&over, kind, "SyncRefused", "no", now).is_some());
        assert_eq!(accepted(&marked, Some(kind)), Some(json!({"conditions": null, "reason": null})));
    }

    #[test]
    fn a_condition_that_somebody_else_has_set_is_left_alone() {
        for reason in ["Unschedulable", "SchedulingGated"] {
            let theirs = object(&json!([{"type": "PodScheduled", "status": "False", "reason": reason}]));
            assert_eq!(pending(&theirs, "PodScheduled", "SyncRefused", "no", "2027-01-15T08:00:00Z"), None);
            assert_eq!(accepted(&theirs, Some("PodScheduled")), None);
        }
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

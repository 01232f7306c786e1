//! Explanation of facts, in the words of the tenant.

use std::fmt;

use serde_json::{Map, Value, json};

use super::facts::{Facts, OnHost, Way};
use super::remedy;
use crate::create::text;
use crate::pod::{conditions, containers, is_true, unscheduled};

/// Explanation of the state of one object.
#[derive(Debug, Default)]
pub(super) struct Explanation {
    subject: String,
    lines: Vec<(&'static str, String)>,
    /// True if something blocks the object.
    pub(super) is_blocked: bool,
    /// Explanation of a pod of the workload.
    pod: Option<Box<Explanation>>,
}

/// Reason and message of what is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Obstacle {
    reason: String,
    message: String,
}

/// Reasons of events that say that an object did not cross.
const NOT_CROSSED: [&str; 4] = ["SyncRefused", "SyncBlocked", "SyncRejected", "SyncWaiting"];
/// Reasons of events that concern all objects.
const OF_CLUSTER: [&str; 2] = ["SyncPaused", "SyncSuspended"];
/// Reasons for which a container waits in the usual course of its start.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Explains facts.
pub(super) fn explain(facts: &Facts) -> Explanation {
    let mut told = Explanation { subject: facts.subject.clone(), ..Explanation::default() };
    told.say("state", state(&facts.object));
    told.say("rule", rule(facts.way));
    if let Some(decision) = decision(facts) {
        told.say("decision", decision);
    }
    if let Some(OnHost { copy: Some(copy), .. }) = &facts.host {
        told.say("on the host", format!("{}, {}", text(&copy["metadata"]["name"]), state(copy)));
    }
    if let Some(write) = last_write(facts) {
        told.say("last write", write);
    }
    if let Some(Obstacle { reason, message }) = obstacle(facts) {
        told.is_blocked = true;
        told.say("blocked by", format!("{reason}: {message}"));
        told.say("to do", remedy::of(&reason).unwrap_or(remedy::OPERATOR).to_owned());
    }
    if let Some(pod) = &facts.pod {
        let pod = explain(pod);
        told.is_blocked |= pod.is_blocked;
        told.pod = Some(Box::new(pod));
    }
    told
}

fn state(object: &Value) -> String {
    let since = &object["metadata"]["deletionTimestamp"];
    if let Some(since) = since.as_str() {
        return format!("being deleted since {since}");
    }
    let status = &object["status"];
    match status["phase"].as_str() {
        Some(phase) if is_true(object, "Ready") => format!("{phase}, ready"),
        Some(phase) => phase.to_owned(),
        None => match conditions(object).find(|condition| condition["status"] == "False") {
            Some(condition) => format!("{} is False: {}", text(&condition["type"]), text(&condition["message"])),
            None => format!("created {}", text(&object["metadata"]["creationTimestamp"])),
        },
    }
}

fn rule(way: Way) -> String {
    let rule = match way {
        Way::Copied => "it is copied to the host, where it counts",
        Way::WhenUsed => "it is copied to the host when a pod there, or an Ingress, uses it",
        Way::Shown => "it shows what the host has",
        Way::Inside => "it stays inside; the pods that it makes are copied to the host",
    };
    rule.to_owned()
}

/// Returns the last event of the syncer about the object.
fn decision(facts: &Facts) -> Option<String> {
    let event = facts.events.iter().rev().find(|event| text(&event["reason"]).starts_with("Sync"))?;
    let [reason, time, message] = ["reason", "lastTimestamp", "message"].map(|field| text(&event[field]));
    Some(format!("{reason} ({time}): {message}"))
}

/// Returns the last write of the syncer, to the copy or inside.
fn last_write(facts: &Facts) -> Option<String> {
    let copy = facts.host.as_ref().and_then(|host| host.copy.as_ref());
    let sides = [(copy, "to the copy on the host"), (Some(&facts.object), "inside")];
    let writes =
        sides.iter().filter_map(|(object, place)| Some((object.as_ref()?, place))).flat_map(|(object, place)| {
            let fields = object["metadata"]["managedFields"].as_array().into_iter().flatten();
            let ours = fields.filter(|entry| text(&entry["manager"]).starts_with("tenet-syncer"));
            ours.map(move |entry| (text(&entry["time"]), text(&entry["subresource"]), *place))
        });
    let (time, subresource, place) = writes.max()?;
    let what = if subresource.is_empty() { String::new() } else { format!(" ({subresource})") };
    Some(format!("{time}, {place}{what}"))
}

/// Returns what is in the way, the most basic first.
fn obstacle(facts: &Facts) -> Option<Obstacle> {
    of_cluster(facts)
        .or_else(|| not_crossed(facts))
        .or_else(|| finalizers(&facts.object))
        .or_else(|| not_started(facts))
        .or_else(|| of_pod(facts))
        .or_else(|| of_others(facts))
}

fn of_cluster(facts: &Facts) -> Option<Obstacle> {
    let event = facts.of_cluster.iter().rev().find(|event| OF_CLUSTER.contains(&text(&event["reason"])))?;
    let is_deleting = !facts.object["metadata"]["deletionTimestamp"].is_null();
    // The breaker holds deletes back, and nothing else.
    (event["reason"] != "SyncPaused" || is_deleting).then(|| of_event(event))
}

/// Returns why an object has not crossed, if that still holds.
fn not_crossed(facts: &Facts) -> Option<Obstacle> {
    let marked = conditions(&facts.object)
        .find(|condition| condition["status"] == "False" && text(&condition["reason"]).starts_with("Sync"));
    let event = facts.events.iter().rev().find(|event| NOT_CROSSED.contains(&text(&event["reason"])));
    match (marked, event) {
        (Some(_), Some(event)) => Some(of_event(event)),
        (Some(condition), None) => Some(of_event(condition)),
        // An object without conditions: the event holds while there is no copy.
        (None, Some(event)) if facts.object["status"].is_null() => {
            let is_there = facts.host.as_ref().is_some_and(|host| host.copy.is_some());
            (!is_there).then(|| of_event(event))
        }
        (None, _) => None,
    }
}

/// Returns the finalizers that hold an object which is being deleted.
fn finalizers(object: &Value) -> Option<Obstacle> {
    let metadata = &object["metadata"];
    let names: Vec<&str> = metadata["finalizers"].as_array().into_iter().flatten().map(text).collect();
    (!metadata["deletionTimestamp"].is_null() && !names.is_empty())
        .then(|| Obstacle { reason: "finalizers".to_owned(), message: names.join(", ") })
}

/// Returns why there is no copy yet.
fn not_started(facts: &Facts) -> Option<Obstacle> {
    let gates = facts.object["spec"]["schedulingGates"].as_array().into_iter().flatten();
    let gates: Vec<&str> = gates.map(|gate| text(&gate["name"])).collect();
    if !gates.is_empty() {
        return Some(Obstacle { reason: "SchedulingGated".to_owned(), message: gates.join(", ") });
    }
    let host = facts.host.as_ref()?;
    (facts.way == Way::Copied && host.copy.is_none() && !host.is_syncer_ready)
        .then(|| Obstacle { reason: "syncer".to_owned(), message: "it is not ready, so nothing crosses".to_owned() })
}

fn of_pod(facts: &Facts) -> Option<Obstacle> {
    let object = &facts.object;
    if let Some(condition) = unscheduled(object) {
        return Some(of_event(condition));
    }
    let waiting = containers(object).find_map(|status| {
        let waiting = &status["state"]["waiting"];
        let reason = waiting["reason"].as_str().filter(|reason| !STARTING.contains(reason))?;
        let message = format!("container {}: {}", text(&status["name"]), text(&waiting["message"]));
        Some(Obstacle { reason: reason.to_owned(), message })
    });
    let is_started = is_true(object, "Ready") || matches!(object["status"]["phase"].as_str(), Some("Succeeded") | None);
    waiting.or_else(|| if is_started { None } else { warning(facts) })
}

/// Returns what is in the way of an object that is no pod: a condition of its own, or a claim that waits.
fn of_others(facts: &Facts) -> Option<Obstacle> {
    let status = &facts.object["status"];
    let failure = conditions(&facts.object).find(|it| it["type"] == "ReplicaFailure" && it["status"] == "True");
    if let Some(condition) = failure {
        return Some(of_event(condition));
    }
    if status["phase"] == "Pending" && status["conditions"].is_null() {
        return warning(facts);
    }
    None
}

/// Returns the last warning about the object.
fn warning(facts: &Facts) -> Option<Obstacle> {
    facts
        .events
        .iter()
        .rev()
        .find(|event| event["type"] == "Warning" && event["reason"] != "SyncDegraded")
        .map(of_event)
}

/// Reads reason and message of an event or a condition.
fn of_event(event: &Value) -> Obstacle {
    Obstacle { reason: text(&event["reason"]).to_owned(), message: text(&event["message"]).to_owned() }
}

impl Explanation {
    fn say(&mut self, label: &'static str, text: String) {
        self.lines.push((label, text));
    }

    /// Returns it as data.
    pub(super) fn row(&self) -> Value {
        let mut row: Map<String, Value> =
            self.lines.iter().map(|(label, text)| (label.replace(' ', "_"), json!(text))).collect();
        row.insert("name".to_owned(), json!(self.subject));
        row.insert("blocked".to_owned(), json!(self.is_blocked));
        if let Some(pod) = &self.pod {
            row.insert("pod".to_owned(), pod.row());
        }
        Value::Object(row)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        for (label, text) in &self.lines {
            write!(f, "\n  {:<12} {text}", format!("{label}:"))?;
        }
        if !self.is_blocked {
            f.write_str("\n  nothing blocks it")?;
        }
        if let Some(pod) = &self.pod {
            write!(f, "\n{pod}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, message: &str) -> Value {
        json!({"reason": reason, "message": message, "type": "Warning", "lastTimestamp": "2026-01-01T00:00:00Z"})
    }

    fn blocked_by(facts: &Facts) -> Option<String> {
        obstacle(facts).map(|found| format!("{}: {}", found.reason, found.message))
    }

    #[test]
    fn a_refused_pod_is_blocked_by_the_refusal_while_its_condition_says_so() {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "SyncRefused", "message": "short"});
        let mut facts = Facts {
            way: Way::Copied,
            object: json!({"status": {"phase": "Pending", "conditions": [condition]}}),
            events: vec![event("SyncRefused", "spec.hostNetwork: may not cross")],
            ..Facts::default()
        };
        let told = explain(&facts);
        assert!(told.is_blocked);
        let shown = told.to_string();
        assert!(shown.contains("blocked by:  SyncRefused: spec.hostNetwork: may not cross"), "{shown}");
        assert!(shown.contains("to do:       take the field out"), "{shown}");
        let ready = json!({"type": "Ready", "status": "True"});
        facts.object = json!({"status": {"phase": "Running", "conditions": [ready]}});
        assert_eq!(blocked_by(&facts), None, "the event is of the past");
    }

    #[test]
    fn an_object_without_conditions_is_blocked_while_it_has_no_copy() {
        let mut facts = Facts {
            way: Way::WhenUsed,
            object: json!({"metadata": {}}),
            events: vec![event("SyncBlocked", "taken")],
            ..Facts::default()
        };
        assert_eq!(blocked_by(&facts).as_deref(), Some("SyncBlocked: taken"));
        facts.host = Some(OnHost { copy: Some(json!({})), is_syncer_ready: true });
        assert_eq!(blocked_by(&facts), None);
    }

    #[test]
    fn the_most_basic_obstacle_is_named() {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
        let pod = json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "main", "state": waiting}]}});
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let starting = json!({"status": {"phase": "Pending", "containerStatuses": [{"state": creating}]}});
        let gated = json!({"spec": {"schedulingGates": [{"name": "example.com/gate"}]}});
        let deleted = json!({"metadata": {"deletionTimestamp": "x", "finalizers": ["example.com/a"]}});
        let failure = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"});
        let deployment = json!({"status": {"conditions": [failure]}});
        for (object, expected) in [
            (pod, Some("ImagePullBackOff: container main: no such image")),
            (starting, Some("FailedMount: no such volume")),
            (gated, Some("SchedulingGated: example.com/gate")),
            (deleted, Some("finalizers: example.com/a")),
            (deployment, Some("FailedCreate: quota")),
            (json!({"status": {"phase": "Succeeded"}}), None),
        ] {
            let facts = Facts {
                way: Way::Copied,
                object: object.clone(),
                events: vec![event("FailedMount", "no such volume")],
                ..Facts::default()
            };
            assert_eq!(blocked_by(&facts).as_deref(), expected, "{object}");
        }
    }

    #[test]
    fn a_suspended_cluster_blocks_everything_and_the_breaker_only_deletes() {
        let mut facts = Facts { of_cluster: vec![event("SyncSuspended", "restored")], ..Facts::default() };
        assert_eq!(blocked_by(&facts).as_deref(), Some("SyncSuspended: restored"));
        facts.of_cluster = vec![event("SyncPaused", "many deletes")];
        assert_eq!(blocked_by(&facts), None);
        facts.object = json!({"metadata": {"deletionTimestamp": "x"}});
        assert_eq!(blocked_by(&facts).as_deref(), Some("SyncPaused: many deletes"));
    }

    #[test]
    fn the_last_write_of_the_syncer_is_told_with_its_place() {
        let managed = |manager: &str, time: &str, subresource: &str| json!({"manager": manager, "time": time, "subresource": subresource});
        let copy = json!({"metadata": {"name": "a-x-b", "managedFields": [managed("tenet-syncer", "2026-01-02", "")]}});
        let inside = [managed("kubectl", "2026-01-09", ""), managed("tenet-syncer", "2026-01-03", "status")];
        let facts = Facts {
            object: json!({"metadata": {"managedFields": inside}}),
            host: Some(OnHost { copy: Some(copy), is_syncer_ready: true }),
            ..Facts::default()
        };
        assert_eq!(last_write(&facts).as_deref(), Some("2026-01-03, inside (status)"));
    }

    #[test]
    fn a_workload_is_blocked_by_its_pod() {
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"});
        let pod = Facts {
            subject: "pod/web-1".to_owned(),
            object: json!({"status": {"conditions": [condition]}}),
            ..Facts::default()
        };
        let told =
            explain(&Facts { subject: "deployment/web".to_owned(), pod: Some(Box::new(pod)), ..Facts::default() });
        assert!(told.is_blocked);
        assert_eq!(told.row()["pod"]["blocked_by"], "Unschedulable: full");
    }
}

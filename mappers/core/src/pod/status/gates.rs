//! Conditions of readiness gates: they are set inside, and the kubelet of the host counts them.
//!
//! A condition has one writer on the host. A controller of the host may set the condition that a gate of the tenant
//! names; then its value counts, and that of the tenant stays inside. The host pod records what the syncer has written
//! or is about to write, so every other value is that of another writer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenet_mapper::keys::{GATES, SYNCED};
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::digest::digest;
use tenet_mapper::{Effect, Object, PatchFormat};

use super::super::Subject;
use super::conditions;

/// Members that a controller sets; another value of one is another value of the condition.
const SET: [&str; 4] = ["status", "reason", "message", "lastTransitionTime"];
/// Length that is enough to tell one value of a condition from the next.
const DIGEST: usize = 16;
/// Number of values that a record keeps of a condition: the one that is shown, the next, and earlier ones of which a
/// write had no answer, so that the host may show them later.
const KEPT: usize = 4;

/// Digests of the values that were written, by the type of the condition.
type Record = BTreeMap<String, Vec<String>>;

/// Differences between the conditions of gates on both sides.
#[derive(Default)]
pub(in crate::pod) struct Gates {
    /// The write of the conditions that are on record.
    pub(in crate::pod) write: Option<Effect>,
    /// The record, if it has to change before the conditions do.
    pub(in crate::pod) record: Option<String>,
    /// Conditions that another writer has set.
    pub(in crate::pod) refusals: Vec<Refusal>,
}

/// Compares the conditions of gates on both sides.
pub(in crate::pod) fn gates(pod: &Subject<'_, '_>, host: &Object) -> Gates {
    let (mut gates, before) = (Gates::default(), record(host));
    let (mut now, mut due) = (before.clone(), Vec::new());
    for condition in told(pod) {
        let name = condition["type"].as_str().unwrap_or_default();
        let found = host.list_at("/status/conditions").iter().find(|found| found["type"] == condition["type"]);
        let same =
            |found: &Value| ["status", "reason", "message"].iter().all(|member| found[*member] == condition[*member]);
        if found.is_some_and(same) {
            continue;
        }
        let (shown, known) = (found.map(short), before.get(name).map(Vec::as_slice).unwrap_or_default());
        if shown.as_ref().is_some_and(|shown| !known.contains(shown)) {
            let why = "somebody on the host sets this condition, so the value that it has inside does not cross";
            gates.refusals.push(Refusal { field: format!("status.conditions[{name}]"), why: why.to_owned() });
            continue;
        }
        let next = short(&condition);
        if known.contains(&next) {
            due.push(condition);
        } else {
            now.insert(name.to_owned(), recorded(known, shown.as_ref(), next));
        }
    }
    if now != before {
        gates.record = Some(json!(now).to_string());
    }
    let body = json!({"status": {"conditions": due}});
    gates.write = (!due.is_empty()).then(|| pod.patch_host(Some("status"), PatchFormat::Strategic, body));
    gates
}

/// Returns the values of a condition on record with the next one. The oldest make room for it, but not the one that is
/// shown.
fn recorded(known: &[String], shown: Option<&String>, next: String) -> Vec<String> {
    let mut values: Vec<_> = known.iter().cloned().chain([next]).collect();
    while values.len() > KEPT {
        let oldest = values.iter().position(|value| Some(value) != shown).unwrap_or_default();
        values.remove(oldest);
    }
    values
}

/// Returns the conditions that are set inside, as they are written. A gate may name any condition; one that the host
/// sets has its writer there.
fn told(pod: &Subject<'_, '_>) -> Vec<Value> {
    let gates = pod.virt.list_at("/spec/readinessGates");
    let is_own = |condition: &&Value| {
        condition["type"] != SYNCED
            && !conditions::is_of_host(condition)
            && gates.iter().any(|gate| gate["conditionType"] == condition["type"])
    };
    let written = |condition: &Value| {
        let mut written = json!({"type": condition["type"]});
        for member in SET {
            // A null takes away what an earlier value has.
            written[member] = condition.get(member).cloned().unwrap_or_default();
        }
        written
    };
    pod.virt.list_at("/status/conditions").iter().filter(is_own).map(written).collect()
}

fn record(host: &Object) -> Record {
    host.annotation(GATES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A short digest of the members that a controller sets.
fn short(condition: &Value) -> String {
    let mut digest = digest(&SET.map(|member| condition[member].clone()).into_iter().collect());
    digest.truncate(DIGEST);
    digest
}

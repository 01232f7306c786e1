//! Order: a copy never goes back to an earlier state of its original.

use std::collections::BTreeMap;

use serde_json::Value;
use tenet_mapper::Side;

use super::{Oracle, Promise, SYNCER, record};
use crate::api::{AuditEntry, Object};

/// Past of originals and of their copies, by their UIDs.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// States of each original, in their order.
    originals: BTreeMap<String, Vec<Value>>,
    /// The state that each copy has shown last.
    copies: BTreeMap<String, usize>,
    /// True where two syncers write, or where a syncer may start with an old state.
    is_excused: bool,
}

impl Oracle {
    /// Excuses a copy that goes back.
    pub fn excuse_order(&mut self) {
        self.order.is_excused = true;
    }

    /// Notes a new state of an original, and judges that of a copy.
    pub(super) fn follow(&mut self, side: Side, entry: &AuditEntry) {
        let Some(object) = &entry.after else { return };
        let Some(state) = state(entry.kind.kind, object) else { return };
        if side == Side::Virtual {
            let states = self.order.originals.entry(object.uid().to_owned()).or_default();
            if states.last() != Some(&state) {
                states.push(state);
            }
            return;
        }
        let Some(record) = record(object).filter(|record| record.kind == entry.kind.kind) else { return };
        if !entry.user.starts_with(SYNCER) || self.order.is_excused {
            return;
        }
        let Some(states) = self.order.originals.get(&record.uid) else { return };
        let last = self.order.copies.get(object.uid()).copied().unwrap_or(0);
        if let Some(ahead) = states.iter().skip(last).position(|known| *known == state) {
            self.order.copies.insert(object.uid().to_owned(), last + ahead);
        } else if states.contains(&state) {
            let name = format!("{} {}/{}", record.kind, record.namespace, record.name);
            let why = format!("{} gave the copy of {name} an earlier state: {state}", entry.user);
            self.fail(Promise::Order, why);
        }
    }
}

/// The part of an object that the tenant changes, and that crosses.
fn state(kind: &str, object: &Object) -> Option<Value> {
    match kind {
        "Pod" => Some(object["metadata"]["labels"]["version"].clone()),
        "ConfigMap" | "Secret" => Some(object["data"].clone()),
        "Service" => Some(object["spec"]["ports"][0]["port"].clone()),
        _ => None,
    }
}

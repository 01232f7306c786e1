//! The difference between two configurations, and which part of it may be taken over at run time.

use std::fmt;

use serde_json::{Map, Value};
use tenet_translate::pointer;

use crate::{Config, Known};

/// A changed field that cannot change while the syncer runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// The field, such as `engine.workers`.
    pub field: String,
    /// The value that stays in force, as JSON.
    pub from: String,
    /// The value that the file asks for, as JSON.
    pub to: String,
}

impl fmt::Display for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, from, to } = self;
        write!(f, "{field} changed from {from} to {to}: takes effect after a restart")
    }
}

/// The current configuration with what may change taken from another.
pub(super) struct Merged {
    pub config: Config,
    pub applied: Vec<String>,
    pub deferred: Vec<Deferred>,
}

pub(super) fn merge(current: &Config, wanted: &Config, known: &Known) -> Result<Merged, serde_json::Error> {
    let mut value = serde_json::to_value(current)?;
    let mut changes = Vec::new();
    collect(&value, &serde_json::to_value(wanted)?, &FieldPointer::default(), &mut changes);
    let (applied, deferred): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| known.is_reloadable(&change.location.field));
    for change in &applied {
        pointer::set(&mut value, &change.location.pointer, change.to.clone());
    }
    Ok(Merged {
        config: serde_json::from_value(value)?,
        applied: applied.into_iter().map(|change| change.location.field).collect(),
        deferred: deferred.into_iter().map(Change::defer).collect(),
    })
}

/// A field, for people and for code.
#[derive(Default)]
struct FieldPointer {
    field: String,
    pointer: String,
}

impl FieldPointer {
    fn member(&self, key: &str) -> Self {
        let dot = if self.field.is_empty() { "" } else { "." };
        let field = format!("{}{dot}{key}", self.field);
        Self { field, pointer: format!("{}/{}", self.pointer, pointer::escape(key)) }
    }
}

struct Change {
    location: FieldPointer,
    from: Value,
    to: Value,
}

impl Change {
    fn defer(self) -> Deferred {
        Deferred { field: self.location.field, from: self.from.to_string(), to: self.to.to_string() }
    }
}

/// A list is one value, and so is a mapping whose keys differ.
fn collect(from: &Value, to: &Value, location: &FieldPointer, changes: &mut Vec<Change>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) if have_same_keys(from, to) => {
            for (key, from) in from {
                collect(from, to.get(key).unwrap_or(&Value::Null), &location.member(key), changes);
            }
        }
        _ if from == to => {}
        _ => {
            let FieldPointer { field, pointer } = location;
            let location = FieldPointer { field: field.clone(), pointer: pointer.clone() };
            changes.push(Change { location, from: from.clone(), to: to.clone() });
        }
    }
}

fn have_same_keys(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.keys().all(|key| b.contains_key(key))
}

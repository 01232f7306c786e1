//! The difference between two configurations, and which part of it may be taken over at run time.

use std::fmt;

use serde_json::Value;

use crate::{Config, RELOADABLE};

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

pub(super) fn merge(current: &Config, wanted: &Config) -> Result<Merged, serde_json::Error> {
    let mut value = serde_json::to_value(current)?;
    let mut changes = Vec::new();
    collect(&value, &serde_json::to_value(wanted)?, "", &mut changes);
    let (applied, deferred): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| is_reloadable(&change.field));
    for change in &applied {
        if let Some(place) = value.pointer_mut(&format!("/{}", change.field.replace('.', "/"))) {
            *place = change.to.clone();
        }
    }
    Ok(Merged {
        config: serde_json::from_value(value)?,
        applied: applied.into_iter().map(|change| change.field).collect(),
        deferred: deferred.into_iter().map(Change::defer).collect(),
    })
}

struct Change {
    field: String,
    from: Value,
    to: Value,
}

impl Change {
    fn defer(self) -> Deferred {
        Deferred { field: self.field, from: self.from.to_string(), to: self.to.to_string() }
    }
}

/// Both sides come from the same struct, so they have the same keys. A list is one value.
fn collect(from: &Value, to: &Value, field: &str, changes: &mut Vec<Change>) {
    if let (Value::Object(from), Value::Object(to)) = (from, to) {
        for (key, from) in from {
            let field = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            collect(from, to.get(key).unwrap_or(&Value::Null), &field, changes);
        }
    } else if from != to {
        changes.push(Change { field: field.to_owned(), from: from.clone(), to: to.clone() });
    }
}

fn is_reloadable(field: &str) -> bool {
    RELOADABLE.iter().any(|reloadable| {
        let rest = field.strip_prefix(reloadable);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

//! Changes that the virtual API server leaves undone: an older one drops fields that only the host has, and some values
//! it sets by itself. A change of which it has left exactly this part undone is not sent again while the object stays as
//! it is: the answer would be the same.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tenet_mapper::patch::same;
use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::{Object, ObjectRef, Side};

/// Number of remembered parts; all are sent once more when there are more.
const REMEMBERED: usize = 16_384;

/// Parts of changes that were left undone, by object and subresource.
#[derive(Default)]
pub(super) struct Undone(Mutex<HashMap<(ObjectRef, Option<&'static str>), Left>>);

struct Left {
    /// Version of the object in the answer.
    version: String,
    /// Version of the API server.
    server: String,
    part: Map<String, Value>,
}

impl Undone {
    /// Returns true if the server has left undone all that a change of `cached` asks for.
    pub(super) fn is_known(&self, write: &Write, cached: &Object, server: &str) -> bool {
        let Some(asked) = asked(write) else { return false };
        let undone = self.0.lock();
        undone.get(&key(write)).is_some_and(|undone| {
            let is_current = undone.version == cached.resource_version() && undone.server == server;
            is_current && undone.part == without_preconditions(asked.clone())
        })
    }

    /// Notes which part of a change the answer to it lacks.
    pub(super) fn note(&self, write: &Write, answer: &Value, server: &str) {
        let Some(asked) = asked(write) else { return };
        let part = asked.iter().filter_map(|(name, asked)| Some((name.clone(), left(asked, answer.get(name))?)));
        let part = without_preconditions(part.collect());
        let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        let mut undone = self.0.lock();
        if part.is_empty() || version.is_empty() {
            undone.remove(&key(write));
            return;
        }
        if undone.len() >= REMEMBERED {
            undone.clear();
        }
        undone.insert(key(write), Left { version: version.to_owned(), server: server.to_owned(), part });
    }

    /// Forgets the parts of objects that are not in this version any more, or have gone.
    pub(super) fn compact(&self, is_current: impl Fn(&ObjectRef, &str) -> bool) {
        let mut undone = self.0.lock();
        undone.retain(|(object, _), left| is_current(object, &left.version));
        undone.shrink_to_fit();
    }
}

fn key(write: &Write) -> (ObjectRef, Option<&'static str>) {
    (write.target.clone(), write.subresource)
}

/// Returns what a change asks for; `None` for one of another form, or of a host object, which records what was applied.
fn asked(write: &Write) -> Option<&Map<String, Value>> {
    match &write.payload {
        Payload::Merge(Value::Object(body)) if write.target.side == Side::Virtual => Some(body),
        _ => None,
    }
}

/// Removes the preconditions of a change.
fn without_preconditions(mut part: Map<String, Value>) -> Map<String, Value> {
    if let Some(metadata) = part.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !matches!(name.as_str(), "uid" | "resourceVersion"));
        if metadata.is_empty() {
            part.remove("metadata");
        }
    }
    part
}

/// Returns the part of a merge patch that its result lacks.
fn left(patch: &Value, found: Option<&Value>) -> Option<Value> {
    match (patch, found) {
        (Value::Object(patch), Some(Value::Object(found))) => {
            let part = patch.iter().filter_map(|(name, asked)| Some((name.clone(), left(asked, found.get(name))?)));
            let part: Map<_, _> = part.collect();
            (!part.is_empty()).then_some(Value::Object(part))
        }
        (patch, Some(found)) => (!same(patch, found)).then(|| patch.clone()),
        (patch, None) => (!patch.is_null()).then(|| patch.clone()),
    }
}

//! Objects that were removed a short time ago.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::version::Version;

/// Removal of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burial {
    /// Version at which it was removed.
    pub(super) version: Version,
    /// True if the API server itself has reported the delete, in a watch event or in its answer.
    pub(super) is_told: bool,
}

/// UIDs of recently removed objects. They keep a late answer or event from restoring an object after its delete. A
/// later version is a proof of life: the object had only left the stream, because it lost our label for a time.
#[derive(Default)]
pub(super) struct Buried {
    uids: HashMap<Box<str>, Burial>,
    order: VecDeque<Box<str>>,
}

/// Number of remembered UIDs, above any number of answers in flight.
const BURIED: usize = 2048;

impl Buried {
    pub(super) fn bury(&mut self, uid: &str, burial: Burial) {
        if uid.is_empty() {
            return;
        }
        if let Some(known) = self.uids.get_mut(uid) {
            known.is_told |= burial.is_told;
            known.version = known.version.max(burial.version);
            return;
        }
        let uid: Box<str> = uid.into();
        self.uids.insert(uid.clone(), burial);
        self.order.push_back(uid);
        if self.order.len() > BURIED
            && let Some(oldest) = self.order.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }

    /// Returns true if a state of an object is not later than its removal.
    pub(super) fn holds(&mut self, object: &Value) -> bool {
        let Some(burial) = self.uids.get_mut(uid_of(object)) else { return false };
        if !burial.version.is_older_than(Version::of(object)) {
            return true;
        }
        // It exists, so the server has not reported a delete.
        burial.is_told = false;
        false
    }

    /// Returns true if the API server itself has reported the delete of an object.
    pub(super) fn is_told(&self, uid: &str) -> bool {
        self.uids.get(uid).is_some_and(|burial| burial.is_told)
    }
}

pub(super) fn uid_of(object: &Value) -> &str {
    object.get("metadata").and_then(|metadata| metadata.get("uid")).and_then(Value::as_str).unwrap_or_default()
}

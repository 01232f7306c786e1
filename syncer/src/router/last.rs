//! Last states of host objects that have gone, until their mapper has told them inside.

use dashmap::DashMap;
use tenet_mapper::{HostKey, Kind, Object};

/// Incarnation and version of the last state of a host object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastVersion {
    uid: String,
    version: String,
}

impl LastVersion {
    fn of(last: &Object) -> Self {
        Self { uid: last.uid().to_owned(), version: last.resource_version().to_owned() }
    }
}

/// The last states, by the name of the host object.
#[derive(Default)]
pub struct LastStates {
    states: DashMap<(Kind, HostKey), Object>,
}

impl LastStates {
    /// Keeps the last state of an object that has gone.
    pub(super) fn keep(&self, kind: Kind, last: &Object) {
        self.states.insert((kind, HostKey::new(last.namespace(), last.name())), last.clone());
    }

    /// Forgets the states of a kind that `is_needed` does not accept.
    pub(super) fn forget(&self, kind: Kind, is_needed: impl Fn(&Object) -> bool) {
        if !self.states.is_empty() {
            self.states.retain(|(of, _), last| *of != kind || is_needed(last));
        }
    }

    /// All states, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = Object> {
        self.states.iter().map(|last| last.clone())
    }

    /// Returns the last state of a host object that has gone.
    pub fn get(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.states.get(&(kind, key.clone())).map(|object| object.clone())
    }

    /// Returns the incarnation and version of a last state.
    pub fn version(&self, kind: Kind, key: &HostKey) -> Option<LastVersion> {
        self.states.get(&(kind, key.clone())).map(|last| LastVersion::of(&last))
    }

    /// Acknowledges the end of a host object: its last state is not needed any more, unless another one has
    /// come since `seen`.
    pub fn acknowledge(&self, kind: Kind, key: &HostKey, seen: &LastVersion) {
        self.states.remove_if(&(kind, key.clone()), |_, last| LastVersion::of(last) == *seen);
    }

    /// Returns the number of states.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Frees memory that is no longer needed.
    pub(super) fn compact(&self) {
        self.states.shrink_to_fit();
    }
}

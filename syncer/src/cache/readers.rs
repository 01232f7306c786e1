//! Readers of a kind that see a change: those whose projection shows a difference to the object
//! before.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;
use tenet_mapper::Projection;

/// Projections through which a cache is read.
pub(super) struct Readers {
    present: RwLock<Arc<Set>>,
    /// Seeded, so that a tenant cannot make two objects with the same hash.
    seed: RandomState,
}

#[derive(Debug, Default)]
struct Set {
    /// Counts the sets, so that hashes of another set are not compared.
    number: u32,
    projections: Vec<Projection>,
}

/// Hashes of an object through each projection.
pub(super) struct Views {
    set: Arc<Set>,
    hashes: Box<[u64]>,
}

/// The views of a cached object, as its entry keeps them.
#[derive(Default)]
pub(super) struct Seen {
    /// Set of readers; 0 when no reader has seen the present object.
    set: u32,
    hashes: Box<[u64]>,
}

/// Number of the set of an object that we have changed ourselves, ahead of the event.
const AMENDED: u32 = u32::MAX;

/// Readers that see a change.
#[derive(Debug)]
pub struct Sight {
    set: Arc<Set>,
    /// True if the change is a write of the mapper of the kind, which knows it.
    pub(super) is_echo: bool,
    /// For each projection of the set, true if it shows a difference; all do when empty.
    differs: Vec<bool>,
}

impl Readers {
    pub(super) fn new() -> Self {
        Self { present: RwLock::default(), seed: RandomState::new() }
    }

    /// Replaces the readers. Each sees the next change of every object.
    pub(super) fn replace(&self, mut projections: Vec<Projection>) {
        let mut distinct = Vec::new();
        projections.retain(|projection| {
            let is_new = !distinct.contains(projection);
            distinct.extend(is_new.then_some(*projection));
            is_new
        });
        let mut present = self.present.write();
        *present = Arc::new(Set { number: present.number + 1, projections });
    }

    /// Returns an object as each reader sees it.
    pub(super) fn views(&self, object: &Value) -> Views {
        let set = Arc::clone(&self.present.read());
        let hash = |projection: &Projection| {
            let mut state = self.seed.build_hasher();
            projection.hash(object, &mut state);
            state.finish()
        };
        Views { hashes: set.projections.iter().map(hash).collect(), set }
    }
}

impl Views {
    /// Returns the readers that see a difference to `before`, and the hashes to keep.
    pub(super) fn after(self, before: Option<&Seen>) -> (Sight, Seen) {
        let Self { set, hashes } = self;
        let known = before.filter(|before| before.set == set.number && before.hashes.len() == hashes.len());
        let differs = known.map_or_else(Vec::new, |before| {
            before.hashes.iter().zip(&hashes).map(|(before, now)| before != now).collect()
        });
        let seen = Seen { set: set.number, hashes };
        (Sight { set, is_echo: false, differs }, seen)
    }
}

impl Seen {
    /// The views of an object that we have changed ourselves: no reader has seen them.
    pub(super) fn amended() -> Self {
        Self { set: AMENDED, hashes: Box::default() }
    }

    pub(super) fn is_amended(&self) -> bool {
        self.set == AMENDED
    }
}

impl Sight {
    /// Returns true if the event shows no more than what the mapper of the kind has written and noted in the cache.
    pub fn is_echo(&self) -> bool {
        self.is_echo
    }

    /// Returns true if a reader with this projection must reconcile. A projection that the cache does
    /// not know always must.
    pub fn concerns(&self, projection: &Projection) -> bool {
        let position = self.set.projections.iter().position(|other| other == projection);
        position.and_then(|position| self.differs.get(position)).is_none_or(|differs| *differs)
    }
}

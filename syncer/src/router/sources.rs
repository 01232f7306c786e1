//! Index of one input of a mapper: objects to keys, and keys to objects.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use tenet_mapper::VirtualKey;

use crate::cache::NamespacedName;

/// Number of sources in a page behind the first, which has one.
const PAGE: usize = 64;

/// Keys of an input that an object affects.
#[derive(Default)]
pub struct Touched {
    /// The keys that it affects now, and those that it affected before, in order.
    pub keys: Vec<VirtualKey>,
    /// True if they differ from the keys that it affected before.
    pub moved: bool,
}

/// Index of one input in both directions.
#[derive(Default)]
pub struct Sources {
    by_object: HashMap<NamespacedName, Vec<VirtualKey>>,
    by_key: HashMap<VirtualKey, BTreeSet<NamespacedName>>,
}

impl Sources {
    /// Returns the keys that an object affects.
    pub fn keys(&self, object: &NamespacedName) -> Vec<VirtualKey> {
        self.by_object.get(object).cloned().unwrap_or_default()
    }

    /// Returns the page of objects that affect a key, in order, behind the object `after`; the first page without it.
    pub fn page(&self, key: &VirtualKey, after: Option<&NamespacedName>) -> Vec<NamespacedName> {
        let Some(places) = self.by_key.get(key) else { return Vec::new() };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let length = if after.is_some() { PAGE } else { 1 };
        places.range::<NamespacedName, _>((start, Bound::Unbounded)).take(length).cloned().collect()
    }

    /// Records the keys that an object affects now; none if it has gone.
    pub fn replace(&mut self, object: &NamespacedName, now: Vec<VirtualKey>) -> Touched {
        let before = if now.is_empty() {
            self.by_object.remove(object)
        } else {
            self.by_object.insert(object.clone(), now.clone())
        };
        let before = before.unwrap_or_default();
        for key in before.iter().filter(|key| !now.contains(key)) {
            if let Some(places) = self.by_key.get_mut(key) {
                places.remove(object);
                if places.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
        for key in now.iter().filter(|key| !before.contains(key)) {
            self.by_key.entry(key.clone()).or_default().insert(object.clone());
        }
        let moved = now != before;
        let mut keys = now;
        keys.extend(before);
        keys.sort_unstable();
        keys.dedup();
        Touched { keys, moved }
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.by_object.len() + self.by_key.len()
    }

    /// Frees memory that is no longer needed.
    pub fn compact(&mut self) {
        self.by_object.shrink_to_fit();
        self.by_key.shrink_to_fit();
    }
}

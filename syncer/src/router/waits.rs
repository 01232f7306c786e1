//! Keys that wait for a change of an object.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tenet_mapper::{Dependency, MapperId};
use tokio::time::Instant;

use crate::queue::Key;

/// Index of waiting keys, in both directions.
#[derive(Default)]
pub(super) struct Waits(Mutex<Index>);

#[derive(Default)]
struct Index {
    by_dependency: HashMap<Dependency, HashSet<Key>>,
    by_key: HashMap<Key, Wait>,
}

/// Dependencies of a key, and the time since when it waits for exactly these.
struct Wait {
    dependencies: BTreeSet<Dependency>,
    since: Instant,
}

impl Waits {
    /// Replaces the dependencies of a key.
    pub(super) fn set(&self, key: &Key, dependencies: BTreeSet<Dependency>) {
        let mut index = self.0.lock();
        if dependencies.is_empty() && index.by_key.is_empty() {
            return;
        }
        if index.by_key.get(key).is_some_and(|wait| wait.dependencies == dependencies) {
            return;
        }
        index.forget(key);
        for dependency in &dependencies {
            index.by_dependency.entry(dependency.clone()).or_default().insert(key.clone());
        }
        if !dependencies.is_empty() {
            index.by_key.insert(key.clone(), Wait { dependencies, since: Instant::now() });
        }
    }

    /// Returns how long a key has waited for exactly these.
    pub(super) fn lasted(&self, key: &Key, dependencies: &BTreeSet<Dependency>) -> Duration {
        let index = self.0.lock();
        let wait = index.by_key.get(key).filter(|wait| wait.dependencies == *dependencies);
        wait.map(|wait| wait.since.elapsed()).unwrap_or_default()
    }

    /// Takes the keys that wait for any of these.
    pub(super) fn wake(&self, dependencies: impl FnOnce() -> [Dependency; 2]) -> Vec<Key> {
        let mut index = self.0.lock();
        if index.by_dependency.is_empty() {
            return Vec::new();
        }
        let woken: HashSet<_> =
            dependencies().iter().filter_map(|dependency| index.by_dependency.remove(dependency)).flatten().collect();
        for key in &woken {
            index.forget(key);
        }
        let mut woken: Vec<_> = woken.into_iter().collect();
        woken.sort_unstable();
        woken
    }

    /// Forgets the keys of a mapper.
    pub(super) fn stop(&self, mapper: MapperId) {
        let mut index = self.0.lock();
        let keys: Vec<_> = index.by_key.keys().filter(|key| key.mapper == mapper).cloned().collect();
        for key in keys {
            index.forget(&key);
        }
    }

    /// Returns how many keys wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().by_key.len()
    }

    /// Frees memory that is no longer needed.
    pub(super) fn compact(&self) {
        let mut index = self.0.lock();
        index.by_dependency.shrink_to_fit();
        index.by_key.shrink_to_fit();
    }
}

impl Index {
    fn forget(&mut self, key: &Key) {
        for dependency in self.by_key.remove(key).into_iter().flat_map(|wait| wait.dependencies) {
            if let Some(keys) = self.by_dependency.get_mut(&dependency) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_dependency.remove(&dependency);
                }
            }
        }
    }
}

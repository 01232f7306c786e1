//! Decoded objects of the latest look-ups. One reconcile looks at the same object several times, and reconciles in a
//! row look at the same few: the owner of the pods, the namespace, the node.

use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use tenet_mapper::Object;

use super::NamespacedName;

/// Objects that are kept; two whose names hash to one slot replace each other. There are about as many as keys of one
/// mapper at work.
const SLOTS: usize = 32;
/// Packed bytes beyond which a decoded object is not kept: a tenant can make objects of a megabyte.
const LARGEST: usize = 8 * 1024;

type Slot = Mutex<Option<(NamespacedName, Object)>>;

/// A few decoded objects of a cache. Changes are noted while the entry of the object is locked, so an older state
/// never replaces a newer one.
pub(super) struct Recent {
    slots: [Slot; SLOTS],
    seed: RandomState,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { slots: Default::default(), seed: RandomState::new() }
    }

    /// Returns an object that was kept.
    pub(super) fn get(&self, key: &NamespacedName) -> Option<Object> {
        let slot = self.slot(key).lock();
        slot.as_ref().filter(|(of, _)| of == key).map(|(_, object)| object.clone())
    }

    /// Keeps the present state of an object, whose packed form takes so many bytes.
    pub(super) fn keep(&self, key: &NamespacedName, object: &Object, packed: usize) {
        if packed > LARGEST {
            return self.forget(key);
        }
        let replaced = self.slot(key).lock().replace((key.clone(), object.clone()));
        // Without the lock: the last reference to an object frees all of it.
        drop(replaced);
    }

    /// Forgets an object that has changed or gone.
    pub(super) fn forget(&self, key: &NamespacedName) {
        let mut slot = self.slot(key).lock();
        if slot.as_ref().is_some_and(|(of, _)| of == key) {
            *slot = None;
        }
    }

    /// Forgets all objects.
    pub(super) fn clear(&self) {
        for slot in &self.slots {
            *slot.lock() = None;
        }
    }

    /// Returns true if no object is kept.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.lock().is_none())
    }

    fn slot(&self, key: &NamespacedName) -> &Slot {
        let hash = self.seed.hash_one(key);
        // The remainder is below the number of slots.
        &self.slots[usize::try_from(hash % SLOTS as u64).unwrap_or_default()]
    }
}

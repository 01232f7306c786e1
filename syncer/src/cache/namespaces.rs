//! Index of the names of cached objects by namespace, for lists of one namespace without a scan
//! of all objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use dashmap::DashMap;

use super::NamespacedName;

/// The names of the objects of each namespace; no namespace without objects.
///
/// The cache writes to it while it holds the lock of the object's own entry, so both agree
/// whatever two threads do. Nothing here locks an entry.
pub(super) struct Namespaces(DashMap<Arc<str>, BTreeSet<Arc<str>>>);

impl Namespaces {
    pub(super) fn new() -> Self {
        Self(DashMap::with_shard_amount(8))
    }

    /// Returns the same key with the namespace text that other keys share: a text of its own for
    /// each object would cost more than the index does.
    pub(super) fn share(&self, key: NamespacedName) -> NamespacedName {
        let known = self.0.get(&key.namespace).map(|names| Arc::clone(names.key()));
        NamespacedName { namespace: known.unwrap_or(key.namespace), name: key.name }
    }

    pub(super) fn add(&self, key: &NamespacedName) {
        self.0.entry(Arc::clone(&key.namespace)).or_default().insert(Arc::clone(&key.name));
    }

    pub(super) fn remove(&self, key: &NamespacedName) {
        let is_last = self.0.get_mut(&key.namespace).is_some_and(|mut names| {
            names.remove(&key.name);
            names.is_empty()
        });
        if is_last {
            self.0.remove_if(&key.namespace, |_, names| names.is_empty());
        }
    }

    pub(super) fn compact(&self) {
        self.0.shrink_to_fit();
    }

    /// Returns the keys in one namespace, in order of their names.
    pub(super) fn keys(&self, namespace: &str) -> Vec<NamespacedName> {
        let Some(names) = self.0.get(namespace) else { return Vec::new() };
        let key = |name: &Arc<str>| NamespacedName { namespace: Arc::clone(names.key()), name: Arc::clone(name) };
        names.iter().map(key).collect()
    }
}

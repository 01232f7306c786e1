//! Streams into a cache: what their lists show, and what they do not show any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::buried::Buried;
use super::selector::Selector;
use super::{Cache, Entry, NamespacedName, Version};

/// A stream into a cache: the objects of one namespace, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(usize);

/// State of the lists of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Namespace of the stream; all namespaces when absent. No two streams show the same object.
    namespace: Option<Arc<str>>,
    /// Labels that the stream selects by.
    selector: Selector,
    /// Counts its lists.
    epoch: u32,
}

impl Stream {
    fn shows(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|shown| shown == namespace)
    }

    fn lacks(&self, key: &NamespacedName, entry: &Entry) -> bool {
        entry.epoch != self.epoch && self.shows(&key.namespace)
    }
}

impl Cache {
    /// Adds a stream that shows one namespace, or all, and what a label selector selects, or everything.
    pub fn add_stream(&self, namespace: Option<&str>, selector: Option<&str>) -> StreamId {
        let mut streams = self.streams.write();
        let selector = Selector::of(selector);
        streams.push(Stream { namespace: namespace.map(Arc::from), selector, epoch: 0 });
        StreamId(streams.len() - 1)
    }

    /// Returns true if the streams select by a label, so that the cache holds copies of ours alone.
    pub fn is_selective(&self) -> bool {
        let streams = self.streams.read();
        !streams.is_empty() && streams.iter().all(|stream| stream.selector.is_positive())
    }

    /// Returns true if a stream selects an object. One that lost its label has left the stream.
    pub fn selects(&self, object: &Value) -> bool {
        let namespace = &NamespacedName::of(object).namespace;
        let streams = self.streams.read();
        let stream = streams.iter().find(|stream| stream.shows(namespace));
        stream.is_none_or(|stream| stream.selector.selects(object))
    }

    /// Returns the epoch of the list that an object of this namespace must be on.
    pub(super) fn epoch_of(&self, namespace: &str) -> u32 {
        self.streams.read().iter().find(|stream| stream.shows(namespace)).map_or(0, |stream| stream.epoch)
    }

    /// Forgets the versions of the objects of a stream, and what was removed: its store was restored, so an older state
    /// is the valid one. The next list replaces every object.
    pub fn forget_versions(&self, stream: StreamId) {
        let streams = self.streams.read();
        let Some(stream) = streams.get(stream.0) else { return };
        for mut entry in self.entries.iter_mut().filter(|entry| stream.shows(&entry.key().namespace)) {
            entry.version = Version(0);
        }
        *self.buried.lock() = Buried::default();
        self.newest.store(0, Ordering::Relaxed);
    }

    /// Begins a list of a stream: [`Self::end_list`] returns every object that it does not contain.
    pub fn begin_list(&self, stream: StreamId) {
        if let Some(stream) = self.streams.write().get_mut(stream.0) {
            stream.epoch += 1;
        }
    }

    /// Ends a list of a stream. Returns the objects that the stream showed before and does not show now. They stay: a
    /// list may lack an object that exists.
    pub fn end_list(&self, stream: StreamId) -> BTreeSet<NamespacedName> {
        let streams = self.streams.read();
        let Some(stream) = streams.get(stream.0) else { return BTreeSet::new() };
        let unlisted = self.entries.iter().filter(|entry| stream.lacks(entry.key(), entry.value()));
        // In order, so that one seed of the simulator always gives the same run.
        let unlisted = unlisted.map(|entry| entry.key().clone()).collect();
        self.changes.send_modify(|changes| *changes += 1);
        unlisted
    }

    /// Returns true if the last list of a stream did not contain a cached object, and no event has shown it since.
    pub fn lacks(&self, stream: StreamId, key: &NamespacedName) -> bool {
        let streams = self.streams.read();
        let entry = self.entries.get(key);
        streams.get(stream.0).zip(entry).is_some_and(|(stream, entry)| stream.lacks(key, &entry))
    }
}

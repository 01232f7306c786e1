//! The store: versions of objects, their history, and the wakers of those who follow it.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::task::Waker;

use serde_json::Value;
use tenet_mapper::Kind;

use super::object::Object;
use super::resource::{Resource, ResourceId, built_in};

/// One change of one object.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) key: String,
    pub(super) before: Option<Arc<Object>>,
    pub(super) after: Option<Arc<Object>>,
    /// The last state of a deleted object, with the version of its end.
    pub(super) gone: Option<Arc<Object>>,
}

/// The objects of one resource.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) resource: Resource,
    pub(super) is_served: bool,
    /// By `namespace/name`, or by name: the order of a list.
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    pub(super) history: VecDeque<Event>,
    /// The version up to which the history is forgotten.
    pub(super) floor: u64,
    /// The version that a bookmark tells.
    pub(super) seen: u64,
    wakers: BTreeMap<u64, Waker>,
}

/// All objects of a cluster.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) version: u64,
    /// Raised when every watch has to end.
    pub(super) era: u64,
    pub(super) tables: Vec<Table>,
    history: usize,
    followers: Vec<Waker>,
}

/// A copy of the objects of a cluster, as a backup of its store has it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    version: u64,
    objects: Vec<BTreeMap<String, Arc<Object>>>,
}

/// The key of an object in its table.
pub(super) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

impl Table {
    fn new(resource: Resource) -> Self {
        Self {
            resource,
            is_served: true,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            floor: 0,
            seen: 0,
            wakers: BTreeMap::new(),
        }
    }

    /// Keeps a waker until the next change.
    pub(super) fn wait(&mut self, follower: u64, waker: &Waker) {
        self.wakers.insert(follower, waker.clone());
    }

    /// Drops the waker of a task that does not follow any more.
    pub(super) fn leave(&mut self, follower: u64) {
        self.wakers.remove(&follower);
    }

    fn wake(&mut self) {
        for waker in mem::take(&mut self.wakers).into_values() {
            waker.wake();
        }
    }

    /// The objects with this key prefix, from a key on.
    pub(super) fn select<'t>(&'t self, namespace: &str, from: &str) -> impl Iterator<Item = &'t Arc<Object>> + use<'t> {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let start = from.max(prefix.as_str()).to_owned();
        self.objects.range(start..).take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, object)| object)
    }

    /// The table as it was at a version; `None` when that is forgotten.
    pub(super) fn at(&self, version: u64) -> Option<Self> {
        if version < self.floor {
            return None;
        }
        let mut past = Self { objects: self.objects.clone(), ..Self::new(self.resource) };
        for event in self.history.iter().rev().take_while(|event| event.version > version) {
            match &event.before {
                Some(before) => past.objects.insert(event.key.clone(), Arc::clone(before)),
                None => past.objects.remove(&event.key),
            };
        }
        Some(past)
    }

    /// The changes after a version.
    pub(super) fn since(&self, version: u64) -> impl Iterator<Item = &Event> {
        let start = self.history.partition_point(|event| event.version <= version);
        self.history.range(start..)
    }
}

impl Store {
    pub(super) fn new(history: usize) -> Self {
        let tables = built_in().into_iter().map(Table::new).collect();
        Self { version: 1, era: 0, tables, history, followers: Vec::new() }
    }

    /// The table of a kind.
    pub(super) fn find(&self, kind: Kind) -> Option<ResourceId> {
        // Most kinds differ in their plurals, whose comparison is cheap.
        let is_it = |table: &Table| table.resource.kind.plural == kind.plural && table.resource.kind == kind;
        self.tables.iter().position(is_it)
    }

    /// The table that serves a path.
    pub(super) fn serving(&self, group: &str, version: &str, plural: &str) -> Option<ResourceId> {
        self.tables.iter().position(|table| {
            let kind = &table.resource.kind;
            table.is_served && kind.plural == plural && kind.group == group && kind.version == version
        })
    }

    /// Returns true if any resource of a group and version is served.
    pub(super) fn serves_group(&self, group: &str, version: &str) -> bool {
        let kinds = self.tables.iter().filter(|table| table.is_served).map(|table| &table.resource.kind);
        kinds.into_iter().any(|kind| kind.group == group && kind.version == version)
    }

    /// Adds a resource, or serves it again.
    pub(super) fn add(&mut self, resource: Resource) {
        match self.find(resource.kind) {
            Some(id) => self.tables[id].is_served = true,
            None => self.tables.push(Table { floor: self.version, seen: self.version, ..Table::new(resource) }),
        }
    }

    pub(super) fn get(&self, id: ResourceId, key: &str) -> Option<&Arc<Object>> {
        self.tables[id].objects.get(key)
    }

    /// Stores an object at a new version.
    pub(super) fn put(&mut self, id: ResourceId, key: &str, value: Value) -> Arc<Object> {
        self.version += 1;
        let object = Arc::new(Object::new(value, self.version));
        let before = self.tables[id].objects.insert(key.to_owned(), Arc::clone(&object));
        self.note(id, key, before, Some(Arc::clone(&object)), None);
        object
    }

    /// Removes an object. Returns its last state, with the version of its end.
    pub(super) fn remove(&mut self, id: ResourceId, key: &str) -> Option<Arc<Object>> {
        let before = self.tables[id].objects.remove(key)?;
        self.version += 1;
        let gone = Arc::new(Object::new(before.value().clone(), self.version));
        self.note(id, key, Some(before), None, Some(Arc::clone(&gone)));
        Some(gone)
    }

    fn note(
        &mut self,
        id: ResourceId,
        key: &str,
        before: Option<Arc<Object>>,
        after: Option<Arc<Object>>,
        gone: Option<Arc<Object>>,
    ) {
        let (version, table) = (self.version, &mut self.tables[id]);
        table.history.push_back(Event { version, key: key.to_owned(), before, after, gone });
        table.seen = version;
        if table.history.len() > self.history
            && let Some(forgotten) = table.history.pop_front()
        {
            table.floor = forgotten.version;
        }
        table.wake();
        for waker in mem::take(&mut self.followers) {
            waker.wake();
        }
    }

    /// Keeps the waker of a task that follows every change.
    pub(super) fn follow(&mut self, waker: &Waker) {
        if !self.followers.iter().any(|known| known.will_wake(waker)) {
            self.followers.push(waker.clone());
        }
    }

    /// Forgets the history up to a version.
    pub(super) fn compact(&mut self, version: u64) {
        for table in &mut self.tables {
            table.history.drain(..table.history.partition_point(|event| event.version <= version));
            table.floor = table.floor.max(version.min(self.version));
        }
    }

    /// Ends every watch.
    pub(super) fn cut(&mut self) {
        self.era += 1;
        for table in &mut self.tables {
            table.wake();
        }
    }

    /// Wakes the watches of one kind.
    pub(super) fn cut_table(&mut self, kind: Kind) {
        if let Some(id) = self.find(kind) {
            self.tables[id].wake();
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let objects = self.tables.iter().map(|table| table.objects.clone()).collect();
        Snapshot { version: self.version, objects }
    }

    /// Goes back to a snapshot: its versions are used again.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) {
        self.version = snapshot.version;
        for (position, table) in self.tables.iter_mut().enumerate() {
            table.objects = snapshot.objects.get(position).cloned().unwrap_or_default();
            table.history.clear();
            (table.floor, table.seen) = (snapshot.version, snapshot.version);
        }
        self.cut();
    }

    /// Becomes an empty store.
    pub(super) fn wipe(&mut self) {
        self.restore(&Snapshot { version: 1, objects: Vec::new() });
    }
}

//! Cache of one kind on one side: projected JSON texts, compressed, never decoded into types.

mod buried;
mod name;
mod namespaces;
mod pack;
mod readers;
mod recent;
mod selector;
mod streams;
mod version;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as MapEntry;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::{Kind, Object, Projection, Side, plan};
use tokio::sync::watch;

use buried::{Burial, Buried, uid_of};
use namespaces::Namespaces;
use readers::{Readers, Seen};
use recent::Recent;
use streams::Stream;

pub use name::NamespacedName;
pub use readers::Sight;
pub use streams::StreamId;
pub use version::Version;

struct Entry {
    packed: Box<[u8]>,
    version: Version,
    /// Version that our last write of what is derived from the other side made; 0 when there was none.
    told: Version,
    epoch: u32,
    /// Bytes of the content of which only a digest is kept.
    content: u32,
    seen: Seen,
}

impl Entry {
    /// Notes that the list of this epoch shows the object. Returns true if the entry is this version or a newer one.
    fn confirm(&mut self, version: Version, epoch: u32) -> bool {
        self.epoch = epoch;
        version.is_older_than(self.version) || (version == self.version && version.0 != 0)
    }
}

/// Result of a write to the cache.
#[derive(Debug)]
pub enum Change {
    /// Nothing changed: the object was known, or older.
    None,
    /// The object was stored; the sight says which readers see a difference.
    Stored(Object, Sight),
}

/// The objects of one kind on one side.
pub struct Cache {
    side: Side,
    kind: Kind,
    projection: Projection,
    /// The name of our virtual cluster, and the projection of the objects that do not carry it.
    foreign: Option<(String, Projection)>,
    is_elsewhere: bool,
    entries: DashMap<NamespacedName, Entry>,
    namespaces: Namespaces,
    readers: Readers,
    recent: Recent,
    streams: RwLock<Vec<Stream>>,
    bytes: AtomicU64,
    content: AtomicU64,
    /// The newest version that any stream or answer has shown.
    newest: AtomicU64,
    changes: watch::Sender<u64>,
    buried: Mutex<Buried>,
}

impl Cache {
    /// An empty cache.
    pub fn new(side: Side, kind: Kind, projection: Projection) -> Self {
        Self {
            side,
            kind,
            projection,
            foreign: None,
            is_elsewhere: false,
            entries: DashMap::with_shard_amount(8),
            namespaces: Namespaces::new(),
            readers: Readers::new(),
            recent: Recent::new(),
            streams: RwLock::default(),
            bytes: AtomicU64::new(0),
            content: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            buried: Mutex::default(),
        }
    }

    /// Keeps of the objects that are not marked as ours, of the virtual cluster `vc`, only this projection.
    #[must_use]
    pub fn cutting_foreign(self, vc: &str, projection: Projection) -> Self {
        Self { foreign: Some((vc.to_owned(), projection)), ..self }
    }

    /// Marks a cache of host objects that no copies are among, see [`tenet_mapper::Elsewhere`].
    #[must_use]
    pub fn elsewhere(self) -> Self {
        Self { is_elsewhere: true, ..self }
    }

    /// Returns true for a cache of host objects that no copies are among.
    pub fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    /// The side.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the projection that is kept of each object of ours.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Returns the projection that is kept of an object, which shows its labels.
    fn projection_of(&self, object: &Value) -> &Projection {
        match &self.foreign {
            Some((vc, projection)) if object["metadata"]["labels"][MANAGED_BY] != **vc => projection,
            _ => &self.projection,
        }
    }

    /// Sets the projections of the readers that a change wakes.
    pub fn read_through(&self, projections: Vec<Projection>) {
        self.readers.replace(projections);
    }

    /// Returns one object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Object> {
        self.get_at(&NamespacedName::new(namespace, name))
    }

    /// Returns one object.
    pub fn get_at(&self, key: &NamespacedName) -> Option<Object> {
        if let Some(object) = self.recent.get(key) {
            return Some(object);
        }
        let entry = self.entries.get(key)?;
        let object = unpack(&entry.packed)?;
        self.recent.keep(entry.key(), &object, entry.packed.len());
        Some(object)
    }

    /// Returns true if the cache still contains exactly this object.
    pub fn holds(&self, object: &Object) -> bool {
        let version = Version::of(object.value());
        self.entries
            .get(&NamespacedName::new(object.namespace(), object.name()))
            .is_some_and(|entry| entry.version == version)
    }

    /// Returns true if the cache contains any object with this name.
    pub fn is_taken(&self, object: &Object) -> bool {
        self.entries.contains_key(&NamespacedName::new(object.namespace(), object.name()))
    }

    /// Returns true if the cache contains this version of an object, or a newer one; a list that shows the
    /// object then keeps it. The answer to a write comes again as an event, which need not be decoded.
    pub fn confirm(&self, namespace: &str, name: &str, version: &str) -> bool {
        let key = NamespacedName::new(namespace, name);
        let epoch = self.epoch_of(namespace);
        self.entries.get_mut(&key).is_some_and(|mut known| known.confirm(Version::parse(version), epoch))
    }

    /// Stores an object, unless the cached one is newer.
    pub fn store(&self, object: Value) -> Change {
        let (key, version) = (NamespacedName::of(&object), Version::of(&object));
        self.newest.fetch_max(version.0, Ordering::Relaxed);
        let projection = self.projection_of(&object);
        let content = u32::try_from(projection.content(&object)).unwrap_or(u32::MAX);
        let object = projection.cut(object);
        let Some(packed) = pack::pack(&object) else { return Change::None };
        let (added, epoch) = (packed.len() as u64, self.epoch_of(&key.namespace));
        let views = self.readers.views(&object);
        let (sight, object) = match self.entries.entry(self.namespaces.share(key)) {
            MapEntry::Occupied(mut found) => {
                if found.get_mut().confirm(version, epoch) {
                    return Change::None;
                }
                let object = Object::new(object);
                let is_echo = found.get().seen.is_amended()
                    && self
                        .recent
                        .get(found.key())
                        .or_else(|| unpack(&found.get().packed))
                        .is_some_and(|noted| plan::is_binding_shown(&noted, &object));
                self.recent.keep(found.key(), &object, packed.len());
                let known = found.get_mut();
                let removed = known.packed.len() as u64;
                let (mut sight, seen) = views.after(Some(&known.seen));
                sight.is_echo = is_echo;
                self.content.fetch_add(u64::from(content), Ordering::Relaxed);
                self.content.fetch_sub(u64::from(known.content), Ordering::Relaxed);
                *known = Entry { packed, version, told: known.told, epoch, content, seen };
                self.bytes.fetch_add(added, Ordering::Relaxed);
                self.bytes.fetch_sub(removed, Ordering::Relaxed);
                (sight, object)
            }
            MapEntry::Vacant(free) => {
                if self.buried.lock().holds(&object) {
                    return Change::None;
                }
                let (sight, seen) = views.after(None);
                let object = Object::new(object);
                self.recent.keep(free.key(), &object, packed.len());
                self.namespaces.add(free.key());
                free.insert(Entry { packed, version, told: Version(0), epoch, content, seen });
                self.content.fetch_add(u64::from(content), Ordering::Relaxed);
                self.bytes.fetch_add(added, Ordering::Relaxed);
                (sight, object)
            }
        };
        self.changes.send_modify(|changes| *changes += 1);
        Change::Stored(object, sight)
    }

    /// Changes a cached object in place after a write whose answer does not carry it. The next event of the watch
    /// overwrites it; it is an echo when it shows a binding that was noted, and nothing else.
    pub fn amend(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let key = NamespacedName::new(namespace, name);
        let Some(mut entry) = self.entries.get_mut(&key) else { return };
        let Some(known) = self.recent.get(&key).or_else(|| unpack(&entry.packed)) else { return };
        let mut object = known.value().clone();
        change(&mut object);
        if let Some(packed) = pack::pack(&object) {
            self.bytes.fetch_add(packed.len() as u64, Ordering::Relaxed);
            self.bytes.fetch_sub(entry.packed.len() as u64, Ordering::Relaxed);
            entry.packed = packed;
            self.recent.keep(&key, &Object::new(object), entry.packed.len());
            // No reader was notified, so every reader has to see the next event.
            entry.seen = Seen::amended();
        }
    }

    /// Notes that our write of what is derived from the other side made this state.
    pub fn note_told(&self, key: &NamespacedName, version: Version) {
        if let Some(mut entry) = self.entries.get_mut(key) {
            entry.told = version;
        }
    }

    /// Returns true if somebody has written an object since our last write of what is derived from the other side.
    pub fn is_written_by_others(&self, namespace: &str, name: &str) -> bool {
        let entry = self.entries.get(&NamespacedName::new(namespace, name));
        entry.is_some_and(|entry| entry.told.is_older_than(entry.version))
    }

    /// Removes an object, unless the cached one is newer than the delete. `last` is the
    /// final state that the watch reported.
    pub fn remove(&self, last: &Value) -> Option<Object> {
        let (key, version) = (NamespacedName::of(last), Version::of(last));
        self.newest.fetch_max(version.0, Ordering::Relaxed);
        // Record the UID first, so that a concurrent answer cannot restore the object.
        self.buried.lock().bury(uid_of(last), Burial { version, is_told: true });
        self.forget(&key, |entry| !version.is_older_than(entry.version))?;
        Some(Object::new(self.projection_of(last).cut(last.clone())))
    }

    /// Removes an object that a quorum read has shown to be absent.
    pub fn evict(&self, namespace: &str, name: &str, uid: &str) -> Option<Object> {
        let key = NamespacedName::new(namespace, name);
        let object = self.get_at(&key).filter(|object| object.uid() == uid)?;
        let version = Version::of(object.value());
        // A UID is never reused, so no later version of it is alive.
        self.buried.lock().bury(uid, Burial { version: Version::LAST, is_told: false });
        // The version may have been forgotten.
        self.forget(&key, |entry| entry.version == version || entry.version == Version(0))?;
        Some(object)
    }

    /// Notes that the API server has answered a delete of this UID.
    pub fn note_deleted(&self, uid: &str) {
        self.buried.lock().bury(uid, Burial { version: Version::LAST, is_told: true });
    }

    /// Returns true if the API server has reported the delete of this UID, and it was not long ago. That the object is
    /// missing in a list, or not found by a read, is weaker evidence.
    pub fn is_deleted(&self, uid: &str) -> bool {
        self.buried.lock().is_told(uid)
    }

    /// Removes an entry if `is_it` accepts it.
    fn forget(&self, key: &NamespacedName, is_it: impl Fn(&Entry) -> bool) -> Option<()> {
        let (_, entry) = self.entries.remove_if(key, |key, entry| {
            let is_it = is_it(entry);
            if is_it {
                self.namespaces.remove(key);
                self.recent.forget(key);
            }
            is_it
        })?;
        self.changes.send_modify(|changes| *changes += 1);
        self.bytes.fetch_sub(entry.packed.len() as u64, Ordering::Relaxed);
        self.content.fetch_sub(u64::from(entry.content), Ordering::Relaxed);
        Some(())
    }

    /// Returns the newest resource version that was seen; 0 when there is none. A store that is older was restored.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    /// Forgets how new the store was: it was restored. [`Self::forget_versions`] follows for each stream.
    pub fn forget_newest(&self) {
        self.newest.store(0, Ordering::Relaxed);
    }

    /// Returns the keys of all objects, in order.
    pub fn keys(&self) -> BTreeSet<NamespacedName> {
        self.entries.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Returns the resource version of a cached object.
    pub fn version_of(&self, object: &NamespacedName) -> Option<u64> {
        self.entries.get(object).map(|entry| entry.version.0)
    }

    /// Returns the objects of one namespace, in order of their names.
    pub fn list(&self, namespace: &str) -> Vec<Object> {
        self.namespaces.keys(namespace).iter().filter_map(|key| self.get_at(key)).collect()
    }

    /// Returns how often anything has changed.
    pub fn changes(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Returns a receiver that is notified of every change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Frees memory that is no longer needed.
    pub fn compact(&self) {
        self.entries.shrink_to_fit();
        self.namespaces.compact();
        self.recent.clear();
    }

    /// Returns the number of objects.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if the cache has no objects.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the bytes of the content of which only digests are kept.
    pub fn content(&self) -> u64 {
        self.content.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the content of one object of which only a digest is kept.
    pub fn content_of(&self, namespace: &str, name: &str) -> u64 {
        self.entries.get(&NamespacedName::new(namespace, name)).map_or(0, |entry| u64::from(entry.content))
    }

    /// Returns the compressed size of all objects in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Unpacks an object that the cache has packed.
fn unpack(packed: &[u8]) -> Option<Object> {
    pack::unpack(packed).map(Object::new)
}

#[cfg(test)]
mod tests;

//! Content that the caches do not hold: asked for as data, read by the engine.

use std::collections::BTreeMap;

use crate::{HostKey, Kind, Object, ObjectRef, VirtualKey};

/// An object that a reconcile needs to see: a whole virtual one, or the metadata of one on the host.
///
/// ```
/// use tenet_mapper::{Context, MapError, Read, VirtualKey, kinds};
///
/// fn both(cx: &Context<'_>, settings: VirtualKey, secret: VirtualKey) -> Result<(), MapError> {
///     cx.need([Read::new(kinds::CONFIG_MAP, &settings), Read::new(kinds::SECRET, &secret)])
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Read {
    /// The object.
    pub object: ObjectRef,
}

impl Read {
    /// A read of one virtual object.
    pub fn new(kind: Kind, key: &VirtualKey) -> Self {
        Self { object: ObjectRef::virt(kind, key) }
    }

    /// A read of the metadata of one host object, which may be foreign.
    ///
    /// ```
    /// use tenet_mapper::{HostKey, Read, Side, kinds};
    ///
    /// let read = Read::host_metadata(kinds::SECRET, &HostKey::new("team-a", "cert-x-shop-x-vc-1"));
    /// assert_eq!(read.object.side, Side::Host);
    /// ```
    pub fn host_metadata(kind: Kind, key: &HostKey) -> Self {
        Self { object: ObjectRef::host(kind, key) }
    }
}

/// The objects that the engine has read for one reconcile. It is dropped with the reconcile: the
/// content of a Secret stays in memory no longer.
///
/// ```
/// use tenet_mapper::{Contents, Read, VirtualKey, kinds};
///
/// let (mut contents, read) = (Contents::default(), Read::new(kinds::SECRET, &VirtualKey::new("shop", "cert")));
/// contents.insert(read.clone(), None);
/// assert_eq!(contents.get(&read), Some(&None), "it was read, and does not exist");
/// ```
#[derive(Default)]
pub struct Contents(BTreeMap<Read, Option<Object>>);

impl Contents {
    /// Adds the answer to a read; `None` when the object does not exist.
    pub fn insert(&mut self, read: Read, object: Option<Object>) {
        self.0.insert(read, object);
    }

    /// The answer to a read; `None` when it was not read yet.
    pub fn get(&self, read: &Read) -> Option<&Option<Object>> {
        self.0.get(read)
    }
}

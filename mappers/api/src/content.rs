//! Content that the caches do not hold: asked for as data, read by the engine.

use std::collections::BTreeMap;

use crate::{Kind, Object, VirtualKey};

/// A whole virtual object that a reconcile needs to see.
///
/// ```
/// use tenet_mapper::{Context, MapError, Read, VirtualKey, kinds};
///
/// fn both(cx: &Context<'_>, settings: VirtualKey, secret: VirtualKey) -> Result<(), MapError> {
///     cx.need([Read::new(kinds::CONFIG_MAP, settings), Read::new(kinds::SECRET, secret)])
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Read {
    /// The kind.
    pub kind: Kind,
    /// The object.
    pub key: VirtualKey,
}

impl Read {
    /// A read of one virtual object.
    pub fn new(kind: Kind, key: VirtualKey) -> Self {
        Self { kind, key }
    }
}

/// The objects that the engine has read for one reconcile. It is dropped with the reconcile: the
/// content of a Secret stays in memory no longer.
///
/// ```
/// use tenet_mapper::{Contents, Read, VirtualKey, kinds};
///
/// let (mut contents, read) = (Contents::default(), Read::new(kinds::SECRET, VirtualKey::new("shop", "cert")));
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

use std::sync::Arc;

use tenet_translate::rules::Defaults;

use crate::{Bound, HostKey, Kind, Object, ObjectRef, Reading, Side, VirtualKey};

/// The caches as a mapper sees them. The engine implements it for each mapper, the test kit for
/// `testing::Clusters`; a [`Context`](crate::Context) dereferences to it.
///
/// ```
/// use tenet_mapper::{Context, Side, VirtualKey, kinds};
///
/// fn needs_a_copy(cx: &Context<'_>, key: &VirtualKey) -> bool {
///     cx.is_referenced(kinds::SECRET, key) && cx.can_read(Side::Host, kinds::SECRET)
/// }
/// ```
pub trait View: Send + Sync {
    /// Returns a cached object.
    fn get(&self, object: &ObjectRef) -> Option<Object>;

    /// Returns the cached objects of a kind in one namespace, in order of their names.
    fn list(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Object>;

    /// Returns the last state of a host object that has just gone, until a reconcile has
    /// acknowledged it.
    fn last_state(&self, kind: Kind, key: &HostKey) -> Option<Object>;

    /// Shows the cached objects of an input with [`crate::KeysOf::With`] that touch `key`, in
    /// order of their names, until `visit` returns `false`.
    fn visit_sources(&self, input: Bound, key: &VirtualKey, visit: &mut dyn FnMut(Object) -> bool);

    /// Returns true if a virtual object that is on the host, or may be, refers to this one: then it is needed there.
    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool;

    /// As [`Self::is_referenced`], or it is not known yet whether the object that refers to this one may be on the
    /// host: then a copy is not made, and one that exists stays.
    fn is_mentioned(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.is_referenced(kind, key)
    }

    /// Returns true if an optional input can be read.
    fn can_read(&self, side: Side, kind: Kind) -> bool;

    /// Returns the state of what the mapper reads in a host namespace beside its inputs, see [`crate::Elsewhere`].
    fn reading(&self, _kind: Kind, _namespace: &str) -> Reading {
        Reading::Listed
    }

    /// Returns the defaults that the virtual API server fills in: never a reason to refuse.
    fn defaults(&self, kind: Kind) -> Arc<Defaults>;
}

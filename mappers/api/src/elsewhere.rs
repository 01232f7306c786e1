//! Host objects that are no copies, which a mapper reads where the configuration says.

use crate::{Facts, Kind, Object, Projection, VirtualKey};

/// Host objects of one kind that a mapper reads where the configuration says: in other namespaces of the host, or in
/// its own by a selector. Each scope is a stream of its own that starts and ends while the syncer runs, and a right that
/// is missing there stops nothing else.
///
/// ```
/// use tenet_mapper::{Elsewhere, Facts, HostScope, MapperSpec, Object, Projection, VirtualKey, kinds};
///
/// fn scopes(facts: &Facts) -> Vec<HostScope> {
///     vec![HostScope::of("shared")] // a real one asks a section of the configuration
/// }
/// fn keys(facts: &Facts, secret: &Object) -> Vec<VirtualKey> {
///     vec![VirtualKey::new("default", secret.name())]
/// }
/// let shared = Elsewhere::new(kinds::SECRET, Projection::Metadata, scopes, keys, "reads what is shared");
/// assert_eq!(MapperSpec::new("secret", kinds::SECRET).reads_elsewhere(shared).elsewhere.len(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    /// The kind.
    pub kind: Kind,
    /// Projection that is kept of each object.
    pub projection: Projection,
    /// The scopes that a configuration lists; at most one for each namespace.
    pub scopes: fn(&Facts) -> Vec<HostScope>,
    /// Keys of the mapper that a change of an object affects.
    pub keys: fn(&Facts, &Object) -> Vec<VirtualKey>,
    /// The reason, as a sentence without its subject.
    pub why: &'static str,
}

impl Elsewhere {
    /// Objects of a kind in these scopes.
    pub fn new(
        kind: Kind,
        projection: Projection,
        scopes: fn(&Facts) -> Vec<HostScope>,
        keys: fn(&Facts, &Object) -> Vec<VirtualKey>,
        why: &'static str,
    ) -> Self {
        Self { kind, projection, scopes, keys, why }
    }
}

/// Host objects that one stream shows.
///
/// ```
/// use tenet_mapper::HostScope;
///
/// let scope = HostScope { selector: Some("app=postgres".to_owned()), ..HostScope::of("shared") };
/// assert_eq!(scope.namespace, "shared");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostScope {
    /// The namespace.
    pub namespace: String,
    /// A label selector.
    pub selector: Option<String>,
    /// Keys of the mapper that are reconciled when the stream is listed, or its right is missing.
    pub keys: Vec<VirtualKey>,
}

impl HostScope {
    /// All objects of a namespace.
    pub fn of(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), ..Self::default() }
    }
}

/// State of a stream that a mapper reads [elsewhere](Elsewhere).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All objects are known.
    Listed,
    /// The objects are not listed yet.
    Listing,
    /// The host does not let the syncer read the objects.
    Forbidden,
}

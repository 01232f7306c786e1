use std::fmt;
use std::sync::Arc;

use crate::{Kind, Side};

/// Where an object stands in the virtual cluster. Only the translator makes a
/// [`HostKey`] of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualKey(Place);

/// Where an object stands on the host.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostKey(Place);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    namespace: Arc<str>,
    name: Arc<str>,
}

macro_rules! key {
    ($key:ident) => {
        impl $key {
            /// The key of `name` in `namespace`; the namespace of a cluster-scoped object
            /// is empty.
            pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
                Self(Place { namespace: namespace.into(), name: name.into() })
            }

            /// The namespace; empty for a cluster-scoped object.
            pub fn namespace(&self) -> &str {
                &self.0.namespace
            }

            /// The name.
            pub fn name(&self) -> &str {
                &self.0.name
            }
        }

        impl fmt::Display for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.0.namespace.is_empty() {
                    f.write_str(&self.0.name)
                } else {
                    write!(f, "{}/{}", self.0.namespace, self.0.name)
                }
            }
        }

        impl fmt::Debug for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($key), "({})"), self)
            }
        }
    };
}

key!(VirtualKey);
key!(HostKey);

/// Something that a reconcile waits for: a change of this object wakes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dependency {
    /// The cluster of the object.
    pub side: Side,
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Dependency {
    /// Waits for an object of the virtual cluster.
    pub fn virt(kind: Kind, key: &VirtualKey) -> Self {
        Self { side: Side::Virtual, kind, namespace: key.namespace().to_owned(), name: key.name().to_owned() }
    }

    /// Waits for an object of the host.
    pub fn host(kind: Kind, key: &HostKey) -> Self {
        Self { side: Side::Host, kind, namespace: key.namespace().to_owned(), name: key.name().to_owned() }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.side, self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

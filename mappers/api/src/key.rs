use std::fmt;
use std::sync::Arc;

use crate::{Kind, Side, kinds};

/// Namespace and name of an object in the virtual cluster. Only the translator makes a
/// [`HostKey`] of it.
///
/// ```
/// use tenet_mapper::VirtualKey;
///
/// let key = VirtualKey::new("shop", "web");
/// assert_eq!((key.namespace(), key.to_string().as_str()), ("shop", "shop/web"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualKey(Name);

/// Namespace and name of an object on the host.
///
/// ```
/// use tenet_mapper::HostKey;
///
/// let key = HostKey::new("team-a", "web-x-shop-x-vc-1");
/// assert_eq!(key.name(), "web-x-shop-x-vc-1");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostKey(Name);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Name {
    namespace: Arc<str>,
    name: Arc<str>,
}

macro_rules! key {
    ($key:ident) => {
        impl $key {
            /// The key of `name` in `namespace`; the namespace of a cluster-scoped object
            /// is empty.
            pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
                Self(Name { namespace: namespace.into(), name: name.into() })
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

/// One object of either cluster.
///
/// ```
/// use tenet_mapper::{ObjectRef, VirtualKey, kinds};
///
/// let pod = ObjectRef::virt(kinds::POD, &VirtualKey::new("shop", "web"));
/// assert_eq!(pod.to_string(), "virtual Pod shop/web");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// The cluster.
    pub side: Side,
    /// The kind.
    pub kind: Kind,
    /// The namespace; empty for a cluster-scoped object.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// The object of this name.
    pub fn new(side: Side, kind: Kind, namespace: &str, name: &str) -> Self {
        Self { side, kind, namespace: namespace.into(), name: name.into() }
    }

    /// An object of the virtual cluster.
    pub fn virt(kind: Kind, key: &VirtualKey) -> Self {
        let VirtualKey(name) = key.clone();
        Self { side: Side::Virtual, kind, namespace: name.namespace, name: name.name }
    }

    /// An object of the host.
    pub fn host(kind: Kind, key: &HostKey) -> Self {
        let HostKey(name) = key.clone();
        Self { side: Side::Host, kind, namespace: name.namespace, name: name.name }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.side, self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// A change that wakes a waiting key. The mapper must read the kind: see [`crate::Input`].
///
/// ```
/// use tenet_mapper::{Dependency, Outcome, Side, kinds};
///
/// let outcome = Outcome::done().wait_for(Dependency::Any(Side::Virtual, kinds::POD));
/// assert_eq!(outcome.wait.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dependency {
    /// A change of this object.
    Object(ObjectRef),
    /// A change of any object of this kind.
    Any(Side, Kind),
}

impl Dependency {
    /// A change of an object of the virtual cluster.
    pub fn virt(kind: Kind, key: &VirtualKey) -> Self {
        Self::Object(ObjectRef::virt(kind, key))
    }

    /// A change of an object of the host.
    pub fn host(kind: Kind, key: &HostKey) -> Self {
        Self::Object(ObjectRef::host(kind, key))
    }

    /// A change of the labels of a virtual namespace.
    pub fn namespace(name: &str) -> Self {
        Self::Object(ObjectRef::new(Side::Virtual, kinds::NAMESPACE, "", name))
    }

    /// The stream that brings the change.
    pub fn stream(&self) -> (Side, Kind) {
        match self {
            Self::Object(object) => (object.side, object.kind),
            Self::Any(side, kind) => (*side, *kind),
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Any(side, kind) => write!(f, "any {side} {kind}"),
        }
    }
}

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use tenet_translate::GroupKind;
use tenet_translate::intern::intern;

/// One of the two clusters.
///
/// ```
/// use tenet_mapper::Side;
///
/// assert_eq!(format!("{} and {}", Side::Virtual, Side::Host), "virtual and host");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The tenant's cluster.
    Virtual,
    /// The cluster on which the tenant's pods run.
    Host,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Virtual => "virtual",
            Self::Host => "host",
        })
    }
}

/// A resource kind, as the API serves it. Two are equal when API group and kind are: the other
/// members only say how it is served.
///
/// ```
/// use tenet_mapper::Kind;
///
/// const LEASE: Kind = Kind::of("coordination.k8s.io", "v1", "Lease", "leases");
/// assert_eq!(LEASE.path("shop"), "/apis/coordination.k8s.io/v1/namespaces/shop/leases");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version: `v1`.
    pub version: &'static str,
    /// The kind in singular and capitals: `Pod`.
    pub kind: &'static str,
    /// The resource name in request paths: `pods`.
    pub plural: &'static str,
    /// True if objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// A namespaced kind of the core group, version v1.
    ///
    /// ```
    /// use tenet_mapper::{Kind, kinds};
    ///
    /// assert_eq!(Kind::core("Pod", "pods"), kinds::POD);
    /// ```
    pub const fn core(kind: &'static str, plural: &'static str) -> Self {
        Self { group: "", version: "v1", kind, plural, namespaced: true }
    }

    /// A namespaced kind of `group`.
    ///
    /// ```
    /// use tenet_mapper::Kind;
    ///
    /// let lease = Kind::of("coordination.k8s.io", "v1", "Lease", "leases");
    /// assert_eq!(lease.api_version(), "coordination.k8s.io/v1");
    /// ```
    pub const fn of(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { group, version, kind, plural, namespaced: true }
    }

    /// The same kind without namespaces.
    ///
    /// ```
    /// use tenet_mapper::Kind;
    ///
    /// let class = Kind::of("storage.k8s.io", "v1", "StorageClass", "storageclasses").cluster_scoped();
    /// assert!(!class.namespaced);
    /// ```
    #[must_use]
    pub const fn cluster_scoped(self) -> Self {
        Self { namespaced: false, ..self }
    }

    /// A namespaced kind that the configuration or an API server's discovery names for a mapper.
    pub fn intern(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self::of(intern(group), intern(version), intern(kind), intern(plural))
    }

    /// Its identity.
    pub const fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group, self.kind)
    }

    /// The resource with its group, as in the name of a `CustomResourceDefinition`: `pods`,
    /// `ingresses.networking.k8s.io`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `v1` or `apps/v1`, as in an object's `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The request path of the collection, or of all namespaces when `namespace` is empty.
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let api = self.api_version();
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/{api}/namespaces/{namespace}/{}", self.plural)
        } else {
            format!("{root}/{api}/{}", self.plural)
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group_kind().fmt(f)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        // Kinds of one group are compared most often, and their names differ in length already.
        self.kind == other.kind && self.group == other.group
    }
}

impl Eq for Kind {}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.group_kind().hash(state);
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> Ordering {
        self.group_kind().cmp(&other.group_kind())
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq<GroupKind> for Kind {
    fn eq(&self, other: &GroupKind) -> bool {
        self.group_kind() == *other
    }
}

impl PartialEq<Kind> for GroupKind {
    fn eq(&self, other: &Kind) -> bool {
        *self == other.group_kind()
    }
}

impl From<Kind> for GroupKind {
    fn from(kind: Kind) -> Self {
        kind.group_kind()
    }
}

/// The kinds that built-in mappers use.
pub mod kinds {
    use super::Kind;

    /// Pods.
    pub const POD: Kind = Kind::core("Pod", "pods");
    /// Services.
    pub const SERVICE: Kind = Kind::core("Service", "services");
    /// `ConfigMap`s.
    pub const CONFIG_MAP: Kind = Kind::core("ConfigMap", "configmaps");
    /// Secrets.
    pub const SECRET: Kind = Kind::core("Secret", "secrets");
    /// `ServiceAccount`s.
    pub const SERVICE_ACCOUNT: Kind = Kind::core("ServiceAccount", "serviceaccounts");
    /// Endpoints.
    pub const ENDPOINTS: Kind = Kind::core("Endpoints", "endpoints");
    /// `EndpointSlice`s.
    pub const ENDPOINT_SLICE: Kind = Kind::of("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
    /// Events.
    pub const EVENT: Kind = Kind::core("Event", "events");
    /// `PersistentVolumeClaim`s.
    pub const PERSISTENT_VOLUME_CLAIM: Kind = Kind::core("PersistentVolumeClaim", "persistentvolumeclaims");
    /// `PodCertificateRequest`s, which API servers serve by default from 1.37 on.
    pub const POD_CERTIFICATE_REQUEST: Kind =
        Kind::of("certificates.k8s.io", "v1", "PodCertificateRequest", "podcertificaterequests");
    /// Nodes.
    pub const NODE: Kind = Kind::core("Node", "nodes").cluster_scoped();
    /// Namespaces.
    pub const NAMESPACE: Kind = Kind::core("Namespace", "namespaces").cluster_scoped();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_its_group_and_its_name() {
        let ingress = Kind::of("networking.k8s.io", "v1", "Ingress", "ingresses");
        let beta = Kind::intern("networking.k8s.io", "v1beta1", "Ingress", "ingresses");
        let other = Kind::of("networking.internal.knative.dev", "v1", "Ingress", "ingresses");
        assert_eq!((ingress, ingress.to_string().as_str()), (beta, "Ingress.networking.k8s.io"));
        assert_ne!(ingress, other);
        assert_eq!(std::collections::BTreeSet::from([ingress, beta, other]).len(), 2);
        assert_eq!(ingress.resource(), "ingresses.networking.k8s.io");
        assert_eq!(kinds::POD, GroupKind::core("Pod"));
    }
}

use std::fmt;

/// One of the two clusters.
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

/// A resource kind, as the API serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version: `v1`.
    pub version: &'static str,
    /// The kind in singular and capitals: `Pod`.
    pub kind: &'static str,
    /// The resource name in request paths: `pods`.
    pub plural: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// A namespaced kind of the core group, version v1.
    pub const fn core(kind: &'static str, plural: &'static str) -> Self {
        Self { group: "", version: "v1", kind, plural, namespaced: true }
    }

    /// A namespaced kind of `group`.
    pub const fn of(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { group, version, kind, plural, namespaced: true }
    }

    /// The same kind without namespaces.
    #[must_use]
    pub const fn cluster_scoped(self) -> Self {
        Self { namespaced: false, ..self }
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
        f.write_str(self.kind)
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
    /// Endpoints.
    pub const ENDPOINTS: Kind = Kind::core("Endpoints", "endpoints");
    /// Events.
    pub const EVENT: Kind = Kind::core("Event", "events");
    /// Nodes.
    pub const NODE: Kind = Kind::core("Node", "nodes").cluster_scoped();
    /// Namespaces.
    pub const NAMESPACE: Kind = Kind::core("Namespace", "namespaces").cluster_scoped();
}

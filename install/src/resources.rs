//! Kinds of the objects of an installation, and API paths.

use serde_json::Value;

/// Kind of an object, and the resource that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Name of the resource in a path.
    pub plural: &'static str,
    /// True if the objects are in a namespace.
    pub is_namespaced: bool,
}

const OPERATOR: &str = "monitoring.coreos.com";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Kinds that an installation creates, or leaves behind.
pub const RESOURCES: [Resource; 14] = [
    namespaced("apps", "v1", "StatefulSet", "statefulsets"),
    namespaced("", "v1", "Pod", "pods"),
    namespaced("", "v1", "ServiceAccount", "serviceaccounts"),
    namespaced("", "v1", "ConfigMap", "configmaps"),
    namespaced("", "v1", "Secret", "secrets"),
    namespaced("", "v1", "Service", "services"),
    namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    namespaced("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    namespaced(OPERATOR, "v1", "ServiceMonitor", "servicemonitors"),
    namespaced(OPERATOR, "v1", "PrometheusRule", "prometheusrules"),
    namespaced(RBAC, "v1", "RoleBinding", "rolebindings"),
    namespaced(RBAC, "v1", "Role", "roles"),
    Resource { is_namespaced: false, ..namespaced(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings") },
    Resource { is_namespaced: false, ..namespaced(RBAC, "v1", "ClusterRole", "clusterroles") },
];

const fn namespaced(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource { group, version, kind, plural, is_namespaced: true }
}

/// Returns the path of the collection of a resource. The core group is empty; without a namespace it is that of the
/// whole cluster.
pub fn collection(group: &str, version: &str, plural: &str, namespace: Option<&str>) -> String {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    match namespace {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

impl Resource {
    /// Returns the resource of an object; `None` for a kind that no installation has.
    pub fn of(object: &Value) -> Option<&'static Self> {
        let kind = object["kind"].as_str()?;
        RESOURCES.iter().find(|resource| resource.kind == kind)
    }

    /// Returns the path of the collection.
    pub fn collection(&self, namespace: &str) -> String {
        collection(self.group, self.version, self.plural, self.is_namespaced.then_some(namespace))
    }

    /// Returns the path of an object.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_has_its_path() {
        let path = |kind: &str| Resource::of(&json!({"kind": kind})).unwrap().path("a", "x");
        assert_eq!(path("Secret"), "/api/v1/namespaces/a/secrets/x");
        assert_eq!(path("StatefulSet"), "/apis/apps/v1/namespaces/a/statefulsets/x");
        assert_eq!(path("ClusterRole"), "/apis/rbac.authorization.k8s.io/v1/clusterroles/x");
    }
}

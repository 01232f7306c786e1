//! Rights of the syncer on the host: those that it declares, and no others.

use kube::Client;
use serde_json::{Value, json};

use crate::{
    api::{self, ApiError},
    host::SYNCER_USER,
};

/// Reason why the syncer did not get its rights.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The program that declares the rights did not run.
    #[error("{command} did not run")]
    Run {
        /// The command.
        command: String,
        /// Reason.
        source: std::io::Error,
    },
    /// The program ended without printing rights.
    #[error("{command} did not print its rights: {told}")]
    Refused {
        /// The command.
        command: String,
        /// Text that it printed.
        told: String,
    },
    /// The printed text is not a Role.
    #[error("the rights of the syncer cannot be read: {0}")]
    Malformed(String),
    /// The host rejected a role or a binding.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Creates Roles and `ClusterRole`s on the host, or changes them, and binds the syncer's user to each. A Role of a
/// namespace that does not exist is left out.
pub(crate) async fn apply(client: &Client, namespace: &str, documents: &str) -> Result<(), GrantError> {
    for document in documents.split("---\n").filter(|document| !document.trim().is_empty()) {
        let role: Value = serde_saphyr::from_str(document).map_err(|error| GrantError::Malformed(error.to_string()))?;
        for (path, object) in objects(namespace, role)? {
            match api::apply(client, &path, &object).await {
                Err(ApiError::Refused { code: 404, .. }) => break,
                answer => answer?,
            }
        }
    }
    Ok(())
}

/// A role and its binding, each with its path.
fn objects(namespace: &str, role: Value) -> Result<[(String, Value); 2], GrantError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&role["kind"]), text(&role["metadata"]["name"]));
    let namespace = role["metadata"]["namespace"].as_str().unwrap_or(namespace);
    let (root, roles) = match kind.as_str() {
        "Role" => (format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"), "role"),
        "ClusterRole" => ("/apis/rbac.authorization.k8s.io/v1".to_owned(), "clusterrole"),
        other => return Err(GrantError::Malformed(format!("{other:?} is no Role"))),
    };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{kind}Binding"),
        "metadata": {"name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": SYNCER_USER}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
    });
    Ok([(format!("{root}/{roles}s/{name}"), role), (format!("{root}/{roles}bindings/{name}"), binding)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syncer_is_bound_to_each_role_under_its_name() {
        let role = json!({"kind": "Role", "metadata": {"name": "tenet-syncer-vc-1", "namespace": "tenet-vc-1"}});
        let [(role, _), (path, binding)] = objects("tenet-vc-1", role).unwrap();
        assert_eq!(role, "/apis/rbac.authorization.k8s.io/v1/namespaces/tenet-vc-1/roles/tenet-syncer-vc-1");
        assert_eq!(path, "/apis/rbac.authorization.k8s.io/v1/namespaces/tenet-vc-1/rolebindings/tenet-syncer-vc-1");
        assert_eq!(binding["kind"], "RoleBinding");
        assert_eq!(binding["subjects"][0]["name"], SYNCER_USER);
        let wide = json!({"kind": "ClusterRole", "metadata": {"name": "tenet-syncer:a:vc-1"}});
        assert_eq!(
            objects("a", wide).unwrap()[1].0,
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/tenet-syncer:a:vc-1"
        );
        assert!(objects("a", json!({"kind": "Secret"})).is_err());
    }
}

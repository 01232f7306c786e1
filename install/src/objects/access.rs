//! ServiceAccount of the syncer, and its rights.

use serde_json::{Value, json};

use super::{Installation, elsewhere_metadata, labels, metadata, workload_metadata};
use crate::bootstrap;
use crate::names::account;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Error of reading rights.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// The text is not YAML.
    #[error("the rights of the syncer cannot be read: {0}")]
    Malformed(String),
    /// There is no Role in it.
    #[error("the rights of the syncer hold no Role")]
    NoRole,
}

/// Rights of a syncer on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Rights {
    role: Value,
    /// Roles in other namespaces of the host.
    elsewhere: Vec<Value>,
    cluster_role: Option<Value>,
}

impl Rights {
    /// Reads the documents that `tenet-syncer --print-role --print-cluster-role` prints, and adds the rights of the
    /// bootstrap.
    pub fn read(documents: &str) -> Result<Self, RightsError> {
        let (mut roles, mut cluster_role) = (Vec::new(), None);
        for document in documents.split("---\n").filter(|document| !document.trim().is_empty()) {
            let read: Value =
                serde_saphyr::from_str(document).map_err(|error| RightsError::Malformed(error.to_string()))?;
            match read["kind"].as_str() {
                Some("Role") => roles.push(read),
                Some("ClusterRole") => cluster_role = Some(read),
                _ => {}
            }
        }
        // The first is that of the host namespace.
        let mut roles = roles.into_iter();
        let mut role = roles.next().ok_or(RightsError::NoRole)?;
        for (group, resource, verbs) in bootstrap::RIGHTS {
            add(&mut role, group, resource, verbs);
        }
        Ok(Self { role, elsewhere: roles.collect(), cluster_role })
    }

    /// Returns the rules in the host namespace.
    pub fn rules(&self) -> &[Value] {
        self.role["rules"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Returns the rules in other namespaces of the host, each with its namespace.
    pub fn elsewhere(&self) -> impl Iterator<Item = (&str, &[Value])> {
        self.elsewhere.iter().map(|role| {
            let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
            (namespace, role["rules"].as_array().map_or(&[][..], Vec::as_slice))
        })
    }

    /// Returns the optional rules beyond the host namespace.
    pub fn cluster_rules(&self) -> &[Value] {
        self.cluster_role.as_ref().and_then(|role| role["rules"].as_array()).map_or(&[], Vec::as_slice)
    }
}

/// Adds verbs to the rule of a resource, which is made if it does not exist.
fn add(role: &mut Value, group: &str, resource: &str, verbs: &[&str]) {
    let Some(rules) = role["rules"].as_array_mut() else { return };
    let is_it = |rule: &&mut Value| rule["apiGroups"] == json!([group]) && rule["resources"] == json!([resource]);
    let Some(found) = rules.iter_mut().find(is_it) else {
        rules.push(json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}));
        return;
    };
    if let Some(has) = found["verbs"].as_array_mut() {
        for verb in verbs {
            if !has.iter().any(|has| has == verb) {
                has.push(json!(verb));
            }
        }
    }
}

pub(super) fn objects(installation: &Installation<'_>) -> Vec<Value> {
    let rights = installation.rights;
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(installation, &account(installation.name)),
        // Two containers mount the token by themselves; the others must not have it.
        "automountServiceAccountToken": false,
    });
    let mut all = vec![account];
    if installation.workload_namespace().is_some() {
        let mut role = rights.role.clone();
        for (group, resource, verbs) in bootstrap::WORKLOAD_RIGHTS {
            add(&mut role, group, resource, verbs);
        }
        all.extend(role_and_binding(installation, &role, workload_metadata(installation, name_of(&role))));
        let mut own = json!({"apiVersion": role["apiVersion"], "kind": "Role", "rules": []});
        for (group, resource, verbs) in bootstrap::RIGHTS {
            add(&mut own, group, resource, verbs);
        }
        all.extend(role_and_binding(installation, &own, metadata(installation, name_of(&role))));
    } else {
        let role = &rights.role;
        all.extend(role_and_binding(installation, role, metadata(installation, name_of(role))));
    }
    all.extend(
        rights
            .elsewhere
            .iter()
            .flat_map(|role| role_and_binding(installation, role, elsewhere_metadata(installation, &role["metadata"]))),
    );
    if installation.values.rbac.cluster_role {
        all.extend(rights.cluster_role.iter().flat_map(|role| {
            let metadata = json!({"name": name_of(role), "labels": labels(installation.name)});
            role_and_binding(installation, role, metadata)
        }));
    }
    all
}

fn name_of(role: &Value) -> &str {
    role["metadata"]["name"].as_str().unwrap_or_default()
}

fn role_and_binding(installation: &Installation<'_>, role: &Value, metadata: Value) -> [Value; 2] {
    let kind = role["kind"].as_str().unwrap_or_default();
    let subject =
        json!({"kind": "ServiceAccount", "name": account(installation.name), "namespace": installation.namespace});
    let binding = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": format!("{kind}Binding"),
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": metadata["name"]},
        "subjects": [subject],
    });
    let mut role = role.clone();
    role["metadata"] = metadata;
    [role, binding]
}

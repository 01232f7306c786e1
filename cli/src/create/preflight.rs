//! Rights of the user on the host, checked before anything is created.
//!
//! Kubernetes lets a user grant only rights that the user has. The `admin` role of a namespace lacks a few that the
//! syncer needs, such as `pods/status`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::resources::Resource;

use crate::access::{Ask, Who, asks_of, manifest, missing};

/// Verbs for every kind of object that is created.
const VERBS: [&str; 3] = ["get", "create", "patch"];

/// Fails with the Role that has to be granted if the user lacks rights.
pub(super) async fn check(api: &Api, namespace: &str, objects: &[Value]) -> Result<()> {
    let mut roles = Vec::new();
    for (namespace, objects) in by_namespace(namespace, objects) {
        let missing = missing(api, namespace, asks(&objects, &granted(&objects)), Who::Myself).await;
        let missing = missing.context("cannot check your rights on the host")?;
        if !missing.is_empty() {
            roles.push(manifest("tenet-installer", namespace, &missing));
        }
    }
    if roles.is_empty() {
        return Ok(());
    }
    bail!(
        "you lack rights on the host, which you need yourself to give them to the syncer. \
         An administrator of the host has to grant you this:\n\n{}",
        roles.join("---\n")
    )
}

/// Groups objects by namespace; those of the cluster are with the control plane, which is in this one.
fn by_namespace<'o>(control_plane: &'o str, objects: &'o [Value]) -> BTreeMap<&'o str, Vec<Value>> {
    let mut all: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for object in objects {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(control_plane);
        all.entry(namespace).or_default().push(object.clone());
    }
    all
}

/// Returns the rules of the Roles among objects.
pub(super) fn granted(objects: &[Value]) -> Vec<Value> {
    let roles = objects.iter().filter(|object| object["kind"] == "Role");
    roles.filter_map(|role| role["rules"].as_array()).flatten().cloned().collect()
}

/// Returns the rights that a user needs to create objects, and to give these rules to others.
pub(super) fn asks(objects: &[Value], rules: &[Value]) -> BTreeSet<Ask> {
    let mut asks = asks_of(rules);
    for resource in objects.iter().filter_map(Resource::of) {
        asks.extend(VERBS.map(|verb| Ask {
            group: resource.group.to_owned(),
            resource: resource.plural.to_owned(),
            verb: verb.to_owned(),
            is_namespaced: resource.is_namespaced,
        }));
    }
    asks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_user_needs_the_rights_of_the_syncer_and_to_create_the_objects() {
        let objects = [json!({"kind": "Service"}), json!({"kind": "ClusterRole"})];
        let rules = [json!({"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]})];
        let asks: Vec<String> = asks(&objects, &rules)
            .iter()
            .map(|ask| format!("{} {} {}", ask.verb, ask.resource, ask.is_namespaced))
            .collect();
        assert!(asks.contains(&"patch pods/status true".to_owned()), "{asks:?}");
        assert!(asks.contains(&"create services true".to_owned()), "{asks:?}");
        assert!(asks.contains(&"create clusterroles false".to_owned()), "{asks:?}");
    }
}

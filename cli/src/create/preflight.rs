//! Rights of the user on the host, checked before anything is created.
//!
//! Kubernetes lets a user grant only rights that the user has. The `admin` role of a namespace lacks a few that the
//! syncer needs, such as `pods/status`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::objects::Rights;
use tenet_install::resources::Resource;

use crate::access::{Ask, Who, asks_of, manifest, missing};

/// Verbs for every kind of object that is created.
const VERBS: [&str; 3] = ["get", "create", "patch"];

/// Fails with the Role that has to be granted if the user lacks rights.
pub(super) async fn check(api: &Api, namespace: &str, objects: &[Value], rights: &Rights) -> Result<()> {
    let asks = asks(objects, rights.rules());
    let missing = missing(api, namespace, asks, Who::Myself).await.context("cannot check your rights on the host")?;
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "you lack rights on the host, which you need yourself to give them to the syncer. \
         An administrator of the host has to grant you this:\n\n{}",
        manifest("tenet-installer", namespace, &missing)
    )
}

fn asks(objects: &[Value], rules: &[Value]) -> BTreeSet<Ask> {
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

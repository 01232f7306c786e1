//! Rights of the user on the host, checked before anything is created.
//!
//! Kubernetes lets a user grant only rights that the user has. The `admin` role of a namespace lacks a few that the
//! syncer needs, such as `pods/status`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tenet_install::api::Api;
use tenet_install::objects::Rights;
use tenet_install::resources::Resource;

use super::text;

/// Verbs for every kind of object that is created.
const VERBS: [&str; 3] = ["get", "create", "patch"];
/// Questions that are open at the same time.
const AT_ONCE: usize = 16;

/// One question: a verb on a resource of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ask {
    group: String,
    resource: String,
    verb: String,
    is_namespaced: bool,
}

/// Fails with the Role that has to be granted if the user lacks rights.
pub(super) async fn check(api: &Api, namespace: &str, objects: &[Value], rights: &Rights) -> Result<()> {
    let asks = asks(objects, rights.rules());
    let answers = stream::iter(asks)
        .map(|ask| async move { Ok::<_, anyhow::Error>((is_allowed(api, namespace, &ask).await?, ask)) })
        .buffered(AT_ONCE);
    let missing: Vec<Ask> = answers
        .try_filter_map(|(allowed, ask)| std::future::ready(Ok((!allowed).then_some(ask))))
        .try_collect()
        .await
        .context("cannot check your rights on the host")?;
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "you lack rights on the host, which you need yourself to give them to the syncer. \
         An administrator of the host has to grant you this:\n\n{}",
        manifest(namespace, &missing)
    )
}

fn asks(objects: &[Value], rules: &[Value]) -> BTreeSet<Ask> {
    let ask = |group: &str, resource: &str, verb: &str, is_namespaced| Ask {
        group: group.to_owned(),
        resource: resource.to_owned(),
        verb: verb.to_owned(),
        is_namespaced,
    };
    let mut asks = BTreeSet::new();
    for resource in objects.iter().filter_map(Resource::of) {
        asks.extend(VERBS.map(|verb| ask(resource.group, resource.plural, verb, resource.is_namespaced)));
    }
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for rule in rules {
        for (group, resource) in texts(&rule["apiGroups"]).iter().zip(texts(&rule["resources"])) {
            asks.extend(texts(&rule["verbs"]).iter().map(|verb| ask(group, &resource, verb, true)));
        }
    }
    asks
}

async fn is_allowed(api: &Api, namespace: &str, ask: &Ask) -> Result<bool> {
    let (resource, subresource) = ask.resource.split_once('/').unwrap_or((&ask.resource, ""));
    let mut attributes =
        json!({"group": ask.group, "resource": resource, "subresource": subresource, "verb": ask.verb});
    if ask.is_namespaced {
        attributes["namespace"] = json!(namespace);
    }
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let answer = api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await?;
    Ok(answer["status"]["allowed"] == true)
}

/// Writes the missing rights as a Role, and a `ClusterRole` for what is in no namespace.
fn manifest(namespace: &str, missing: &[Ask]) -> String {
    let role = |is_namespaced: bool| {
        let mut rules: Vec<Value> = Vec::new();
        for ask in missing.iter().filter(|ask| ask.is_namespaced == is_namespaced) {
            let is_it = |rule: &&mut Value| {
                text(&rule["apiGroups"][0]) == ask.group && text(&rule["resources"][0]) == ask.resource
            };
            match rules.iter_mut().find(is_it).and_then(|rule| rule["verbs"].as_array_mut()) {
                Some(verbs) => verbs.push(json!(ask.verb)),
                None => rules.push(json!({"apiGroups": [ask.group], "resources": [ask.resource], "verbs": [ask.verb]})),
            }
        }
        let mut metadata = json!({"name": "tenet-installer"});
        if is_namespaced {
            metadata["namespace"] = json!(namespace);
        }
        let kind = if is_namespaced { "Role" } else { "ClusterRole" };
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules,
        });
        (!rules.is_empty()).then(|| serde_saphyr::to_string(&role).unwrap_or_else(|_| role.to_string()))
    };
    [role(true), role(false)].into_iter().flatten().collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn what_is_missing_is_printed_as_a_role_that_can_be_applied() {
        let ask = |resource: &str, verb: &str, is_namespaced| Ask {
            group: String::new(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
            is_namespaced,
        };
        let text = manifest("a", &[ask("pods", "get", true), ask("pods", "patch", true), ask("nodes", "list", false)]);
        let documents: Vec<Value> =
            text.split("---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
        assert_eq!(
            documents[0]["rules"],
            json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]}])
        );
        assert_eq!(documents[0]["metadata"]["namespace"], "a");
        assert_eq!(documents[1]["kind"], "ClusterRole");
    }
}

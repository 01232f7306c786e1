//! Rights in namespaces of others, which a virtual cluster works without.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;
use tenet_install::api::Api;

use super::{conflicts, path, preflight, text};
use crate::access::{Who, missing};
use crate::steps::Steps;

/// Returns true for an object of a namespace that is none of the virtual cluster's own.
pub(super) fn is_elsewhere(object: &Value, own: &[Option<&str>]) -> bool {
    object["metadata"]["namespace"].as_str().is_some_and(|namespace| !own.contains(&Some(namespace)))
}

/// Applies these objects where the user may, and prints those that somebody else has to apply.
pub(super) async fn apply(api: &Api, name: &str, objects: &[Value], steps: &mut Steps) -> Result<()> {
    let mut by_namespace: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for object in objects {
        by_namespace.entry(text(&object["metadata"]["namespace"])).or_default().push(object.clone());
    }
    for (namespace, objects) in by_namespace {
        conflicts::check(api, namespace, name, &objects).await?;
        steps.say(&format!("granting the reads in namespace {namespace}"));
        if !are_applied(api, namespace, &objects).await? {
            eprintln!("tenet: {}", request(namespace, &objects));
        }
    }
    Ok(())
}

/// Applies the objects of one namespace. Returns false if the user lacks rights, or there is no such namespace.
async fn are_applied(api: &Api, namespace: &str, objects: &[Value]) -> Result<bool> {
    let asks = preflight::asks(objects, &preflight::granted(objects));
    let missing = missing(api, namespace, asks, Who::Myself).await.context("cannot check your rights on the host")?;
    if !missing.is_empty() {
        return Ok(false);
    }
    for object in objects {
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let path = format!("{}?fieldManager=tenet&force=true", path(object));
        match api.apply(&path, object).await {
            Err(error) if matches!(error.code(), Some(403 | 404)) => return Ok(false),
            answer => {
                answer.with_context(|| format!("cannot create {kind} {name} in namespace {namespace}"))?;
            }
        }
    }
    Ok(true)
}

/// Returns the words with which the user asks somebody for these objects.
fn request(namespace: &str, objects: &[Value]) -> String {
    let yaml = |object: &Value| serde_saphyr::to_string(object).unwrap_or_else(|_| object.to_string());
    let documents: Vec<String> = objects.iter().map(yaml).collect();
    format!(
        "the Services of namespace {namespace} that replicateServices.fromHost lists are not shown yet: there is no such \
         namespace, or you may not grant the reads there. Everything else works without. Somebody who may has to apply \
         this:\n\n{}",
        documents.join("---\n")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_in_a_namespace_of_others_is_printed_as_it_has_to_be_applied() {
        let of = |namespace: &str| json!({"kind": "Role", "metadata": {"name": "r", "namespace": namespace}});
        let own = [Some("team-a"), None];
        assert!(is_elsewhere(&of("shared"), &own) && !is_elsewhere(&of("team-a"), &own));
        assert!(!is_elsewhere(&json!({"kind": "ClusterRole", "metadata": {"name": "r"}}), &own));
        let objects = [of("shared"), of("shared")];
        let request = request("shared", &objects);
        let (_, documents) = request.split_once("\n\n").unwrap();
        let read: Vec<Value> =
            documents.split("---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
        assert_eq!(read, objects);
    }
}

//! Rights in namespaces of others, which a virtual cluster works without.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_install::api::{Api, ApiError};
use tenet_install::names::{CONTROL_PLANE_NAMESPACE, syncer_config};
use tenet_translate::own_objects;

use super::{conflicts, path, preflight, text};
use crate::access::{Who, allowed, missing};
use crate::delete::leftovers::listed_namespaces;
use crate::host::Host;
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

/// Removes the rights in namespaces that the present configuration lists, and these new objects do not. Comes before the
/// new configuration is written: only the present one leads to them.
pub(super) async fn revoke(
    control_plane: &Host,
    workloads: &str,
    name: &str,
    objects: &[Value],
    steps: &mut Steps,
) -> Result<()> {
    let Host { api, namespace: home } = control_plane;
    let role = own_objects::host_cluster_role(workloads, name);
    let config = allowed(control_plane.get("configmaps", &syncer_config(name)).await)
        .context("cannot read the configuration of the syncer")?
        .unwrap_or_default();
    let wanted: BTreeSet<&str> = objects
        .iter()
        .filter(|object| object["kind"] == "Role" && object["metadata"]["name"] == role)
        .map(|object| text(&object["metadata"]["namespace"]))
        .collect();
    let listed = listed_namespaces(&config, workloads);
    for namespace in listed.iter().filter(|namespace| !wanted.contains(namespace.as_str())) {
        steps.say(&format!("removing the reads in namespace {namespace}, which is not listed any more"));
        // The binding first: without it the Role gives nothing.
        for kind in ["RoleBinding", "Role"] {
            let path = path(&json!({"kind": kind, "metadata": {"name": role, "namespace": namespace}}));
            match remove(api, &path, name, home).await {
                Ok(None) => {}
                Ok(Some(problem)) => eprintln!("tenet: it stays in namespace {namespace}: {problem}"),
                Err(error) if error.code() == Some(403) => eprintln!(
                    "tenet: {kind} {role} stays in namespace {namespace}, because you may not remove it. Somebody who may \
                     has to: kubectl delete {} {role} -n {namespace}",
                    kind.to_lowercase()
                ),
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot delete {kind} {role} in namespace {namespace}"));
                }
            }
        }
    }
    Ok(())
}

/// Deletes one object, if it belongs to this virtual cluster. Returns why it stays otherwise.
async fn remove(api: &Api, path: &str, name: &str, control_plane: &str) -> Result<Option<String>, ApiError> {
    let Some(found) = api.get(path).await? else { return Ok(None) };
    let problem = conflicts::problem(&found, name, &json!({CONTROL_PLANE_NAMESPACE: control_plane}));
    if problem.is_none() {
        api.delete_one(path, &found["metadata"]["uid"]).await?;
    }
    Ok(problem)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use tenet_install::names::{INSTANCE, PART, PART_OF, SYNCER_CONFIG_FILE};

    use super::*;

    /// Returns a host that serves these objects, and the paths of the deletes that it gets.
    fn host(objects: Vec<(String, Value)>) -> (Host, Arc<Mutex<Vec<String>>>) {
        let deleted = Arc::<Mutex<Vec<String>>>::default();
        let (log, objects) = (Arc::clone(&deleted), Arc::new(objects));
        let service = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let found = objects.iter().find(|(at, _)| *at == path).map(|(_, object)| object.clone());
            if request.method() == Method::DELETE {
                log.lock().unwrap().push(path);
            }
            let absent = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404});
            let mut response = Response::new(Body::from(found.as_ref().unwrap_or(&absent).to_string().into_bytes()));
            *response.status_mut() = if found.is_some() { http::StatusCode::OK } else { http::StatusCode::NOT_FOUND };
            async move { Ok::<_, Infallible>(response) }
        });
        let api = Api::new(Client::new(service, "default"));
        (Host { api, namespace: "team-a".to_owned() }, deleted)
    }

    fn granted(namespace: &str, kind: &str) -> (String, Value) {
        let metadata = json!({
            "name": "tenet-syncer:team-a:vc-1", "namespace": namespace, "uid": "u",
            "labels": {INSTANCE: "vc-1", PART_OF: PART, CONTROL_PLANE_NAMESPACE: "team-a"},
        });
        let object = json!({"kind": kind, "metadata": metadata});
        (path(&object), object)
    }

    #[tokio::test]
    async fn rights_in_a_namespace_that_is_not_listed_any_more_are_removed_if_they_are_ours() {
        let listed = ["kept/a", "gone/b", "gone/c", "foreign/d", "absent/e", "team-a/own", "own"];
        let listed: Vec<_> = listed.iter().map(|from| json!({"from": from, "to": "data/x"})).collect();
        let config = json!({"replicateServices": {"fromHost": listed}}).to_string();
        let mut objects = vec![(
            "/api/v1/namespaces/team-a/configmaps/vc-1-syncer".to_owned(),
            json!({"data": {SYNCER_CONFIG_FILE: config}}),
        )];
        for namespace in ["kept", "gone", "foreign", "never-listed", "team-a"] {
            objects.extend(["Role", "RoleBinding"].map(|kind| granted(namespace, kind)));
        }
        let of_others = |path: &str| path.contains("/foreign/");
        for (_, object) in objects.iter_mut().filter(|(path, _)| of_others(path)) {
            object["metadata"]["labels"][CONTROL_PLANE_NAMESPACE] = json!("team-b");
        }
        let (host, deleted) = host(objects);
        let wanted = [granted("kept", "Role").1, granted("kept", "RoleBinding").1];
        revoke(&host, "team-a", "vc-1", &wanted, &mut Steps::new()).await.unwrap();
        let expected = ["RoleBinding", "Role"].map(|kind| granted("gone", kind).0);
        assert_eq!(*deleted.lock().unwrap(), expected);
    }

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

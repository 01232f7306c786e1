//! Rights on the host: questions to an API server, and those of a syncer.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tenet_install::api::{Api, ApiError};
use tenet_install::objects::Rights;
use tenet_translate::own_objects;

use crate::RightsOf;
use crate::create::text;
use crate::host::Host;

/// Number of questions that are open at the same time.
const AT_ONCE: usize = 16;

/// One question: a verb on a resource of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ask {
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) verb: String,
    pub(crate) is_namespaced: bool,
}

/// Subject whose rights are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// The user of this command.
    Myself,
    /// A `ServiceAccount`.
    Account { namespace: &'a str, name: &'a str },
}

/// Returns the questions for the rules of a Role.
pub(crate) fn asks_of(rules: &[Value]) -> BTreeSet<Ask> {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut asks = BTreeSet::new();
    for rule in rules {
        for (group, resource) in texts(&rule["apiGroups"]).iter().zip(texts(&rule["resources"])) {
            asks.extend(texts(&rule["verbs"]).into_iter().map(|verb| Ask {
                group: group.clone(),
                resource: resource.clone(),
                verb,
                is_namespaced: true,
            }));
        }
    }
    asks
}

/// Returns the rights that are missing.
pub(crate) async fn missing(
    api: &Api,
    namespace: &str,
    asks: BTreeSet<Ask>,
    who: Who<'_>,
) -> Result<Vec<Ask>, ApiError> {
    stream::iter(asks)
        .map(|ask| async move { Ok((is_allowed(api, namespace, &ask, who).await?, ask)) })
        .buffered(AT_ONCE)
        .try_filter_map(|(allowed, ask)| std::future::ready(Ok((!allowed).then_some(ask))))
        .try_collect()
        .await
}

async fn is_allowed(api: &Api, namespace: &str, ask: &Ask, who: Who<'_>) -> Result<bool, ApiError> {
    let (path, review) = review(namespace, ask, who);
    let answer = api.create(&path, &review).await?;
    Ok(answer["status"]["allowed"] == true)
}

fn review(namespace: &str, ask: &Ask, who: Who<'_>) -> (String, Value) {
    let (resource, subresource) = ask.resource.split_once('/').unwrap_or((&ask.resource, ""));
    let mut attributes =
        json!({"group": ask.group, "resource": resource, "subresource": subresource, "verb": ask.verb});
    if ask.is_namespaced {
        attributes["namespace"] = json!(namespace);
    }
    let root = "/apis/authorization.k8s.io/v1";
    let of = |kind: &str, spec: Value| json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    match who {
        Who::Myself => {
            let review = of("SelfSubjectAccessReview", json!({"resourceAttributes": attributes}));
            (format!("{root}/selfsubjectaccessreviews"), review)
        }
        Who::Account { namespace: home, name } => {
            let spec = json!({
                "resourceAttributes": attributes,
                "user": format!("system:serviceaccount:{home}:{name}"),
                "groups": [
                    "system:serviceaccounts",
                    format!("system:serviceaccounts:{home}"),
                    "system:authenticated",
                ],
            });
            let mut review = of("LocalSubjectAccessReview", spec);
            review["metadata"] = json!({"namespace": namespace});
            (format!("{root}/namespaces/{namespace}/localsubjectaccessreviews"), review)
        }
    }
}

/// Returns `None` for what the user may not read, or the API server does not serve.
pub(crate) fn allowed<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Err(error) if matches!(error.code(), Some(403 | 404)) => Ok(None),
        other => other.map(Some),
    }
}

/// Returns the rules of the Role that a syncer has been given in the namespace of the tenant's objects; `None` if it has
/// none.
pub(crate) async fn granted(host: &Host, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
    rules_of(host, &own_objects::host_role(name)).await
}

/// Returns the rules of a Role; `None` if it does not exist.
pub(crate) async fn rules_of(host: &Host, role: &str) -> Result<Option<Vec<Value>>, ApiError> {
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles/{role}", host.namespace);
    Ok(host.api.get(&path).await?.and_then(|role| role["rules"].as_array().cloned()))
}

/// Returns the rights of a syncer that has a name and a host namespace, and no other configuration.
pub(crate) fn default_rights(name: &str, namespace: &str, rights_of: RightsOf) -> Result<Rights> {
    // The namespace is in quotes: it may be called `123`.
    let minimal = json!({"name": name, "host": {"namespace": namespace}, "virtual": {"kubeconfig": "/absent"}});
    Ok(Rights::read(&rights_of(&minimal.to_string()).context("name of the virtual cluster")?)?)
}

/// Writes rights as a Role of this name, and a `ClusterRole` for what is in no namespace.
pub(crate) fn manifest(name: &str, namespace: &str, asks: &[Ask]) -> String {
    let role = |is_namespaced: bool| {
        let mut rules: Vec<Value> = Vec::new();
        for ask in asks.iter().filter(|ask| ask.is_namespaced == is_namespaced) {
            let is_it = |rule: &&mut Value| {
                text(&rule["apiGroups"][0]) == ask.group && text(&rule["resources"][0]) == ask.resource
            };
            match rules.iter_mut().find(is_it).and_then(|rule| rule["verbs"].as_array_mut()) {
                Some(verbs) => verbs.push(json!(ask.verb)),
                None => rules.push(json!({"apiGroups": [ask.group], "resources": [ask.resource], "verbs": [ask.verb]})),
            }
        }
        let mut metadata = json!({"name": name});
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

    fn ask(resource: &str, verb: &str, is_namespaced: bool) -> Ask {
        Ask { group: String::new(), resource: resource.to_owned(), verb: verb.to_owned(), is_namespaced }
    }

    #[test]
    fn what_is_missing_is_printed_as_a_role_that_can_be_applied() {
        let asks = [ask("pods", "get", true), ask("pods", "patch", true), ask("nodes", "list", false)];
        let text = manifest("tenet-installer", "a", &asks);
        let documents: Vec<Value> =
            text.split("---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
        assert_eq!(
            documents[0]["rules"],
            json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]}])
        );
        assert_eq!(documents[0]["metadata"]["namespace"], "a");
        assert_eq!(documents[1]["kind"], "ClusterRole");
    }

    #[test]
    fn a_review_asks_for_the_subresource_and_for_the_groups_of_an_account() {
        let (path, review) =
            review("a", &ask("pods/status", "patch", true), Who::Account { namespace: "a", name: "vc-vc-1" });
        assert_eq!(path, "/apis/authorization.k8s.io/v1/namespaces/a/localsubjectaccessreviews");
        let spec = &review["spec"];
        assert_eq!(spec["user"], "system:serviceaccount:a:vc-vc-1");
        assert_eq!(
            spec["resourceAttributes"],
            json!({"group": "", "resource": "pods", "subresource": "status", "verb": "patch", "namespace": "a"})
        );
    }
}

//! Resource of a kind, as the virtual API server serves it.

use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::resources::collection;
use tenet_translate::GroupKind;

use crate::create::text;

/// Resource of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// API group; empty for the core group.
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) is_namespaced: bool,
}

/// Number of documents that are read at the same time.
const AT_ONCE: usize = 8;

/// Finds a resource by its kind, its singular, plural or short name, with or without `.GROUP`.
pub(super) async fn find(api: &Api, wanted: &str) -> Result<Resource> {
    let (name, group) = wanted.split_once('.').map_or((wanted, None), |(name, group)| (name, Some(group)));
    let served = "cannot read the APIs of the virtual cluster";
    if group.is_none() {
        let core = api.get("/api/v1").await.context(served)?.unwrap_or_default();
        if let Some(found) = pick(&core, "", "v1", name) {
            return Ok(found);
        }
    }
    let groups = api.get("/apis").await.context(served)?.unwrap_or_default();
    let groups = groups["groups"].as_array().cloned().unwrap_or_default();
    let of_group = groups.iter().filter(|found| group.is_none_or(|group| text(&found["name"]) == group));
    let documents = stream::iter(of_group)
        .map(|found| async move {
            let (group, version) = (text(&found["name"]), text(&found["preferredVersion"]["version"]));
            // An aggregated API may be away.
            let document = api.get(&format!("/apis/{group}/{version}")).await.ok().flatten()?;
            pick(&document, group, version, name)
        })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>();
    match documents.await.into_iter().flatten().next() {
        Some(found) => Ok(found),
        None => bail!("the virtual cluster has no kind {wanted:?}: kubectl api-resources shows all"),
    }
}

/// Finds a resource in the document of an API version.
fn pick(document: &Value, group: &str, version: &str, name: &str) -> Option<Resource> {
    let is_meant = |resource: &&Value| {
        let is = |field: &str| text(&resource[field]).eq_ignore_ascii_case(name);
        let is_short = resource["shortNames"].as_array().is_some_and(|short| short.contains(&name.into()));
        (is("name") || is("singularName") || is("kind") || is_short) && !text(&resource["name"]).contains('/')
    };
    let found = document["resources"].as_array()?.iter().find(is_meant)?;
    Some(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: text(&found["name"]).to_owned(),
        kind: text(&found["kind"]).to_owned(),
        is_namespaced: found["namespaced"] == true,
    })
}

impl Resource {
    /// Returns the path of the collection in a namespace, which counts for a namespaced resource alone.
    pub(super) fn collection(&self, namespace: &str) -> String {
        collection(&self.group, &self.version, &self.plural, self.is_namespaced.then_some(namespace))
    }

    /// Returns group and kind as owner records name them.
    pub(super) fn group_kind(&self) -> String {
        GroupKind::intern(&self.group, &self.kind).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_has_many_names() {
        let document = json!({"resources": [
            {"name": "pods/status", "singularName": "", "kind": "Pod", "namespaced": true},
            {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": true, "shortNames": ["po"]},
        ]});
        for name in ["pod", "pods", "Pod", "po"] {
            let found = pick(&document, "", "v1", name).unwrap();
            assert_eq!(found.collection("a"), "/api/v1/namespaces/a/pods", "{name}");
        }
        assert_eq!(pick(&document, "", "v1", "node"), None);
        let ingress = Resource {
            group: "networking.k8s.io".to_owned(),
            version: "v1".to_owned(),
            plural: "ingresses".to_owned(),
            kind: "Ingress".to_owned(),
            is_namespaced: true,
        };
        assert_eq!(ingress.group_kind(), "Ingress.networking.k8s.io");
    }
}

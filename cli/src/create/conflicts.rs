//! Objects that exist already under the names of an installation.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::names::CONTROL_PLANE_NAMESPACE;

use super::{is_ours, path, text};
use crate::host::Host;
use crate::workloads::recorded;

/// Annotations and labels by which tools mark the objects that they own.
const OWNERS: [(&str, &str, &str); 4] = [
    ("annotations", "meta.helm.sh/release-name", "Helm"),
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
];

/// Returns the paths of the objects that exist and are ours. All that are not are reported at once.
pub(super) async fn check(api: &Api, namespace: &str, name: &str, objects: &[Value]) -> Result<BTreeSet<String>> {
    let (mut ours, mut problems) = (BTreeSet::new(), Vec::new());
    for object in objects {
        let path = path(object);
        match api.get(&path).await {
            Ok(Some(found)) => match problem(&found, name, &object["metadata"]["labels"]) {
                Some(problem) => problems.push(problem),
                None => {
                    ours.insert(path);
                }
            },
            // A missing right to read it is reported by the check of rights.
            Err(error) if error.code() == Some(403) => {}
            other => drop(other.context("cannot reach the host cluster")?),
        }
    }
    if !problems.is_empty() {
        bail!("namespace {namespace} has other objects under these names:\n  {}", problems.join("\n  "));
    }
    Ok(ours)
}

/// Fails if the virtual cluster exists with its objects in another namespace, where they would be left.
pub(super) async fn same_workload_namespace(host: &Host, name: &str, wanted: &str) -> Result<()> {
    match recorded(host, name).await.context("cannot reach the host cluster")? {
        Some(present) if present != wanted => bail!(
            "the objects of virtual cluster {name} are in namespace {present} of the host: they cannot move to {wanted}"
        ),
        _ => Ok(()),
    }
}

/// Returns why an object must not be changed to one with these labels.
pub(super) fn problem(found: &Value, name: &str, labels: &Value) -> Option<String> {
    let metadata = &found["metadata"];
    let shown = format!("{} {}", text(&found["kind"]), text(&metadata["name"]));
    if let Some((_, _, tool)) = OWNERS.iter().find(|(place, key, _)| !metadata[*place][*key].is_null()) {
        return Some(format!("{shown} is owned by {tool}: change its values there"));
    }
    if !metadata["deletionTimestamp"].is_null() {
        return Some(format!("{shown} is being deleted: wait until it is gone"));
    }
    let home = |labels: &Value| labels[CONTROL_PLANE_NAMESPACE].as_str().map(str::to_owned);
    if is_ours(found, name) && home(&metadata["labels"]) != home(labels) {
        let home = home(&metadata["labels"]).unwrap_or_else(|| text(&metadata["namespace"]).to_owned());
        return Some(format!("{shown} belongs to virtual cluster {name} of namespace {home}: choose another name"));
    }
    (!is_ours(found, name)).then(|| format!("{shown} belongs to somebody else: choose another name, or delete it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenet_install::names::{INSTANCE, PART, PART_OF};

    use super::*;

    #[test]
    fn only_objects_of_the_same_virtual_cluster_may_be_changed() {
        let ours = json!({INSTANCE: "vc-1", PART_OF: PART});
        for (metadata, expected) in [
            (json!({"name": "x", "labels": ours}), None),
            (json!({"name": "x"}), Some("Service x belongs to somebody else")),
            (
                json!({"name": "x", "labels": {INSTANCE: "vc-2", PART_OF: PART}}),
                Some("Service x belongs to somebody else"),
            ),
            (
                json!({"name": "x", "labels": {INSTANCE: "vc-1", PART_OF: PART, CONTROL_PLANE_NAMESPACE: "b"}}),
                Some("Service x belongs to virtual cluster vc-1 of namespace b"),
            ),
            (
                json!({"name": "x", "labels": ours, "deletionTimestamp": "2026-01-01T00:00:00Z"}),
                Some("Service x is being deleted"),
            ),
            (
                json!({"name": "x", "labels": ours, "annotations": {"meta.helm.sh/release-name": "vc-1"}}),
                Some("Service x is owned by Helm"),
            ),
        ] {
            let found = problem(&json!({"kind": "Service", "metadata": metadata}), "vc-1", &json!({}));
            assert!(
                match expected {
                    Some(start) => found.as_ref().is_some_and(|found| found.starts_with(start)),
                    None => found.is_none(),
                },
                "{metadata}: {found:?}"
            );
        }
    }
}

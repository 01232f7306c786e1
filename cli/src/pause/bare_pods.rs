//! Pods without a controller, which nobody inside makes again: kept in Secrets on the host while a virtual cluster is
//! paused.
//!
//! The pod itself cannot outlive a pause: it is bound to a node, and its end on the host is its end. So `resume`
//! creates it anew, with the same name and spec.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use tenet_install::api::Api;
use tenet_install::names::{INSTANCE, PART, PART_OF};
use tenet_install::secret;
use tenet_translate::keys::PAUSED_PODS;
use tenet_translate::labels::is_reserved;
use tokio::time::sleep;

use crate::create::text;
use crate::host::Host;

/// Key in the data of a Secret.
const KEY: &str = "pods";
/// Bytes of the pods in one Secret, which may have a mebibyte.
const LIMIT: usize = 700 * 1024;
const ATTEMPTS: u32 = 30;
const AGAIN: Duration = Duration::from_secs(1);

/// Removes what is kept.
pub(super) async fn forget(host: &Host, name: &str) -> Result<()> {
    for secret in secrets(host, name).await? {
        remove(host, &secret).await?;
    }
    Ok(())
}

/// Keeps the pods of a running virtual cluster. Returns their number.
pub(super) async fn keep(host: &Host, name: &str, inside: &Api) -> Result<usize> {
    let pods = inside.list("/api/v1/pods").await.context("cannot list the pods inside")?;
    let kept: Vec<Value> = pods.iter().filter(|pod| is_bare(pod)).map(kept).collect();
    for (index, part) in parts(&kept).into_iter().enumerate() {
        let secret = format!("{name}-paused-{index}");
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": secret, "namespace": host.namespace,
                "labels": {INSTANCE: name, PART_OF: PART, PAUSED_PODS: name},
            },
            "stringData": {KEY: part},
        });
        let path = format!("/api/v1/namespaces/{}/secrets/{secret}?fieldManager=tenet&force=true", host.namespace);
        host.api.apply(&path, &object).await.with_context(|| format!("cannot keep the pods in Secret {secret}"))?;
    }
    Ok(kept.len())
}

/// Creates the pods again that were kept, and removes what kept them. Returns their number.
pub(super) async fn restore(host: &Host, name: &str, inside: &Api) -> Result<usize> {
    let mut restored = 0;
    for found in secrets(host, name).await? {
        let stored = secret::text(&found, KEY).unwrap_or_default();
        let pods: Vec<Value> = serde_json::from_str(&stored).context("cannot read the pods that were kept")?;
        for pod in &pods {
            create_again(inside, pod).await?;
            restored += 1;
        }
        remove(host, &found).await?;
    }
    Ok(restored)
}

/// Returns the Secrets that keep pods of a virtual cluster.
async fn secrets(host: &Host, name: &str) -> Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{}/secrets?labelSelector={PAUSED_PODS}%3D{name}", host.namespace);
    host.api.list(&path).await.context("cannot read the pods that were kept")
}

async fn remove(host: &Host, secret: &Value) -> Result<()> {
    let metadata = &secret["metadata"];
    let path = format!("/api/v1/namespaces/{}/secrets/{}", host.namespace, text(&metadata["name"]));
    host.api.delete_one(&path, &metadata["uid"]).await.map(drop).context("cannot remove a Secret that kept pods")
}

/// Replaces the pod that has ended with the pause. A pod that was created meanwhile stays.
async fn create_again(inside: &Api, pod: &Value) -> Result<()> {
    let metadata = &pod["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "preconditions": {"uid": pod["uid"]},
    });
    match inside.delete(&format!("{pods}/{name}"), &options).await {
        Err(error) if error.code() == Some(409) => {}
        other => drop(other.with_context(|| format!("cannot remove the ended pod {namespace}/{name}"))?),
    }
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]});
    for _ in 0..ATTEMPTS {
        match inside.create(&pods, &object).await {
            // Its namespace was deleted.
            Err(error) if error.code() == Some(404) => return Ok(()),
            Err(error) if error.code() == Some(409) => {
                let found = inside.get(&format!("{pods}/{name}")).await?.unwrap_or_default();
                if !found.is_null() && found["metadata"]["uid"] != pod["uid"] {
                    return Ok(());
                }
                sleep(AGAIN).await;
            }
            other => return other.map(drop).with_context(|| format!("cannot create pod {namespace}/{name} again")),
        }
    }
    bail!("the ended pod {namespace}/{name} is held by a finalizer: repeat the command when it is gone")
}

/// Returns true for a pod that runs, or is to run, and that no controller would make again.
fn is_bare(pod: &Value) -> bool {
    let metadata = &pod["metadata"];
    let mut owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    metadata["deletionTimestamp"].is_null() && !is_over && !owners.any(|owner| owner["controller"] == true)
}

/// Returns what is needed to create a pod again, and the UID of the one that ends.
fn kept(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    let annotations: Map<String, Value> =
        annotations.filter(|(key, _)| !is_reserved(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut new = json!({"name": metadata["name"], "namespace": metadata["namespace"], "annotations": annotations});
    for field in ["labels", "finalizers", "ownerReferences"] {
        if !metadata[field].is_null() {
            new[field] = metadata[field].clone();
        }
    }
    let mut spec = pod["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        // The host chooses a node anew.
        spec.remove("nodeName");
        // Only the API server adds these.
        spec.remove("ephemeralContainers");
    }
    json!({"uid": metadata["uid"], "metadata": new, "spec": spec})
}

/// Divides pods into JSON lists that fit into a Secret.
fn parts(pods: &[Value]) -> Vec<String> {
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut room = 0;
    for pod in pods {
        let text = pod.to_string();
        if text.len() > room {
            parts.push(Vec::new());
            room = LIMIT;
        }
        room = room.saturating_sub(text.len() + 1);
        if let Some(part) = parts.last_mut() {
            part.push(text);
        }
    }
    parts.into_iter().map(|part| format!("[{}]", part.join(","))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_that_nobody_makes_again_are_kept() {
        let pod = |metadata: Value, phase: &str| json!({"metadata": metadata, "status": {"phase": phase}});
        let owned = |controller: bool| json!({"ownerReferences": [{"name": "x", "controller": controller}]});
        for (pod, expected) in [
            (pod(json!({}), "Running"), true),
            (pod(json!({}), "Pending"), true),
            (pod(owned(false), "Running"), true),
            (pod(owned(true), "Running"), false),
            (pod(json!({"deletionTimestamp": "x"}), "Running"), false),
            (pod(json!({}), "Succeeded"), false),
        ] {
            assert_eq!(is_bare(&pod), expected, "{pod}");
        }
    }

    #[test]
    fn a_pod_is_kept_without_what_belongs_to_its_end() {
        let pod = json!({
            "metadata": {
                "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "7", "labels": {"app": "a"},
                "annotations": {"tenet.sh/bound": "u", "example.com/a": "b"},
            },
            "spec": {"nodeName": "n", "containers": []},
            "status": {"phase": "Running"},
        });
        assert_eq!(
            kept(&pod),
            json!({
                "uid": "u",
                "metadata": {
                    "name": "a", "namespace": "b", "labels": {"app": "a"}, "annotations": {"example.com/a": "b"},
                },
                "spec": {"containers": []},
            })
        );
    }

    #[test]
    fn many_pods_are_kept_in_several_secrets() {
        let large = json!({"a": "x".repeat(LIMIT / 2)});
        let all = parts(&[large.clone(), large.clone(), large]);
        assert!(all.len() == 3 && all.iter().all(|part| part.len() < 1024 * 1024), "{}", all.len());
        let small = parts(&[json!({"a": 1}), json!({"a": 2})]);
        assert_eq!(small, ["[{\"a\":1},{\"a\":2}]"]);
        assert!(parts(&[]).is_empty());
    }
}

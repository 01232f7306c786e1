//! Wait for a control plane, with the reason while it is not ready.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_install::names;
use tokio::time::sleep;

use super::{stateful_set, text};
use crate::host::Host;
use crate::pod::{containers, is_true, unscheduled};
use crate::steps::Steps;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until the pod of the control plane is ready.
pub(crate) async fn until_ready(host: &Host, name: &str, limit: Duration, steps: &mut Steps) -> Result<()> {
    let pod_name = names::pod(name);
    let end = steps.elapsed() + limit;
    loop {
        let pod = host.get("pods", &pod_name).await.context("cannot read the pod of the control plane")?;
        let set = stateful_set(host, name).await?;
        let is_current = is_current(&set, &pod);
        if is_current && is_ready(&pod) {
            return Ok(());
        }
        let state = if is_current || pod.is_null() { state(&pod) } else { "it has to be replaced first".to_owned() };
        steps.say(&format!("waiting for pod {pod_name}: {state}"));
        if steps.elapsed() > end {
            let events = warnings(host, name).await;
            bail!(
                "virtual cluster {name} is not ready after {} s: {state}{events}\n\
                 Look further with: kubectl describe pod {pod_name} -n {}",
                limit.as_secs(),
                host.namespace
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Returns true if a pod was made from the present template of its StatefulSet. An earlier one is ready, too, until the
/// controller replaces it.
fn is_current(set: &Value, pod: &Value) -> bool {
    let revision = &set["status"]["updateRevision"];
    set["status"]["observedGeneration"] == set["metadata"]["generation"]
        && pod["metadata"]["labels"]["controller-revision-hash"] == *revision
}

fn is_ready(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && is_true(pod, "Ready")
}

/// Describes a pod that is not ready by the first reason for it.
pub(crate) fn state(pod: &Value) -> String {
    if pod["metadata"].is_null() {
        return "it does not exist yet".to_owned();
    }
    if let Some(condition) = unscheduled(pod) {
        return format!("no node takes it: {}", text(&condition["message"]));
    }
    let waiting: Vec<String> = containers(pod).filter(|status| status["ready"] != true).map(container).collect();
    if waiting.is_empty() { "its containers are not created yet".to_owned() } else { waiting.join(", ") }
}

fn container(status: &Value) -> String {
    let (name, state) = (text(&status["name"]), &status["state"]);
    if let Some(waiting) = state["waiting"].as_object() {
        let last = &status["lastState"]["terminated"]["exitCode"];
        let exit = last.as_i64().map(|code| format!(", last exit code {code}")).unwrap_or_default();
        return format!("{name} waits ({}{exit})", waiting.get("reason").and_then(Value::as_str).unwrap_or("unknown"));
    }
    if let Some(code) = state["terminated"]["exitCode"].as_i64() {
        return format!("{name} ended with exit code {code}");
    }
    format!("{name} is not ready")
}

/// Returns the last warnings about the pod and its volume, each on a line of its own.
async fn warnings(host: &Host, name: &str) -> String {
    let path = format!("/api/v1/namespaces/{}/events?fieldSelector=type%3DWarning", host.namespace);
    let Ok(events) = host.api.list(&path).await else { return String::new() };
    let pod = names::pod(name);
    let about = [name.to_owned(), format!("data-{pod}"), pod];
    let mut lines: Vec<String> = events
        .iter()
        .filter(|event| about.iter().any(|name| event["involvedObject"]["name"] == name.as_str()))
        .map(|event| format!("\n  {}: {}", text(&event["reason"]), text(&event["message"])))
        .collect();
    lines.dedup();
    lines.split_off(lines.len().saturating_sub(5)).concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_of_the_template_before_an_upgrade_is_not_current() {
        let set = |generation, observed, revision| json!({"metadata": {"generation": generation}, "status": {"observedGeneration": observed, "updateRevision": revision}});
        let pod = |revision| json!({"metadata": {"labels": {"controller-revision-hash": revision}}});
        assert!(is_current(&set(1, 1, "vc-1-a"), &pod("vc-1-a")));
        assert!(!is_current(&set(2, 1, "vc-1-a"), &pod("vc-1-a")), "the controller has not seen the change");
        assert!(!is_current(&set(2, 2, "vc-1-b"), &pod("vc-1-a")), "the pod is not replaced yet");
    }

    #[test]
    fn the_state_names_what_is_in_the_way() {
        let unscheduled = json!({"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"});
        let done = json!({"name": "bootstrap", "ready": true, "state": {"terminated": {"exitCode": 0}}});
        let failed = json!({"name": "bootstrap", "state": {"terminated": {"exitCode": 1}}});
        let pulls = json!({"name": "kine", "ready": false, "state": {"waiting": {"reason": "ImagePullBackOff"}}});
        let runs = json!({"name": "syncer", "ready": false, "state": {"running": {}}});
        let good = json!({"name": "kube-apiserver", "ready": true, "state": {"running": {}}});
        for (status, expected) in [
            (json!({"conditions": [unscheduled]}), "no node takes it: 0/2 nodes are available"),
            (json!({}), "its containers are not created yet"),
            (json!({"initContainerStatuses": [failed]}), "bootstrap ended with exit code 1"),
            (
                json!({"initContainerStatuses": [done], "containerStatuses": [pulls, good, runs]}),
                "kine waits (ImagePullBackOff), syncer is not ready",
            ),
        ] {
            assert_eq!(state(&json!({"metadata": {}, "status": status})), expected);
        }
        assert_eq!(state(&Value::Null), "it does not exist yet");
    }
}

//! Pods and configuration of a node, as the tenant knows them.

use std::fmt::Write;
use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::failure::Failure;
use super::stats::{TEXT, head};
use crate::serving::{Answer, respond};
use tenet_syncer::api::Api;

const LIMIT: Duration = Duration::from_secs(15);

/// The pods of the node, as the virtual API server has them.
pub(super) async fn pods(virt: &Api, node: &str, only_running: bool) -> Result<Response<Answer>, Failure> {
    let mut list = list(virt, node).await?;
    if only_running && let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
        items.retain(|pod| pod.pointer("/status/phase").and_then(Value::as_str) == Some("Running"));
    }
    list["kind"] = json!("PodList");
    list["apiVersion"] = json!("v1");
    Ok(json_of(&list))
}

/// Numbers of the pods and containers of the node, as the virtual API server has them.
pub(super) async fn metrics(virt: &Api, node: &str) -> Result<Response<Answer>, Failure> {
    let list = list(virt, node).await?;
    let pods = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(respond(StatusCode::OK, TEXT, text(node, pods)))
}

async fn list(virt: &Api, node: &str) -> Result<Value, Failure> {
    // The name of a node is a DNS name: nothing in it needs an escape.
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
    virt.get_path(&path, LIMIT).await.map_err(|error| Failure::virtual_api(&error))
}

/// Writes the metrics under the names that a kubelet has for them.
fn text(node: &str, pods: &[Value]) -> String {
    let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
    let statuses = pods.iter().flat_map(|pod| {
        ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"]
            .into_iter()
            .flat_map(|list| pod["status"][list].as_array().into_iter().flatten())
    });
    let (mut containers, mut exited) = (0_usize, 0_usize);
    for status in statuses {
        containers += usize::from(status["state"]["running"].is_object());
        exited += usize::from(status["state"]["terminated"].is_object());
    }
    let mut text = String::new();
    head(&mut text, "kubelet_node_name", "The node's name. The count is always 1.");
    let _ = writeln!(text, "kubelet_node_name{{node=\"{node}\"}} 1");
    head(&mut text, "kubelet_running_containers", "Number of containers currently running");
    for (state, count) in [("exited", exited), ("running", containers)] {
        let _ = writeln!(text, "kubelet_running_containers{{container_state=\"{state}\"}} {count}");
    }
    head(&mut text, "kubelet_running_pods", "Number of pods that have a running pod sandbox");
    let _ = writeln!(text, "kubelet_running_pods {running}");
    text
}

/// The configuration, as far as this kubelet has one.
pub(super) fn configz(idle: Duration) -> Response<Answer> {
    json_of(&json!({"kubeletconfig": {
        "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {}},
        "authorization": {"mode": "Webhook"},
        "enableDebuggingHandlers": true,
        "streamingConnectionIdleTimeout": format!("{}s", idle.as_secs()),
    }}))
}

fn json_of(value: &Value) -> Response<Answer> {
    respond(StatusCode::OK, "application/json", value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_containers_are_counted_by_their_state() {
        let (running, ended) = (json!({"state": {"running": {}}}), json!({"state": {"terminated": {"exitCode": 0}}}));
        let pods = [
            json!({"status": {"phase": "Running", "initContainerStatuses": [ended], "containerStatuses": [running, running]}}),
            json!({"status": {"phase": "Succeeded", "containerStatuses": [ended]}}),
            json!({"status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {}}}]}}),
        ];
        let text = text("worker-1", &pods);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "kubelet_node_name{node=\"worker-1\"} 1",
                "kubelet_running_containers{container_state=\"exited\"} 2",
                "kubelet_running_containers{container_state=\"running\"} 2",
                "kubelet_running_pods 1",
            ]
        );
    }
}

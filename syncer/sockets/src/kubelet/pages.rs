//! Pods and configuration of a node, as the tenant knows them.

use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::failure::Failure;
use crate::serving::{Answer, respond};
use tenet_syncer::api::Api;

const LIMIT: Duration = Duration::from_secs(15);

/// The pods of the node, as the virtual API server has them.
pub(super) async fn pods(virt: &Api, node: &str, only_running: bool) -> Result<Response<Answer>, Failure> {
    // The name of a node is a DNS name: nothing in it needs an escape.
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
    let mut list = virt.get_path(&path, LIMIT).await.map_err(|error| Failure::virtual_api(&error))?;
    if only_running && let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
        items.retain(|pod| pod.pointer("/status/phase").and_then(Value::as_str) == Some("Running"));
    }
    list["kind"] = json!("PodList");
    list["apiVersion"] = json!("v1");
    Ok(json_of(&list))
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

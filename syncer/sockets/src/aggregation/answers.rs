//! The objects of `metrics.k8s.io`.

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::route::{Ask, Resource};
use crate::kubelet::virtual_nodes;
use crate::resource_metrics::{PodUsage, cpu_text, memory_text};
use crate::serving::{Answer, respond, status};
use tenet_syncer::EngineHandle;

const API_VERSION: &str = "metrics.k8s.io/v1beta1";

/// The group, for discovery.
pub(super) fn group() -> Value {
    let version = json!({"groupVersion": API_VERSION, "version": "v1beta1"});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": "metrics.k8s.io", "versions": [version], "preferredVersion": version})
}

/// The resources of the version, for discovery.
pub(super) fn version() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API_VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

/// The objects that are asked for.
pub(super) fn resource(engine: &dyn EngineHandle, ask: &Ask, pods: &[PodUsage]) -> Response<Answer> {
    let (kind, all) = match ask.resource {
        Resource::Pods => ("PodMetrics", of_pods(pods)),
        Resource::Nodes => ("NodeMetrics", of_nodes(engine, pods)),
    };
    let text = |object: &Value, member: &str| object["metadata"][member].as_str().unwrap_or_default().to_owned();
    let in_place =
        |object: &Value| ask.namespace.as_ref().is_none_or(|namespace| text(object, "namespace") == *namespace);
    let mut found = all.into_iter().filter(in_place);
    if let Some(name) = &ask.name {
        if let Some(object) = found.find(|object| text(object, "name") == *name) {
            return respond(StatusCode::OK, "application/json", object.to_string());
        }
        let message = format!("{}.metrics.k8s.io {name:?} not found", ask.resource.plural());
        return status(StatusCode::NOT_FOUND, "NotFound", &message);
    }
    let none = Map::new();
    let selected = |object: &Value| {
        let labels = object["metadata"]["labels"].as_object().unwrap_or(&none);
        ask.selector.selects(&text(object, "namespace"), &text(object, "name"), labels)
    };
    let items: Vec<_> = found.filter(selected).collect();
    let list = json!({"kind": format!("{kind}List"), "apiVersion": API_VERSION, "metadata": {}, "items": items});
    respond(StatusCode::OK, "application/json", list.to_string())
}

fn of_pods(pods: &[PodUsage]) -> Vec<Value> {
    let container = |container: &crate::resource_metrics::ContainerUsage| json!({"name": container.name, "usage": usage(container.cpu, container.memory)});
    pods.iter()
        .map(|pod| {
            json!({
                "kind": "PodMetrics", "apiVersion": API_VERSION,
                "metadata": {
                    "name": pod.key.name(), "namespace": pod.key.namespace(), "labels": pod.labels,
                    "creationTimestamp": pod.timestamp,
                },
                "timestamp": pod.timestamp, "window": pod.window,
                "containers": pod.containers.iter().map(container).collect::<Vec<_>>(),
            })
        })
        .collect()
}

/// Returns the usage of the nodes: that of the pods of the tenant on each, without those of others.
fn of_nodes(engine: &dyn EngineHandle, pods: &[PodUsage]) -> Vec<Value> {
    let nodes = virtual_nodes(engine);
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let metrics = nodes.iter().map(|node| {
        let on_it: Vec<_> = pods.iter().filter(|pod| pod.node == node.name()).collect();
        let sum = |of: fn(&crate::resource_metrics::ContainerUsage) -> u64| -> u64 {
            on_it.iter().flat_map(|pod| &pod.containers).map(of).fold(0, u64::saturating_add)
        };
        let timestamp = on_it.iter().map(|pod| pod.timestamp.as_str()).max().unwrap_or(&now);
        let window = on_it.first().map_or("0s", |pod| pod.window.as_str());
        json!({
            "kind": "NodeMetrics", "apiVersion": API_VERSION,
            "metadata": {
                "name": node.name(), "labels": node.at("/metadata/labels"), "creationTimestamp": timestamp,
            },
            "timestamp": timestamp, "window": window,
            "usage": usage(sum(|container| container.cpu), sum(|container| container.memory)),
        })
    });
    metrics.collect()
}

fn usage(cpu: u64, memory: u64) -> Value {
    json!({"cpu": cpu_text(cpu), "memory": memory_text(memory)})
}

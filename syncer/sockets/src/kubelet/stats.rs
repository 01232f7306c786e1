//! Resource metrics of the pods of a node, in the three forms of a kubelet.
//!
//! The host has rates and a kubelet has counters, so values that would not be true are left out: there are working
//! sets, and of processors the present rate in the summary alone.

use std::fmt::Write;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::resource_metrics::{ContainerUsage, PodUsage};
use crate::serving::{Answer, respond};

/// Media type of the text format of Prometheus.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `stats/summary`.
pub(super) fn summary(node: &str, pods: &[&PodUsage]) -> Response<Answer> {
    let time = pods.iter().map(|pod| pod.timestamp.as_str()).max();
    let all = pods.iter().flat_map(|pod| &pod.containers);
    let summary = json!({
        "node": with_usage(json!({"nodeName": node}), time, all),
        "pods": pods.iter().map(|pod| of_pod(pod)).collect::<Vec<_>>(),
    });
    respond(StatusCode::OK, "application/json", summary.to_string())
}

fn of_pod(pod: &PodUsage) -> Value {
    let time = Some(pod.timestamp.as_str());
    let containers = pod
        .containers
        .iter()
        .map(|container| with_usage(json!({"name": container.name}), time, std::iter::once(container)));
    let reference = json!({"name": pod.key.name(), "namespace": pod.key.namespace(), "uid": pod.uid});
    let whole = json!({"podRef": reference, "containers": containers.collect::<Vec<_>>()});
    with_usage(whole, time, pod.containers.iter())
}

fn with_usage<'u>(mut of: Value, time: Option<&str>, all: impl Iterator<Item = &'u ContainerUsage>) -> Value {
    let (cpu, memory) =
        all.fold((0_u64, 0_u64), |(cpu, memory), one| (cpu.saturating_add(one.cpu), memory.saturating_add(one.memory)));
    of["cpu"] = json!({"time": time, "usageNanoCores": cpu});
    of["memory"] = json!({"time": time, "workingSetBytes": memory});
    of
}

/// `metrics/resource`.
pub(super) fn resource(pods: &[&PodUsage]) -> Response<Answer> {
    let mut text = String::new();
    containers(&mut text, "Current working set of the container in bytes", pods);
    head(&mut text, "pod_memory_working_set_bytes", "Current working set of the pod in bytes");
    for pod in pods {
        let memory = pod.containers.iter().fold(0_u64, |sum, container| sum.saturating_add(container.memory));
        line(&mut text, "pod_memory_working_set_bytes", pod, None, memory);
    }
    head(&mut text, "resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise");
    text.push_str("resource_scrape_error 0\n");
    respond(StatusCode::OK, TEXT, text)
}

/// `metrics/cadvisor`.
pub(super) fn cadvisor(pods: &[&PodUsage]) -> Response<Answer> {
    let mut text = String::new();
    containers(&mut text, "Current working set in bytes.", pods);
    respond(StatusCode::OK, TEXT, text)
}

fn containers(text: &mut String, help: &str, pods: &[&PodUsage]) {
    const NAME: &str = "container_memory_working_set_bytes";
    head(text, NAME, help);
    for pod in pods {
        for container in &pod.containers {
            line(text, NAME, pod, Some(&container.name), container.memory);
        }
    }
}

/// Writes the head of a gauge.
pub(super) fn head(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

/// Names of containers, namespaces and pods hold nothing that would need an escape.
fn line(text: &mut String, name: &str, pod: &PodUsage, container: Option<&str>, value: u64) {
    let container = container.map(|container| format!("container=\"{container}\",")).unwrap_or_default();
    let (namespace, pod) = (pod.key.namespace(), pod.key.name());
    let _ = writeln!(text, "{name}{{{container}namespace=\"{namespace}\",pod=\"{pod}\"}} {value}");
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tenet_mapper::VirtualKey;

    use super::*;

    fn pod() -> PodUsage {
        let container = |name: &str, cpu, memory| ContainerUsage { name: name.to_owned(), cpu, memory };
        PodUsage {
            key: VirtualKey::new("shop", "web"),
            uid: "u".to_owned(),
            labels: serde_json::Map::new(),
            node: "worker-1".to_owned(),
            timestamp: "2026-11-23T06:00:00Z".to_owned(),
            window: "15s".to_owned(),
            containers: vec![container("main", 5, 100), container("side", 2, 11)],
        }
    }

    async fn text(response: Response<Answer>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_summary_adds_up() {
        let pod = pod();
        let told: Value = serde_json::from_str(&text(summary("worker-1", &[&pod])).await).unwrap();
        let time = "2026-11-23T06:00:00Z";
        assert_eq!(told["node"]["cpu"], json!({"time": time, "usageNanoCores": 7}));
        assert_eq!(told["pods"][0]["podRef"], json!({"name": "web", "namespace": "shop", "uid": "u"}));
        assert_eq!(told["pods"][0]["memory"], json!({"time": time, "workingSetBytes": 111}));
        assert_eq!(told["pods"][0]["containers"][1]["name"], "side");
    }

    #[tokio::test]
    async fn prometheus_can_read_it() {
        let pod = pod();
        let told = text(resource(&[&pod])).await;
        assert!(
            told.contains(
                "container_memory_working_set_bytes{container=\"main\",namespace=\"shop\",pod=\"web\"} 100\n"
            ),
            "{told}"
        );
        assert!(told.contains("pod_memory_working_set_bytes{namespace=\"shop\",pod=\"web\"} 111\n"), "{told}");
        assert!(text(cadvisor(&[&pod])).await.contains("container=\"side\""));
    }
}

//! `metrics.k8s.io` inside: the host's measurements under the tenant's names (threats T17,
//! T28, T30), and no request that hangs when the syncer is away.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{Options, Playground};

use crate::harness::{Harness, cluster, configured, dir, passed};
use crate::kubelet::wire::{api_server, code, send};

const GROUP: &str = "/apis/metrics.k8s.io/v1beta1";
const REGISTRATION: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";

/// Returns the address at which the syncer serves the metrics.
fn listen(playground: &Playground) -> Result<SocketAddr> {
    let config = std::fs::read_to_string(playground.syncer_config())?;
    let line = config.lines().find(|line| line.starts_with("usage:")).context("no usage in the configuration")?;
    Ok(line.split('"').nth(1).context("no address")?.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_what_pods_use_and_an_autoscaler_follows() -> Result<()> {
    let options = Options { dir: Some(dir("metrics")), metrics: true, ..Options::default() };
    let playground = Playground::start(options).await?;
    let command = configured(&playground);
    playground.start_syncer(&command).await?;
    let virt = cluster("virtual", playground.virtual_kubeconfig()).await?;
    let labels = json!({"app": "busy", "playground/cpu": "400m"});
    let container = json!({"name": "main", "image": "nginx", "resources": {"requests": {"cpu": "100m"}}});
    let deployment = json!({
        "metadata": {"name": "busy"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "busy"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    virt.create("/apis/apps/v1/namespaces/default/deployments", deployment).await?;
    let target = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
    let scaler = json!({
        "metadata": {"name": "busy"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"},
            "minReplicas": 1, "maxReplicas": 3, "metrics": [target],
        },
    });
    virt.create("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", scaler).await?;

    let measured = |list: &Value| list["items"].as_array().is_some_and(|items| !items.is_empty());
    let pods = format!("{GROUP}/namespaces/default/pods");
    let list = virt.until(&format!("{pods}?labelSelector=app%3Dbusy"), "measured", measured).await?;
    let pod = &list["items"][0];
    ensure!(pod["metadata"]["labels"]["app"] == "busy" && pod["containers"][0]["name"] == "main", "{pod}");
    let told = list.to_string();
    ensure!(!told.contains("-x-default-x-") && !told.contains(playground.namespace()), "{told}");
    ensure!(!measured(&virt.get(&format!("{pods}?labelSelector=app%3Dother")).await?.context("no list")?));
    let name = pod["metadata"]["name"].as_str().context("no name")?;
    ensure!(virt.get(&format!("{pods}/{name}")).await?.context("no pod")?["kind"] == "PodMetrics");
    ensure!(virt.get(&format!("{pods}/absent")).await?.is_none());
    let nodes = virt.list(&format!("{GROUP}/nodes")).await?;
    ensure!(nodes.iter().any(|node| node["usage"]["cpu"] != "0n"), "{nodes:?}");
    let has_grown = |deployment: &Value| deployment["status"]["readyReplicas"] == 3;
    virt.until("/apis/apps/v1/namespaces/default/deployments/busy", "scaled", has_grown).await?;

    only_the_front_proxy_is_answered(&playground).await?;

    // A syncer that ends deletes its registration, so that no request hangs.
    virt.create("/api/v1/namespaces", json!({"metadata": {"name": "short"}})).await?;
    playground.stop_syncer().await;
    ensure!(virt.get(REGISTRATION).await?.is_none());
    virt.delete("/api/v1/namespaces/short", json!({})).await?;
    virt.until_gone("/api/v1/namespaces/short").await?;
    passed(playground).await
}

async fn only_the_front_proxy_is_answered(playground: &Playground) -> Result<()> {
    let address = listen(playground)?;
    let claim = "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n";
    for path in [format!("{GROUP}/pods"), GROUP.to_owned(), "/".to_owned(), "/metrics".to_owned()] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{claim}\r\n");
        let answer = send(address, None, request.as_bytes()).await?;
        ensure!(code(&answer) == 401, "{path}: {answer}");
        // A client certificate of the cluster is not one of the front proxy.
        let me = api_server(playground)?;
        let answer = send(address, Some(&me), request.as_bytes()).await.unwrap_or_default();
        ensure!(matches!(code(&answer), 0 | 401), "{path}: {answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_metrics_on_the_host_nothing_is_registered() -> Result<()> {
    let harness = Harness::shared().await?;
    ensure!(harness.virt.get(REGISTRATION).await?.is_none());
    ensure!(harness.virt.get(GROUP).await?.is_none());
    Ok(())
}

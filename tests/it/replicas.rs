//! Services of the host that are shown inside, and Services inside under a further name on the host.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::Options;
use tokio::time::{Instant, sleep};

use crate::cluster::phase;
use crate::harness::{Separate, configured, in_folder, new_namespace, passed};

const SETTINGS: &str = "replicateServices:
  fromHost: [{ from: postgres, to: data/pg }]
  toHost: [{ from: data/web, to: shop-web }]
";

fn service(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}, "ports": [{"port": 5432, "targetPort": 80}]}})
}

fn addresses(slices: &[Value], service: &str) -> Vec<String> {
    let of_service = slices.iter().filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service);
    let endpoints = of_service.filter_map(|slice| slice["endpoints"].as_array()).flatten();
    let all = endpoints.filter_map(|endpoint| endpoint["addresses"].as_array()).flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Creates a Service inside. A syncer that has just started may not answer the API server's reviews yet.
async fn until_created(harness: &Separate, service: Value) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match harness.virt.create("/api/v1/namespaces/data/services", service.clone()).await {
            Err(error) if Instant::now() < end && format!("{error:#}").contains("failed calling webhook") => {
                sleep(Duration::from_millis(100)).await;
            }
            answer => return answer.map(drop),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_replicated_in_both_directions() -> Result<()> {
    let options = Options { syncer_settings: SETTINGS.to_owned(), ..in_folder("replicas") };
    let harness = Separate::start(options).await?;
    let Separate { playground, host, virt } = &harness;
    let on_host = |rest: &str| harness.on_host(rest);
    let slices = "/apis/discovery.k8s.io/v1/namespaces/data/endpointslices";
    let shown = "/api/v1/namespaces/data/services/pg";

    // The host Service and the namespace come while the syncer runs.
    let postgres = host.create(&on_host("services"), service("postgres", "postgres")).await?;
    let address = postgres["spec"]["clusterIP"].as_str().context("an address")?.to_owned();
    new_namespace(virt, "data").await?;
    let found = virt.until(shown, "shown", Value::is_object).await?;
    assert_eq!((&found["spec"]["clusterIP"], &found["spec"]["ports"][0]["port"]), (&json!("None"), &json!(5432)));
    virt.until_list(slices, "with the address", |slices| addresses(slices, "pg") == [address.as_str()]).await?;
    assert_eq!(host.get(&on_host("services/pg-x-data-x-vc-1")).await?, None, "it is not copied back");

    // It follows, and stays without endpoints when the host's is gone.
    host.patch(&on_host("services/postgres"), json!({"spec": {"ports": [{"port": 6432, "targetPort": 80}]}})).await?;
    virt.until(shown, "with another port", |service| service["spec"]["ports"][0]["port"] == 6432).await?;
    host.delete(&on_host("services/postgres"), json!({})).await?;
    virt.until_list(slices, "empty", |slices| addresses(slices, "pg").is_empty()).await?;
    let is_told = |events: &[Value]| events.iter().any(|event| event["involvedObject"]["name"] == "pg");
    virt.until_list("/api/v1/namespaces/data/events", "told", is_told).await?;
    assert!(virt.get(shown).await?.is_some());
    let again = host.create(&on_host("services"), service("postgres", "postgres")).await?;
    let address = again["spec"]["clusterIP"].as_str().context("an address")?.to_owned();
    virt.until_list(slices, "with the new address", |slices| addresses(slices, "pg") == [address.as_str()]).await?;

    // A Service inside has a further name on the host, with the endpoints of its pods there.
    virt.create("/api/v1/namespaces/data/services", service("web", "web")).await?;
    let pod = json!({"metadata": {"name": "web", "labels": {"app": "web"}},
                     "spec": {"containers": [{"name": "c", "image": "i"}]}});
    virt.create("/api/v1/namespaces/data/pods", pod).await?;
    let pod = virt.until("/api/v1/namespaces/data/pods/web", "running", |pod| phase(pod) == "Running").await?;
    let further = on_host("services/shop-web");
    host.until(&further, "made", Value::is_object).await?;
    let host_slices = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", playground.namespace());
    let ip = pod["status"]["podIP"].as_str().context("an address of the pod")?;
    host.until_list(&host_slices, "with the pod", |slices| addresses(slices, "shop-web") == [ip]).await?;
    host.delete(&further, json!({})).await?;
    host.until(&further, "made again", Value::is_object).await?;
    virt.patch("/api/v1/namespaces/data/services/web", json!({"spec": {"ports": [{"port": 81}]}})).await?;
    host.until(&further, "with another port", |service| service["spec"]["ports"][0]["port"] == 81).await?;

    // A restart after a kill finds all as it was.
    let versions = async || -> Result<Vec<Value>> {
        let objects = [virt.get(shown).await?, host.get(&further).await?];
        Ok(objects.into_iter().flatten().map(|object| object["metadata"]["resourceVersion"].clone()).collect())
    };
    let before = versions().await?;
    playground.kill_syncer();
    playground.start_syncer(&configured(playground)).await?;
    until_created(&harness, service("other", "other")).await?;
    host.until(&on_host("services/other-x-data-x-vc-1"), "copied", Value::is_object).await?;
    assert_eq!(versions().await?, before);

    virt.delete("/api/v1/namespaces/data/services/web", json!({})).await?;
    host.until_gone(&further).await?;
    host.until_gone(&on_host("services/web-x-data-x-vc-1")).await?;
    passed(harness.playground).await
}

//! Services of the host that are shown inside, and Services inside under a further name on the host.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::Options;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, phase};
use crate::harness::{Separate, configured, in_folder, new_namespace, passed, pod, until_told};

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

    // It follows, and goes with the host's.
    host.patch(&on_host("services/postgres"), json!({"spec": {"ports": [{"port": 6432, "targetPort": 80}]}})).await?;
    virt.until(shown, "with another port", |service| service["spec"]["ports"][0]["port"] == 6432).await?;
    host.delete(&on_host("services/postgres"), json!({})).await?;
    virt.until_gone(shown).await?;
    virt.until_list(slices, "gone with it", |slices| addresses(slices, "pg").is_empty()).await?;
    until_told(virt, "data", "SyncChanged", "pg", "is gone").await?;
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

const ELSEWHERE: &str = "replicateServices:
  fromHost:
    - { from: shared/postgres, to: data/pg }
    - { from: shared/peers, to: data/peers }
    - { from: shared/outside, to: data/outside }
    - { from: shared/taken, to: data/taken }
    - { from: closed/secret, to: data/secret }
";

/// Gives the syncer in `namespace` of the host the reads that it was given in `shared`.
async fn grant_as_in_shared(host: &Cluster, namespace: &str) -> Result<()> {
    for resource in ["roles", "rolebindings"] {
        let path = |namespace: &str| format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{resource}");
        for mut object in host.list(&path("shared")).await? {
            object["metadata"] = json!({"name": object["metadata"]["name"]});
            host.create(&path(namespace), object).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_other_namespaces_of_the_host_are_shown_as_far_as_they_may_be_read() -> Result<()> {
    let options = Options { syncer_settings: ELSEWHERE.to_owned(), ..in_folder("replicas-elsewhere") };
    let harness = Separate::new(options).await?;
    let Separate { playground, host, virt } = &harness;
    let in_shared = |rest: &str| format!("/api/v1/namespaces/shared/{rest}");
    let in_data = |rest: &str| format!("/api/v1/namespaces/data/{rest}");
    let slices = "/apis/discovery.k8s.io/v1/namespaces/data/endpointslices";
    new_namespace(host, "shared").await?;
    host.create(&in_shared("services"), service("postgres", "postgres")).await?;
    let peers = json!({"metadata": {"name": "peers"}, "spec": {
        "clusterIP": "None", "selector": {"set": "peers"}, "ports": [{"name": "raft", "port": 7000}]}});
    host.create(&in_shared("services"), peers).await?;
    let outside =
        json!({"metadata": {"name": "outside"}, "spec": {"type": "ExternalName", "externalName": "db.example.com"}});
    host.create(&in_shared("services"), outside).await?;
    // The namespace `closed` does not exist when rights are given.
    playground.start_syncer(&configured(playground)).await?;
    new_namespace(virt, "data").await?;
    until_created(&harness, service("taken", "own")).await?;
    host.create(&in_shared("services"), service("taken", "taken")).await?;

    let postgres = host.get(&in_shared("services/postgres")).await?.context("postgres")?;
    let address = postgres["spec"]["clusterIP"].as_str().context("an address")?;
    virt.until_list(slices, "with the address", |slices| addresses(slices, "pg") == [address]).await?;
    virt.until(&in_data("services/outside"), "shown", |it| it["spec"]["externalName"] == "db.example.com").await?;
    host.patch(&in_shared("services/outside"), json!({"spec": {"externalName": "b.example.com"}})).await?;
    virt.until(&in_data("services/outside"), "changed", |it| it["spec"]["externalName"] == "b.example.com").await?;
    host.patch(&in_shared("services/postgres"), json!({"spec": {"ports": [{"port": 6432, "targetPort": 80}]}})).await?;
    virt.until(&in_data("services/pg"), "with another port", |it| it["spec"]["ports"][0]["port"] == 6432).await?;

    // The addresses of a headless one move with its pods.
    let start = async |name: &str| -> Result<String> {
        let mut peer = pod(name, &json!({"hostname": name, "subdomain": "peers"}));
        peer["metadata"]["labels"] = json!({"set": "peers"});
        host.create(&in_shared("pods"), peer).await?;
        let has_address = |pod: &Value| phase(pod) == "Running" && pod["status"]["podIP"].is_string();
        let running = host.until(&in_shared(&format!("pods/{name}")), "running", has_address).await?;
        Ok(running["status"]["podIP"].as_str().unwrap_or_default().to_owned())
    };
    let until_shown = async |expected: &[&String]| {
        let expected: BTreeSet<String> = expected.iter().map(|ip| (*ip).clone()).collect();
        virt.until_list(slices, "with the pods", |slices| {
            addresses(slices, "peers").into_iter().collect::<BTreeSet<_>>() == expected
        })
        .await
    };
    let (first, second) = (start("peer-0").await?, start("peer-1").await?);
    let of_both = until_shown(&[&first, &second]).await?;
    let endpoints = of_both.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten();
    assert!(endpoints.clone().any(|endpoint| endpoint["hostname"] == "peer-0"), "{of_both:?}");
    let tells_of_host = |endpoint: &Value| endpoint.get("nodeName").is_some() || endpoint.get("targetRef").is_some();
    assert!(!endpoints.clone().any(tells_of_host), "{of_both:?}");
    host.delete(&in_shared("pods/peer-0"), json!({"gracePeriodSeconds": 0})).await?;
    until_shown(&[&second]).await?;
    let third = start("peer-2").await?;
    until_shown(&[&second, &third]).await?;

    // The Service of the tenant keeps its name, and says why nothing is shown there.
    until_told(virt, "data", "SyncDegraded", "taken", "a Service of yours has this name").await?;
    let taken = virt.get(&in_data("services/taken")).await?.context("the tenant's")?;
    assert_eq!(taken["spec"]["selector"], json!({"app": "own"}));

    // Without the right nothing else is affected; with it the Service is shown.
    new_namespace(host, "closed").await?;
    host.create("/api/v1/namespaces/closed/services", service("secret", "secret")).await?;
    until_told(virt, "default", "SyncDegraded", "data", "may not read Services in namespace closed").await?;
    assert_eq!(virt.get(&in_data("services/secret")).await?, None);
    grant_as_in_shared(host, "closed").await?;
    virt.until(&in_data("services/secret"), "shown", |it| it["spec"]["clusterIP"] == "None").await?;

    // At rest nothing is written, also after a restart.
    let versions = async || -> Result<Vec<Value>> {
        let mut all = virt.list(&in_data("services")).await?;
        all.extend(virt.list(slices).await?);
        Ok(all.into_iter().map(|object| object["metadata"]["resourceVersion"].clone()).collect())
    };
    let before = versions().await?;
    playground.kill_syncer();
    playground.start_syncer(&configured(playground)).await?;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(versions().await?, before);

    for (of_host, inside) in [("postgres", "pg"), ("peers", "peers"), ("outside", "outside")] {
        host.delete(&in_shared(&format!("services/{of_host}")), json!({})).await?;
        virt.until_gone(&in_data(&format!("services/{inside}"))).await?;
    }
    virt.until_list(slices, "gone", |slices| {
        ["pg", "peers"].iter().all(|service| addresses(slices, service).is_empty())
    })
    .await?;
    passed(harness.playground).await
}

//! Classes, schedulers and nodes that the host does not give a tenant: the pod runs all the same, or says why it does
//! not.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::Options;

use crate::cluster::phase;
use crate::harness::{Harness, Separate, in_folder, new_namespace, passed, pod, until_told};

/// Creates a pod, waits until it runs, and returns the virtual pod and the host pod.
async fn run(harness: &Harness, namespace: &str, name: &str, spec: &Value) -> Result<(Value, Value)> {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    harness.virt.create(&pods, pod(name, spec)).await?;
    let virt = harness.virt.until(&format!("{pods}/{name}"), "running", |pod| phase(pod) == "Running").await?;
    let host = harness.host.get(&harness.on_host(&format!("pods/{name}-x-{namespace}-x-vc-1"))).await?;
    Ok((virt, host.context("the host pod")?))
}

/// `CoreDNS`, metrics-server and others name such a class, which every cluster has.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_a_system_class_runs_with_the_default_priority() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let class = json!({"priorityClassName": "system-cluster-critical"});
    let (virt, host) = run(&harness, &namespace, "dns", &class).await?;
    assert_eq!(virt["spec"]["priority"], 2_000_000_000);
    assert_eq!((&host["spec"]["priority"], &host["spec"]["priorityClassName"]), (&json!(0), &Value::Null));
    until_told(&harness.virt, &namespace, "SyncDegraded", "dns", "system-cluster-critical").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_for_a_scheduler_of_the_tenant_is_placed_by_the_host() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let (_, host) = run(&harness, &namespace, "gang", &json!({"schedulerName": "team-scheduler"})).await?;
    assert_eq!(host["spec"]["schedulerName"], "default-scheduler");
    until_told(&harness.virt, &namespace, "SyncDegraded", "gang", "team-scheduler").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_comes_with_a_node_runs_there() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let (first, _) = run(&harness, &namespace, "first", &json!({})).await?;
    let node = first["spec"]["nodeName"].clone();
    let (virt, host) = run(&harness, &namespace, "second", &json!({"nodeName": node})).await?;
    assert_eq!((&virt["spec"]["nodeName"], &host["spec"]["nodeName"]), (&node, &node));
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    harness.virt.create(&pods, pod("astray", &json!({"nodeName": "no-such-node"}))).await?;
    until_told(&harness.virt, &namespace, "SyncRefused", "astray", "spec.nodeName: there is no Node no-such-node")
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affinity_selects_the_pods_of_namespaces_by_their_labels() -> Result<()> {
    let harness = Harness::shared().await?;
    let (data, front) = (harness.namespace().await?, harness.namespace().await?);
    let labels = |team: &str| json!({"metadata": {"labels": {"placement-team": team}}});
    harness.virt.patch(&format!("/api/v1/namespaces/{data}"), labels("data")).await?;
    let (_, db) = run(&harness, &data, "db", &json!({})).await?;

    let near = |selector: &Value| {
        let term = json!({"topologyKey": "kubernetes.io/hostname", "namespaceSelector": selector,
            "labelSelector": {"matchLabels": {"app": "db"}}});
        json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
    };
    let by_name = json!({"matchLabels": {"kubernetes.io/metadata.name": data}});
    let by_team = json!({"matchLabels": {"placement-team": "data"}});
    for (name, selector) in [("named", &by_name), ("labelled", &by_team), ("every", &json!({}))] {
        let (_, host) = run(&harness, &front, name, &near(selector)).await?;
        assert_eq!(host["spec"]["nodeName"], db["spec"]["nodeName"], "{name}");
    }
    let never = json!({"topologyKey": "kubernetes.io/hostname", "namespaceSelector": {},
        "labelSelector": {"matchExpressions": [{"key": "placement/never", "operator": "Exists"}]}});
    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [never]}}});
    run(&harness, &front, "lone", &apart).await?;

    harness.virt.patch(&format!("/api/v1/namespaces/{data}"), labels("other")).await?;
    until_told(&harness.virt, &front, "SyncDegraded", "labelled", "namespaceSelector").await.map(drop)
}

/// A toleration of every taint does not lead to nodes that are reserved for others.
#[tokio::test(flavor = "multi_thread")]
async fn a_toleration_of_every_taint_is_narrowed_and_told() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let (_, host) = run(&harness, &namespace, "intruder", &json!({"tolerations": [{"operator": "Exists"}]})).await?;
    let tolerations = host["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let is_condition =
        |toleration: &Value| toleration["key"].as_str().is_some_and(|key| key.starts_with("node.kubernetes.io/"));
    assert!(!tolerations.is_empty() && tolerations.iter().all(is_condition), "{tolerations:?}");
    until_told(&harness.virt, &namespace, "SyncDegraded", "intruder", "every taint").await.map(drop)
}

/// The API server writes such a class into every pod from then on, also into those that ask for none.
#[tokio::test(flavor = "multi_thread")]
async fn a_global_default_class_of_the_tenant_raises_no_priority_on_the_host() -> Result<()> {
    let own = Separate::start(in_folder("placement")).await?;
    new_namespace(&own.virt, "shop").await?;
    let class = json!({"metadata": {"name": "team-default"}, "value": 1000, "globalDefault": true});
    own.virt.create("/apis/scheduling.k8s.io/v1/priorityclasses", class).await?;
    let pods = "/api/v1/namespaces/shop/pods";
    // The API server needs a moment to learn of the class.
    let dry = format!("{pods}?dryRun=All");
    for _ in 0..200 {
        if own.virt.create(&dry, pod("probe", &json!({}))).await?["spec"]["priority"] == 1000 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    own.virt.create(pods, pod("plain", &json!({}))).await?;
    let virt = own.virt.until(&format!("{pods}/plain"), "running", |pod| phase(pod) == "Running").await?;
    assert_eq!((&virt["spec"]["priorityClassName"], &virt["spec"]["priority"]), (&json!("team-default"), &json!(1000)));
    let host = own.host.get(&own.on_host("pods/plain-x-shop-x-vc-1")).await?.context("the host pod")?;
    assert_eq!((&host["spec"]["priorityClassName"], &host["spec"]["priority"]), (&Value::Null, &json!(0)));
    passed(own.playground).await
}

/// The API server inside refuses a pod whose class it does not have.
#[tokio::test(flavor = "multi_thread")]
async fn the_classes_that_tenants_may_use_are_shown_and_cross() -> Result<()> {
    let settings = "pods: { priorityClasses: [tenant-low], runtimeClassLabels: { tenants: welcome } }\n".to_owned();
    let options = Options { node_access: true, syncer_settings: settings, ..in_folder("classes") };
    let own = Separate::start(options).await?;
    new_namespace(&own.virt, "shop").await?;
    let (priorities, runtimes) = ("/apis/scheduling.k8s.io/v1/priorityclasses", "/apis/node.k8s.io/v1/runtimeclasses");
    for name in ["tenant-low", "host-high"] {
        own.host.create(priorities, json!({"metadata": {"name": name}, "value": 7})).await?;
    }
    let kata = json!({"metadata": {"name": "kata", "labels": {"tenants": "welcome"}}, "handler": "kata-qemu",
        "overhead": {"podFixed": {"memory": "10Mi"}}});
    own.host.create(runtimes, kata).await?;
    own.virt.until(&format!("{priorities}/tenant-low"), "shown", |class| class["value"] == 7).await?;
    own.virt.until(&format!("{runtimes}/kata"), "shown", |class| class["handler"] == "kata-qemu").await?;
    assert_eq!(own.virt.get(&format!("{priorities}/host-high")).await?, None);

    let pods = "/api/v1/namespaces/shop/pods";
    let spec = json!({"priorityClassName": "tenant-low", "runtimeClassName": "kata"});
    own.virt.create(pods, pod("classy", &spec)).await?;
    let virt = own.virt.until(&format!("{pods}/classy"), "running", |pod| phase(pod) == "Running").await?;
    let host = own.host.get(&own.on_host("pods/classy-x-shop-x-vc-1")).await?.context("the host pod")?;
    for pod in [&virt, &host] {
        assert_eq!((&pod["spec"]["priority"], &pod["spec"]["runtimeClassName"]), (&json!(7), &json!("kata")));
        assert_eq!(pod["spec"]["overhead"]["memory"], "10Mi");
    }
    own.host.delete(&format!("{priorities}/tenant-low"), json!({})).await?;
    own.virt.until_gone(&format!("{priorities}/tenant-low")).await?;
    passed(own.playground).await
}

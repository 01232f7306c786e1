//! Labels, taints and cordons on Nodes inside: refused at once, or honoured for the pods of the tenant.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tenet_playground::Options;

use crate::cluster::{Cluster, name, phase};
use crate::harness::{Harness, Separate, in_folder, new_namespace, passed, pod};

const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/namespaces/shop/pods";

/// Waits until the API server enforces the policy, and returns what it says to a change.
pub async fn refusal(virt: &Cluster, path: &str, change: &Value) -> Result<String> {
    for _ in 0..400 {
        // Nothing is stored while the API server still learns of the policy.
        match virt.patch(&format!("{path}?dryRun=All"), change.clone()).await {
            Err(error) => return Ok(format!("{error:#}")),
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    bail!("{change} is not refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cordon_a_taint_and_a_label_of_the_tenant_are_refused_with_what_to_do() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    harness.virt.create(&pods, pod("guest", &json!({}))).await?;
    let guest = harness.virt.until(&format!("{pods}/guest"), "running", |pod| phase(pod) == "Running").await?;
    let node = guest["spec"]["nodeName"].as_str().context("a node")?;
    for (change, words) in [
        (json!({"spec": {"unschedulable": true}}), "is cordoned on the host"),
        (
            json!({"spec": {"taints": [{"key": "team", "effect": "NoExecute"}]}}),
            "taints of a Node are those of the host",
        ),
        (json!({"metadata": {"labels": {"team": "red"}}}), "labels of a Node are those of the host"),
        (json!({"metadata": {"labels": {"kubernetes.io/os": "plan9"}}}), "labels of a Node are those of the host"),
    ] {
        let refused = refusal(&harness.virt, &format!("{NODES}/{node}"), &change).await?;
        assert!(refused.contains(words) && refused.contains("nodes.tenantScheduling: true"), "{refused}");
    }
    let annotated = json!({"metadata": {"annotations": {"example.com/note": "ours"}}});
    harness.virt.patch(&format!("{NODES}/{node}"), annotated).await?;
    Ok(())
}

/// The API server inside lets nobody resize a whole pod on a node that does not declare the feature.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_resized_as_a_whole_where_the_node_of_the_host_declares_that() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let resources = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}, "limits": {"cpu": "1"}}});
    harness.virt.create(&pods, pod("whole", &resources("100m"))).await?;
    let whole = harness.virt.until(&format!("{pods}/whole"), "running", |pod| phase(pod) == "Running").await?;
    let node = whole["spec"]["nodeName"].as_str().context("a node")?;
    let features = ["InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"];
    let declared = json!({"status": {"declaredFeatures": features}});
    harness.host.patch(&format!("{NODES}/{node}/status"), declared).await?;
    let shows = |node: &Value| node["status"]["declaredFeatures"] == json!(features);
    harness.virt.until(&format!("{NODES}/{node}"), "declared", shows).await?;
    let twin = harness.on_host(&format!("pods/whole-x-{namespace}-x-vc-1"));
    // The nodes of tests do not say what a container has, and the API server takes that for a node without resizes.
    let mut statuses = harness.host.get(&twin).await?.context("the copy")?["status"]["containerStatuses"].take();
    for status in statuses.as_array_mut().into_iter().flatten() {
        status["resources"] = json!({});
    }
    harness.host.patch(&format!("{twin}/status"), json!({"status": {"containerStatuses": statuses}})).await?;
    let tells = |pod: &Value| pod["status"]["containerStatuses"][0]["resources"].is_object();
    harness.virt.until(&format!("{pods}/whole"), "told", tells).await?;
    harness.virt.patch(&format!("{pods}/whole/resize"), json!({"spec": resources("200m")})).await?;
    harness.host.until(&twin, "resized", |pod| pod["spec"]["resources"]["requests"]["cpu"] == "200m").await?;
    Ok(())
}

/// The Nodes that are shown inside, once there are `count`.
async fn shown(virt: &Cluster, count: usize) -> Result<Vec<String>> {
    let nodes = virt.until_list(NODES, "shown", |nodes| nodes.len() >= count).await?;
    Ok(nodes.iter().map(|node| name(node).to_owned()).collect())
}

async fn lands(virt: &Cluster, name: &str, spec: &Value) -> Result<String> {
    virt.create(PODS, pod(name, spec)).await?;
    let pod = virt.until(&format!("{PODS}/{name}"), "running", |pod| phase(pod) == "Running").await?;
    Ok(pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned())
}

/// A DaemonSet runs on every node that is shown, and ends with the node.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_the_configuration_names_are_shown_without_pods() -> Result<()> {
    let settings = "nodes: { always: { labels: { pool: tenants }, limit: 2 } }\n".to_owned();
    let options = Options { node_access: true, nodes: 3, syncer_settings: settings, ..in_folder("nodes-always") };
    let own = Separate::start(options).await?;
    let virt = &own.virt;
    new_namespace(virt, "shop").await?;
    assert_eq!(virt.list(NODES).await?, Vec::<Value>::new());
    let pool = |name: Value| json!({"metadata": {"labels": {"pool": name}}});
    for node in ["node-2", "node-3"] {
        own.host.patch(&format!("{NODES}/{node}"), pool(json!("tenants"))).await?;
    }
    assert_eq!(shown(virt, 2).await?, ["node-2", "node-3"]);
    let each = pod("each", &json!({}));
    let set = json!({"metadata": {"name": "each"}, "spec": {
        "selector": {"matchLabels": {"app": "each"}}, "template": {"metadata": each["metadata"], "spec": each["spec"]},
    }});
    virt.create("/apis/apps/v1/namespaces/shop/daemonsets", set).await?;
    let is_everywhere = |set: &Value| set["status"]["numberReady"] == 2;
    virt.until("/apis/apps/v1/namespaces/shop/daemonsets/each", "everywhere", is_everywhere).await?;

    // The first nodes by name are shown.
    own.host.patch(&format!("{NODES}/node-1"), pool(json!("tenants"))).await?;
    virt.until(&format!("{NODES}/node-1"), "shown", Value::is_object).await?;
    virt.until_gone(&format!("{NODES}/node-3")).await?;
    own.host.patch(&format!("{NODES}/node-2"), pool(Value::Null)).await?;
    virt.until_gone(&format!("{NODES}/node-2")).await?;
    passed(own.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tenant_scheduling_cordons_labels_and_taints_count_for_the_pods_of_the_tenant() -> Result<()> {
    let options = Options {
        node_access: true,
        taint_eviction: true,
        syncer_settings: "nodes: { tenantScheduling: true }\n".to_owned(),
        ..in_folder("nodes")
    };
    let own = Separate::start(options).await?;
    let virt = &own.virt;
    new_namespace(virt, "shop").await?;
    // Pods of one app on every node show all nodes.
    let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "each"}}});
    let apart = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    for index in 0..2 {
        let mut each = pod(&format!("each-{index}"), &json!({"affinity": apart}));
        each["metadata"]["labels"]["app"] = json!("each");
        virt.create(PODS, each).await?;
    }
    let nodes = shown(virt, 2).await?;
    let (first, second) = (nodes[0].as_str(), nodes[1].as_str());
    let at = |node: &str| format!("{NODES}/{node}");
    let cordon = |on: bool| json!({"spec": {"unschedulable": on}});

    virt.patch(&at(first), cordon(true)).await?;
    for index in 0..3 {
        assert_eq!(lands(virt, &format!("away-{index}"), &json!({})).await?, second);
    }
    // A pod that finds no place runs as soon as there is one.
    virt.patch(&at(second), cordon(true)).await?;
    virt.create(PODS, pod("patient", &json!({}))).await?;
    let is_pending = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|condition| condition["reason"] == "Unschedulable")
    };
    let patient = virt.until(&format!("{PODS}/patient"), "unschedulable", is_pending).await?;
    assert_eq!(patient["spec"]["nodeName"], Value::Null);
    virt.patch(&at(first), cordon(false)).await?;
    let ran = virt.until(&format!("{PODS}/patient"), "running", |pod| phase(pod) == "Running").await?;
    assert_eq!((&ran["spec"]["nodeName"], &ran["metadata"]["uid"]), (&json!(first), &patient["metadata"]["uid"]));
    virt.patch(&at(second), cordon(false)).await?;

    // Labels of the tenant select nodes; those of the host stay as they are.
    virt.patch(&at(second), json!({"metadata": {"labels": {"team": "red"}}})).await?;
    for index in 0..2 {
        let selected = lands(virt, &format!("red-{index}"), &json!({"nodeSelector": {"team": "red"}})).await?;
        assert_eq!(selected, second);
    }
    let forged = refusal(virt, &at(first), &json!({"metadata": {"labels": {"kubernetes.io/os": "plan9"}}})).await?;
    assert!(forged.contains("a label of the host stays as it is"), "{forged}");

    // A NoExecute taint evicts pods that do not tolerate it.
    let tolerant = json!({"nodeName": second, "tolerations": [{"key": "team", "operator": "Exists"}]});
    lands(virt, "tolerant", &tolerant).await?;
    let taint = json!({"spec": {"taints": [{"key": "team", "value": "red", "effect": "NoExecute"}]}});
    virt.patch(&at(second), taint).await?;
    virt.until_gone(&format!("{PODS}/red-0")).await?;
    own.host.until_gone(&own.on_host("pods/red-0-x-shop-x-vc-1")).await?;
    assert_eq!(lands(virt, "late", &json!({})).await?, first);
    assert!(virt.get(&format!("{PODS}/tolerant")).await?.is_some());
    let kept = virt.get(&at(second)).await?.context("the node")?;
    let mut taints = kept["spec"]["taints"].as_array().into_iter().flatten();
    assert!(taints.any(|taint| taint["key"] == "team"), "{kept:#}");
    passed(own.playground).await
}

//! Others that write on the host: to a pod of ours, and under a name that a copy would have.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::cluster::phase;
use crate::harness::{Harness, pod, until_told};

/// Time in which two writers of one condition would write hundreds of times.
const WHILE: Duration = Duration::from_secs(5);
/// A readiness gate of the tenant that a controller of the host knows, too.
const GATE: &str = "example.com/admitted";

fn condition(pod: &Value, name: &str) -> Value {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == name).cloned().unwrap_or_default()
}

fn set(status: &str, message: &str) -> Value {
    json!({"status": {"conditions": [{"type": GATE, "status": status, "reason": "Set", "message": message}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_that_name_conditions_of_the_host_cause_no_endless_writes() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let gates = [GATE, "PodScheduled", "ContainersReady", "Ready"].map(|name| json!({"conditionType": name}));
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    harness.virt.create(&pods, pod("gated", &json!({"readinessGates": gates}))).await?;
    let (virt, host) = (format!("{pods}/gated"), harness.on_host(&format!("pods/gated-x-{namespace}-x-vc-1")));
    harness.virt.until(&virt, "running", |pod| phase(pod) == "Running").await?;

    // The tenant's controller sets the condition, and then one of the host does.
    harness.virt.merge(&format!("{virt}/status"), set("True", "of the tenant")).await?;
    let crossed = |pod: &Value| condition(pod, GATE)["message"] == "of the tenant";
    harness.host.until(&host, "with the condition of the tenant", crossed).await?;
    harness.host.merge(&format!("{host}/status"), set("False", "of the host")).await?;
    harness.virt.merge(&format!("{virt}/status"), set("True", "again of the tenant")).await?;
    until_told(&harness.virt, &namespace, "SyncRefused", "gated", GATE).await?;
    sleep(Duration::from_secs(1)).await;

    let both = async || -> Result<[Value; 2]> {
        let inside = harness.virt.get(&virt).await?.context("the virtual pod")?;
        let outside = harness.host.get(&host).await?.context("the host pod")?;
        Ok([inside, outside])
    };
    let before = both().await?;
    sleep(WHILE).await;
    let after = both().await?;
    let version = |pod: &Value| pod["metadata"]["resourceVersion"].clone();
    assert_eq!(after.each_ref().map(version), before.each_ref().map(version), "{before:#?} {after:#?}");
    let messages = after.each_ref().map(|pod| condition(pod, GATE)["message"].clone());
    assert_eq!(messages, ["again of the tenant", "of the host"], "each keeps its own");
    let scheduled = after.each_ref().map(|pod| condition(pod, "PodScheduled")["status"].clone());
    assert_eq!(scheduled, ["True", "True"]);

    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 0})).await?;
    harness.host.until_gone(&host).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_that_comes_after_the_pod_under_the_name_of_a_copy_is_never_touched() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let volumes = json!([{"name": "v", "configMap": {"name": "later", "optional": true}}]);
    harness.virt.create(&pods, pod("early", &json!({"volumes": volumes}))).await?;
    let (virt, host) = (format!("{pods}/early"), harness.on_host(&format!("pods/early-x-{namespace}-x-vc-1")));
    harness.virt.until(&virt, "running", |pod| phase(pod) == "Running").await?;

    let map = |name: &str, of: &str| json!({"metadata": {"name": name}, "data": {"of": of}});
    let copy = format!("later-x-{namespace}-x-vc-1");
    let foreign = harness.host.create(&harness.on_host("configmaps"), map(&copy, "somebody else")).await?;
    let place = harness.on_host(&format!("configmaps/{copy}"));
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    let inside = format!("{maps}/later");
    harness.virt.create(&maps, map("later", "the tenant")).await?;
    until_told(&harness.virt, &namespace, "SyncBlocked", "later", "belongs to somebody else").await?;
    harness.virt.patch(&inside, json!({"data": {"of": "the tenant, later"}})).await?;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(harness.host.get(&place).await?.as_ref(), Some(&foreign));

    // It is not deleted with what the copy would belong to either.
    harness.virt.delete(&inside, json!({})).await?;
    harness.virt.until_gone(&inside).await?;
    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 0})).await?;
    harness.host.until_gone(&host).await?;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(harness.host.get(&place).await?.as_ref(), Some(&foreign));

    // When it goes, the copy of the next one takes its place.
    harness.host.delete(&place, json!({})).await?;
    harness.virt.create(&maps, map("later", "the tenant")).await?;
    harness.virt.create(&pods, pod("early", &json!({"volumes": volumes}))).await?;
    harness.host.until(&place, "the copy", |found| found["data"]["of"] == "the tenant").await?;
    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 0})).await?;
    harness.host.until_gone(&host).await
}

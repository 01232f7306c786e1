//! A drain of a host node respects the budgets of tenants.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::cluster::name;
use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_on_the_host_respects_the_budget_inside() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let labels = json!({"app": "guarded"});
    let deployment = json!({"metadata": {"name": "guarded"}, "spec": {
        "replicas": 3, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {
            "terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "i"}]}},
    }});
    harness.virt.create(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), deployment).await?;
    let budgets = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
    let budget = json!({"metadata": {"name": "guarded"}, "spec": {
        "minAvailable": "100%", "selector": {"matchLabels": labels}}});
    harness.virt.create(&budgets, budget).await?;
    let copy = format!(
        "/apis/policy/v1/namespaces/{}/poddisruptionbudgets/guarded-x-{namespace}-x-vc-1",
        harness.playground.namespace()
    );
    let counted = |healthy: i64| move |budget: &Value| budget["status"]["currentHealthy"] == healthy;
    let found = harness.host.until(&copy, "counted", counted(3)).await?;
    assert_eq!(found["spec"]["minAvailable"], 3, "the percentage was counted inside");

    let pods = harness.on_host(&format!("pods?labelSelector=tenet.sh/namespace={namespace}"));
    let pod = name(&harness.host.list(&pods).await?[0]).to_owned();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
    let evict = harness.on_host(&format!("pods/{pod}/eviction"));
    let refused = harness.host.create(&evict, eviction.clone()).await;
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("disruption budget")));

    harness.virt.patch(&format!("{budgets}/guarded"), json!({"spec": {"minAvailable": 1}})).await?;
    harness.host.until(&copy, "changed", |budget| budget["spec"]["minAvailable"] == 1).await?;
    for _ in 0..100 {
        // The disruption controller of the host counts anew.
        if harness.host.create(&evict, eviction.clone()).await.is_ok() {
            return harness.host.until_gone(&harness.on_host(&format!("pods/{pod}"))).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("the eviction is not permitted")
}

//! Events of the host about a copy appear on the virtual object, in the names of the tenant.

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::{self, Harness};

/// Returns the events about a pod with this reason.
fn about<'e>(events: &'e [Value], pod: &str, reason: &str) -> Vec<&'e Value> {
    let is_meant = |event: &&Value| event["involvedObject"]["name"] == pod && event["reason"] == reason;
    events.iter().filter(is_meant).collect()
}

async fn until_told(harness: &Harness, namespace: &str, pod: &Value, reason: &str) -> Result<Value> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let event = harness::until_told(&harness.virt, namespace, reason, name, "").await?;
    assert_eq!(event["involvedObject"]["uid"], pod["metadata"]["uid"]);
    let text = event.to_string();
    assert!(!text.contains("-x-") && !text.contains(harness.playground.namespace()), "{text}");
    Ok(event)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_the_host_cannot_place_says_why() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let containers = json!([{"name": "main", "image": "busybox:1.36", "command": ["sleep", "3600"]}]);
    let spec = json!({"nodeSelector": {"host-events/nowhere": "true"}, "containers": containers});
    let lost = harness.virt.create(&pods, json!({"metadata": {"name": "lost"}, "spec": spec})).await?;
    let event = until_told(&harness, &namespace, &lost, "FailedScheduling").await?;
    assert_eq!(event["source"]["component"], "default-scheduler");
    assert!(event["message"].as_str().is_some_and(|message| message.contains("nodes are available")), "{event:#}");

    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": containers});
    let found = harness.virt.create(&pods, json!({"metadata": {"name": "found"}, "spec": spec})).await?;
    let event = until_told(&harness, &namespace, &found, "Scheduled").await?;
    let message = event["message"].as_str().unwrap_or_default();
    assert!(message.starts_with(&format!("Successfully assigned {namespace}/found to ")), "{message}");
    for pod in ["lost", "found"] {
        harness.virt.delete(&format!("{pods}/{pod}"), json!({})).await?;
    }
    Ok(())
}

/// The host's event names another pod than the copy, which has the same name.
#[tokio::test(flavor = "multi_thread")]
async fn events_about_foreign_pods_stay_outside_and_a_count_follows() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let spec = json!({"containers": [{"name": "main", "image": "busybox:1.36"}]});
    harness.virt.create(&pods, json!({"metadata": {"name": "web"}, "spec": spec})).await?;
    let on_host = format!("web-x-{namespace}-x-vc-1");
    let copy = harness.host.until(&harness.on_host(&format!("pods/{on_host}")), "there", Value::is_object).await?;
    let event = |name: &str, uid: &Value, reason: &str| {
        let outer = harness.playground.namespace();
        let subject = json!({"apiVersion": "v1", "kind": "Pod", "namespace": outer, "name": on_host, "uid": uid});
        let now = &copy["metadata"]["creationTimestamp"];
        json!({"metadata": {"name": name}, "involvedObject": subject, "reason": reason, "message": "m", "type": "Normal",
               "source": {"component": "test"}, "firstTimestamp": now, "lastTimestamp": now, "count": 1})
    };
    let events = harness.on_host("events");
    harness.host.create(&events, event(&format!("{on_host}.1"), &json!("another"), "Foreign")).await?;
    harness.host.create(&events, event(&format!("{on_host}.2"), &copy["metadata"]["uid"], "Ours")).await?;
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let shown = |events: &[Value]| !about(events, "web", "Ours").is_empty();
    let found = harness.virt.until_list(&path, "the one of ours", shown).await?;
    assert!(about(&found, "web", "Foreign").is_empty(), "{found:#?}");

    // A count that grows follows, at its pace.
    harness.host.patch(&format!("{events}/{on_host}.2"), json!({"count": 7})).await?;
    let counted = |events: &[Value]| about(events, "web", "Ours").iter().any(|event| event["count"] == 7);
    let found = harness.virt.until_list(&path, "the count", counted).await?;
    assert_eq!(about(&found, "web", "Ours").len(), 1, "{found:#?}");
    harness.virt.delete(&format!("{pods}/web"), json!({})).await
}

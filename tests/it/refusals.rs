//! Refusals: the tenant sees the reason on the object, and foreign host objects stay untouched.

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::Harness;

async fn told(harness: &Harness, namespace: &str, reason: &str) -> Result<Vec<String>> {
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let of_reason = |events: &[Value]| {
        let matching = events.iter().filter(|event| event["reason"] == reason);
        matching.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let events = harness.virt.until_list(&path, reason, |events| !of_reason(events).is_empty()).await?;
    Ok(of_reason(&events))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pod_says_which_field_and_does_not_stop_others() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let refused = json!({"metadata": {"name": "bad"}, "spec": {
        "hostNetwork": true,
        "containers": [{"name": "c", "image": "i", "securityContext": {"privileged": true}}],
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
    }});
    harness.virt.create(&pods, refused).await?;
    let good = json!({"metadata": {"name": "good"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    harness.virt.create(&pods, good).await?;
    let message = told(&harness, &namespace, "SyncRefused").await?.join("\n");
    for field in ["spec.hostNetwork", "spec.containers[0].securityContext.privileged", "spec.volumes[0].hostPath"] {
        assert!(message.contains(field), "{field} is not named in: {message}");
    }
    let good = format!("{pods}/good");
    harness.virt.until(&good, "running", |pod| pod["status"]["phase"] == "Running").await?;
    let bad = harness.on_host(&format!("pods/bad-x-{namespace}-x-vc-1"));
    assert_eq!(harness.host.get(&bad).await?, None);
    harness.virt.delete(&format!("{pods}/bad"), json!({})).await?;
    harness.virt.until_gone(&format!("{pods}/bad")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_under_our_name_is_not_touched() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let taken = format!("taken-x-{namespace}-x-vc-1");
    let foreign = json!({"metadata": {"name": taken}, "spec": {"containers": [{"name": "theirs", "image": "i"}]}});
    harness.host.create(&harness.on_host("pods"), foreign).await?;
    let place = harness.on_host(&format!("pods/{taken}"));
    let before = harness.host.until(&place, "running", |pod| pod["status"]["phase"] == "Running").await?;
    let ours = json!({"metadata": {"name": "taken"}, "spec": {"containers": [{"name": "ours", "image": "i"}]}});
    harness.virt.create(&pods, ours).await?;
    told(&harness, &namespace, "SyncBlocked").await?;
    harness.virt.delete(&format!("{pods}/taken"), json!({})).await?;
    harness.virt.until_gone(&format!("{pods}/taken")).await?;
    let after = harness.host.get(&place).await?.expect("the foreign pod");
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    harness.host.delete(&place, json!({"gracePeriodSeconds": 0})).await
}

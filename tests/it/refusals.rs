//! Refusals: the tenant sees the reason on the object, and foreign host objects stay untouched.

use anyhow::Result;
use serde_json::{Value, json};
use tenet_playground::Options;

use crate::harness::{Harness, Separate, configured, in_folder, new_namespace, passed, until_told};

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
    let event = until_told(&harness.virt, &namespace, "SyncRefused", "bad", "").await?;
    let message = event["message"].as_str().unwrap_or_default();
    for field in ["spec.hostNetwork", "spec.containers[0].securityContext.privileged", "spec.volumes[0].hostPath"] {
        assert!(message.contains(field), "{field} is not named in: {message}");
    }
    let says = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let scheduled: Vec<_> = conditions.filter(|condition| condition["type"] == "PodScheduled").collect();
        pod["status"]["reason"] == "SyncRefused"
            && matches!(scheduled[..], [one] if one["status"] == "False" && one["reason"] == "SyncRefused")
    };
    harness.virt.until(&format!("{pods}/bad"), "saying that it is refused", says).await?;
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
    let path = harness.on_host(&format!("pods/{taken}"));
    let before = harness.host.until(&path, "running", |pod| pod["status"]["phase"] == "Running").await?;
    let ours = json!({"metadata": {"name": "taken"}, "spec": {"containers": [{"name": "ours", "image": "i"}]}});
    harness.virt.create(&pods, ours).await?;
    until_told(&harness.virt, &namespace, "SyncBlocked", "taken", "").await?;
    let says = |pod: &Value| pod["status"]["reason"] == "SyncRefused";
    harness.virt.until(&format!("{pods}/taken"), "saying that it is blocked", says).await?;
    harness.virt.delete(&format!("{pods}/taken"), json!({})).await?;
    harness.virt.until_gone(&format!("{pods}/taken")).await?;
    let after = harness.host.get(&path).await?.expect("the foreign pod");
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    harness.host.delete(&path, json!({"gracePeriodSeconds": 0})).await
}

/// With the webhook, the change would not be stored: without it, it is stored and refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_the_copy_as_it_was_last_accepted() -> Result<()> {
    let settings = "webhook: { enabled: false }\n".to_owned();
    let own = Separate::start(Options { syncer_settings: settings, ..in_folder("refusals") }).await?;
    let Separate { playground, host, virt } = &own;
    new_namespace(virt, "shop").await?;
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    virt.create("/api/v1/namespaces/shop/services", service).await?;
    let inside = "/api/v1/namespaces/shop/services/web";
    let outside = own.on_host("services/web-x-shop-x-vc-1");
    let copy = host.until(&outside, "there", Value::is_object).await?;
    let same_address = |service: &Value| service["spec"]["clusterIP"] == copy["spec"]["clusterIP"];
    virt.until(inside, "at the address of the host", same_address).await?;

    let synced = |service: &Value| {
        let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == "tenet.sh/Synced")
    };
    let ports = json!([{"port": 80, "name": "http"}, {"port": 81, "name": "more"}]);
    virt.patch(inside, json!({"spec": {"externalIPs": ["192.0.2.1"], "ports": ports}})).await?;
    let marked = virt.until(inside, "marked", |service| synced(service).is_some()).await?;
    let condition = synced(&marked).unwrap_or_default();
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("SyncRefused")));
    let message = condition["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("the object on the host stays as it was last accepted: spec.externalIPs"), "{message}");
    let events = virt.list("/api/v1/namespaces/shop/events").await?;
    assert!(events.iter().any(|event| event["reason"] == "SyncRefused" && event["message"] == message), "{events:#?}");

    // The host's own status does not push the condition aside, nothing is written again and again,
    // and the restart of the syncer says nothing new.
    playground.start_syncer(&configured(playground)).await?;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let later = virt.get(inside).await?.unwrap_or_default();
    assert_eq!(later["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"]);
    assert_eq!(virt.list("/api/v1/namespaces/shop/events").await?.len(), events.len());
    let kept = host.get(&outside).await?.unwrap_or_default();
    assert_eq!(kept["spec"], copy["spec"]);
    assert_eq!(kept["status"], copy["status"], "the condition stays inside");

    virt.patch(inside, json!({"spec": {"externalIPs": null}})).await?;
    let follows = |service: &Value| service["spec"]["ports"].as_array().is_some_and(|ports| ports.len() == 2);
    host.until(&outside, "following again", follows).await?;
    virt.until(inside, "unmarked", |service| synced(service).is_none()).await?;
    passed(own.playground).await
}

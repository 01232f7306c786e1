//! Services have one address on both sides.

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::Harness;

fn service(name: &str, address: Option<&str>) -> Value {
    let mut service = json!({"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}});
    if let Some(address) = address {
        service["spec"]["clusterIP"] = json!(address);
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_on_the_host_is_replaced_without_losing_the_service() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let services = format!("/api/v1/namespaces/{namespace}/services");
    let address = "10.96.77.77";
    harness.host.create("/api/v1/namespaces/default/services", service("squatter", Some(address))).await?;
    let created = harness.virt.create(&services, service("web", Some(address))).await?;
    let place = format!("{services}/web");
    let moved = |service: &Value| {
        service["spec"]["type"] == "ClusterIP" && service["spec"]["clusterIP"].as_str().is_some_and(|ip| ip != address)
    };
    let after = harness.virt.until(&place, "at another address", moved).await?;
    assert_eq!(after["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(after["spec"]["selector"], created["spec"]["selector"]);
    assert_eq!(after["spec"]["ports"][0]["port"], 80);
    let host = harness.on_host(&format!("services/web-x-{namespace}-x-vc-1"));
    let twin = harness.host.get(&host).await?.expect("the twin");
    assert_eq!(twin["spec"]["clusterIP"], after["spec"]["clusterIP"]);
    harness.virt.delete(&place, json!({})).await?;
    harness.host.until_gone(&host).await?;
    harness.host.delete("/api/v1/namespaces/default/services/squatter", json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubernetes_service_leads_to_the_virtual_api_server() -> Result<()> {
    let harness = Harness::shared().await?;
    let front = harness.host.get(&harness.on_host("services/vc-1")).await?.expect("the front door");
    let address = front["spec"]["clusterIP"].clone();
    let kubernetes = "/api/v1/namespaces/default/services/kubernetes";
    let same = |service: &Value| service["spec"]["clusterIP"] == address && service["spec"]["type"] == "ClusterIP";
    harness.virt.until(kubernetes, "at the address of the front door", same).await?;
    let endpoints = "/api/v1/namespaces/default/endpoints/kubernetes";
    let filled = |endpoints: &Value| endpoints["subsets"][0]["addresses"][0]["ip"].is_string();
    harness.virt.until(endpoints, "filled", filled).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn headless_and_node_port_services_are_the_same_on_both_sides() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let services = format!("/api/v1/namespaces/{namespace}/services");
    harness.virt.create(&services, service("headless", Some("None"))).await?;
    let mut public = service("public", None);
    public["spec"]["type"] = json!("NodePort");
    let public = harness.virt.create(&services, public).await?;
    let host = |name: &str| harness.on_host(&format!("services/{name}-x-{namespace}-x-vc-1"));
    let headless = harness.host.until(&host("headless"), "there", Value::is_object).await?;
    assert_eq!(headless["spec"]["clusterIP"], "None");
    let twin = harness.host.until(&host("public"), "there", Value::is_object).await?;
    assert_eq!(twin["spec"]["clusterIP"], public["spec"]["clusterIP"]);
    let node_port = twin["spec"]["ports"][0]["nodePort"].clone();
    let same = |service: &Value| service["spec"]["ports"][0]["nodePort"] == node_port;
    harness.virt.until(&format!("{services}/public"), "on the same node port", same).await?;
    for name in ["headless", "public"] {
        harness.virt.delete(&format!("{services}/{name}"), json!({})).await?;
        harness.host.until_gone(&host(name)).await?;
    }
    Ok(())
}

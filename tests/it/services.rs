//! Services have the same address on both sides.

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
    let shown = public["spec"]["ports"][0]["nodePort"].clone();
    let host = |name: &str| harness.on_host(&format!("services/{name}-x-{namespace}-x-vc-1"));
    let headless = harness.host.until(&host("headless"), "there", Value::is_object).await?;
    assert_eq!(headless["spec"]["clusterIP"], "None");
    let twin = harness.host.until(&host("public"), "there", Value::is_object).await?;
    assert_eq!(twin["spec"]["clusterIP"], public["spec"]["clusterIP"]);
    let node_port = twin["spec"]["ports"][0]["nodePort"].clone();
    assert_eq!(shown, node_port, "from the beginning");
    for name in ["headless", "public"] {
        harness.virt.delete(&format!("{services}/{name}"), json!({})).await?;
        harness.host.until_gone(&host(name)).await?;
    }
    Ok(())
}

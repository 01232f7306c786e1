//! Denials of the webhook: their messages show nothing of the host.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_cannot_give_is_denied_with_its_field_and_without_names_of_the_host() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let services = format!("/api/v1/namespaces/{namespace}/services");
    let squatters = "/api/v1/namespaces/default/services";
    let squatter = json!({"metadata": {"name": "squatter"}, "spec": {
        "type": "NodePort", "clusterIP": "10.96.77.78", "ports": [{"port": 80, "nodePort": 30777}]}});
    harness.host.create(squatters, squatter).await?;
    let foreign =
        json!({"metadata": {"name": format!("foreign-x-{namespace}-x-vc-1")}, "spec": {"ports": [{"port": 80}]}});
    harness.host.create(&harness.on_host("services"), foreign).await?;
    let ports = json!([{"port": 80}]);
    for (name, spec, message) in [
        (
            "taken",
            json!({"clusterIP": "10.96.77.78", "ports": ports}),
            "spec.clusterIP: 10.96.77.78 is taken on the host",
        ),
        (
            "outside",
            json!({"clusterIP": "10.97.0.7", "ports": ports}),
            "spec.clusterIP: 10.97.0.7 is outside of the service ranges of this cluster, 10.96.0.0/16",
        ),
        (
            "port",
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30777}]}),
            "spec.ports: the node port 30777 is taken on the host",
        ),
        ("foreign", json!({"ports": ports}), "metadata.name: something else on the host has the place"),
        ("external", json!({"ports": ports, "externalIPs": ["192.0.2.1"]}), "spec.externalIPs: takes traffic"),
    ] {
        let service = json!({"metadata": {"name": name}, "spec": spec});
        let denied = harness.virt.create(&services, service).await.err().context(name)?;
        let text = format!("{denied:#}");
        ensure!(text.contains(message), "{name}: {text}");
        ensure!(!text.contains("-x-") && !text.contains(harness.playground.namespace()), "{name}: {text}");
        ensure!(harness.virt.get(&format!("{services}/{name}")).await?.is_none(), "{name} is there after all");
        let left = harness.host.get(&harness.on_host(&format!("services/{name}-x-{namespace}-x-vc-1"))).await?;
        ensure!(left.is_some() == (name == "foreign"), "{name}: {left:?}");
    }
    harness.host.delete(&format!("{squatters}/squatter"), json!({})).await?;
    harness.host.delete(&harness.on_host(&format!("services/foreign-x-{namespace}-x-vc-1")), json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_predecessor_is_held_on_the_host_is_denied_until_it_is_free() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let services = format!("/api/v1/namespaces/{namespace}/services");
    let service = json!({"metadata": {"name": "held"}, "spec": {"ports": [{"port": 80}]}});
    let first = harness.virt.create(&services, service.clone()).await?;
    let path = harness.on_host(&format!("services/held-x-{namespace}-x-vc-1"));
    let adopted = |twin: &Value| twin["metadata"]["annotations"]["tenet.sh/uid"] == first["metadata"]["uid"];
    harness.host.until(&path, "adopted", adopted).await?;
    let again = harness.virt.create(&services, service.clone()).await.err().context("it exists already")?;
    ensure!(format!("{again:#}").contains("AlreadyExists"), "{again:#}");
    harness.host.patch(&path, json!({"metadata": {"finalizers": ["test.tenet.sh/held"]}})).await?;
    harness.virt.delete(&format!("{services}/held"), json!({})).await?;
    let denied = harness.virt.create(&services, service.clone()).await.err().context("it is held")?;
    ensure!(format!("{denied:#}").contains("is still being removed on the host; try again"), "{denied:#}");
    harness.host.patch(&path, json!({"metadata": {"finalizers": null}})).await?;
    let second = harness.virt.create(&services, service).await?;
    let twin = harness.host.get(&path).await?.context("the twin")?;
    ensure!(second["spec"]["clusterIP"] == twin["spec"]["clusterIP"]);
    Ok(())
}

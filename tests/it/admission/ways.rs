//! Every way to create a Service, with many clients at once.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::witness::Witness;
use crate::cluster::{Cluster, name};
use crate::harness::Harness;

const CLIENTS: usize = 20;
/// Number of Services. The full run has 1,000: `TENET_SERVICES=1000`.
const SERVICES: usize = 240;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_creates_a_service_and_however_its_addresses_are_those_of_the_host_at_once() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let witness = Witness::start(&harness.virt, &namespace).await?;
    let count = std::env::var("TENET_SERVICES").ok().and_then(|count| count.parse().ok()).unwrap_or(SERVICES);
    let clients = (0..CLIENTS).map(|client| {
        let maker = Maker { virt: harness.virt.clone(), path: format!("/api/v1/namespaces/{namespace}/services") };
        let numbers: Vec<_> = (client..count).step_by(CLIENTS).collect();
        tokio::spawn(async move { maker.make_all(numbers).await })
    });
    for made in try_join_all(clients).await? {
        made?;
    }
    let virt = harness.virt.list(&format!("/api/v1/namespaces/{namespace}/services")).await?;
    ensure!(virt.len() == count, "{} of {count} Services are there", virt.len());
    let suffix = format!("-x-{namespace}-x-vc-1");
    let ours =
        |all: &[Value]| all.iter().filter(|service| name(service).ends_with(&suffix)).cloned().collect::<Vec<_>>();
    let is_settled = |all: &[Value]| {
        let ours = ours(all);
        ours.len() == count
            && ours.iter().all(|service| service["metadata"]["annotations"]["tenet.sh/pending"].is_null())
    };
    let host = ours(&harness.host.until_list(&harness.on_host("services"), "settled", is_settled).await?);
    for service in &virt {
        let host_name = format!("{}{suffix}", name(service));
        let twin = host.iter().find(|twin| name(twin) == host_name).with_context(|| host_name.clone())?;
        for field in ["type", "clusterIP", "clusterIPs", "ipFamilies", "healthCheckNodePort", "ports"] {
            ensure!(
                service["spec"][field] == twin["spec"][field],
                "{host_name}: {field} differs: {service:#} {twin:#}"
            );
        }
    }
    ensure!(witness.count() >= count, "the witness has seen {} of {count}", witness.count());
    witness.check()?;
    harness.virt.delete(&format!("/api/v1/namespaces/{namespace}"), json!({})).await?;
    harness.host.until_list(&harness.on_host("services"), "without orphans", |all| ours(all).is_empty()).await?;
    Ok(())
}

/// Client that creates Services, each in a way that depends on its number.
struct Maker {
    virt: Cluster,
    path: String,
}

impl Maker {
    async fn make_all(&self, numbers: Vec<usize>) -> Result<()> {
        for number in numbers {
            self.make(number).await.with_context(|| format!("way {} of Service {number}", number % 12))?;
        }
        Ok(())
    }

    async fn make(&self, number: usize) -> Result<()> {
        let (virt, path, name) = (&self.virt, &self.path, format!("s-{number}"));
        let object_path = format!("{path}/{name}");
        match number % 12 {
            0 => virt.create(path, service(&name, &json!({}))).await.map(drop),
            1 => virt.apply(&object_path, service(&name, &json!({}))).await.map(drop),
            2 => {
                let mut unnamed = service("", &json!({}));
                unnamed["metadata"] = json!({"generateName": "generated-"});
                virt.create(path, unnamed).await.map(drop)
            }
            3 => virt.create(path, service(&name, &json!({"type": "NodePort"}))).await.map(drop),
            4 => {
                let local = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"});
                let made = virt.create(path, service(&name, &local)).await?;
                ensure!(made["spec"]["healthCheckNodePort"].is_u64(), "{made:#}");
                Ok(())
            }
            5 => virt.create(path, service(&name, &json!({"clusterIP": "None"}))).await.map(drop),
            6 => {
                let outside =
                    json!({"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": "a.b"}});
                virt.create(path, outside).await?;
                let change = json!({"spec": {"type": "ClusterIP", "externalName": null, "ports": [{"port": 80}]}});
                virt.patch(&object_path, change).await.map(drop)
            }
            7 => {
                virt.create(path, service(&name, &json!({}))).await?;
                virt.patch(&object_path, json!({"spec": {"type": "NodePort"}})).await.map(drop)
            }
            8 => {
                virt.create(path, service(&name, &json!({"type": "NodePort"}))).await?;
                let other =
                    json!({"type": "NodePort", "ports": [{"name": "b", "port": 81}, {"name": "a", "port": 80}]});
                virt.replace(&object_path, service(&name, &other)).await.map(drop)
            }
            // This is what `kubectl replace --force` does.
            9 => {
                virt.create(path, service(&name, &json!({}))).await?;
                virt.delete(&object_path, json!({})).await?;
                virt.create(path, service(&name, &json!({}))).await.map(drop)
            }
            10 => {
                let tried = virt.create(&format!("{path}?dryRun=All"), service(&name, &json!({}))).await?;
                ensure!(tried["metadata"]["name"] == name.as_str());
                virt.create(path, service(&name, &json!({}))).await.map(drop)
            }
            // Two concurrent creates, of which one has to fail.
            _ => {
                let twin = || virt.create(path, service(&name, &json!({})));
                let (one, two) = tokio::join!(twin(), twin());
                ensure!(one.is_ok() != two.is_ok(), "one of two has to lose: {one:?} {two:?}");
                Ok(())
            }
        }
    }
}

fn service(name: &str, spec: &Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        service["spec"][field] = value.clone();
    }
    service
}

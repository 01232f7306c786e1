//! Two virtual clusters whose objects have equal names share a host namespace. Neither touches a copy of the other.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tenet_mapper::Kind;
use tenet_mapper::kinds::{CONFIG_MAP, ENDPOINT_SLICE, PERSISTENT_VOLUME_CLAIM, POD, SECRET, SERVICE};
use tenet_playground::Options;

use crate::cluster::{Cluster, name, phase};
use crate::harness::{Separate, configured, in_folder, new_namespace, passed, pod};

const SETTINGS: &str = "kinds: { enable: [network-policy, ingress, ingress-class] }
ingresses: { hosts: [\"*.shop.example\"] }
";

const INGRESS: Kind = Kind::of("networking.k8s.io", "v1", "Ingress", "ingresses");
const NETWORK_POLICY: Kind = Kind::of("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
const BUDGET: Kind = Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");

/// Kinds that cross.
const KINDS: [Kind; 9] =
    [CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, POD, SECRET, SERVICE, ENDPOINT_SLICE, INGRESS, NETWORK_POLICY, BUDGET];

/// Returns an object of each kind. Its content tells the virtual cluster.
fn objects(cluster: &str) -> [(Kind, Value); 9] {
    let named = json!({"name": "web"});
    let volumes = json!([
        {"name": "settings", "configMap": {"name": "web"}}, {"name": "key", "secret": {"secretName": "web"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "web"}},
    ]);
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let slice = json!({
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "outside"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.9"]}], "ports": [{"port": 5432}],
    });
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    let host = format!("{cluster}.shop.example");
    let policy = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]});
    let budget = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    [
        (CONFIG_MAP, json!({"metadata": named, "data": {"of": cluster}})),
        (SECRET, json!({"metadata": named, "stringData": {"of": cluster}})),
        (PERSISTENT_VOLUME_CLAIM, json!({"metadata": named, "spec": claim})),
        (SERVICE, json!({"metadata": named, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})),
        (ENDPOINT_SLICE, slice),
        (INGRESS, json!({"metadata": named, "spec": {"rules": [{"host": host, "http": {"paths": paths}}]}})),
        (NETWORK_POLICY, json!({"metadata": named, "spec": policy})),
        (BUDGET, json!({"metadata": named, "spec": budget})),
        (POD, pod("web", &json!({"volumes": volumes}))),
    ]
}

/// Fills a virtual cluster with objects, and waits until its pod runs.
async fn fill(own: &Separate, host: &Cluster, namespace: &str, cluster: &str) -> Result<()> {
    new_namespace(&own.virt, "shop").await?;
    let outside = json!({"metadata": {"name": "outside"}, "spec": {"ports": [{"port": 5432}]}});
    own.virt.create("/api/v1/namespaces/shop/services", outside).await?;
    for (kind, object) in objects(cluster) {
        own.virt.create(&kind.path("shop"), object).await.context(kind.plural)?;
    }
    let copy = format!("web-x-shop-x-{cluster}");
    let volume = json!({"metadata": {"name": format!("pv-{cluster}")}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": "/tmp/tenet-neighbours"}, "claimRef": {"namespace": namespace, "name": copy},
    }});
    host.create("/api/v1/persistentvolumes", volume).await?;
    own.virt.until("/api/v1/namespaces/shop/pods/web", "running", |pod| phase(pod) == "Running").await.map(drop)
}

/// Returns the content of each copy of a virtual cluster with its UID, by collection and name.
async fn copies(host: &Cluster, namespace: &str, cluster: &str) -> Result<BTreeMap<(&'static str, String), Value>> {
    let selector = format!("labelSelector=tenet.sh/managed-by={cluster},tenet.sh/namespace=shop");
    let lists = KINDS.map(async |kind| {
        let found = host.list(&format!("{}?{selector}", kind.path(namespace))).await?;
        anyhow::Ok(found.into_iter().map(move |object| (kind.plural, object)))
    });
    let found = try_join_all(lists).await?.into_iter().flatten().map(|(kind, object)| {
        let (uid, deleted) = (&object["metadata"]["uid"], &object["metadata"]["deletionTimestamp"]);
        let content = json!([uid, deleted, object["spec"], object["data"], object["endpoints"]]);
        ((kind, name(&object).to_owned()), content)
    });
    Ok(found.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_clusters_with_equal_names_in_one_host_namespace_leave_each_other_alone() -> Result<()> {
    let options = |name: &str| Options {
        name: name.to_owned(),
        node_access: true,
        syncer_settings: SETTINGS.to_owned(),
        ..in_folder(&format!("neighbours-{name}"))
    };
    let (first, second) = tokio::try_join!(Separate::start(options("vc-1")), Separate::new(options("vc-2")))?;
    let (host, namespace) = (&first.host, first.playground.namespace());
    let api = json!({"metadata": {"name": "vc-2"}, "spec": {"ports": [{"name": "https", "port": 443}]}});
    host.create(&first.on_host("services"), api).await?;
    let command = configured(&second.playground)
        .arg("--host-kubeconfig")
        .arg(first.playground.syncer_host_kubeconfig())
        .arg("--host-namespace")
        .arg(namespace);
    first.playground.give_declared_rights(&command).await?;
    second.playground.launch_syncer(&command)?;
    second.playground.until_syncer_is_ready(std::time::Duration::from_secs(60)).await?;
    tokio::try_join!(fill(&first, host, namespace, "vc-1"), fill(&second, host, namespace, "vc-2"))?;

    for (own, cluster) in [(&first, "vc-1"), (&second, "vc-2")] {
        for (kind, _) in objects(cluster) {
            let copy = format!("{}/web-x-shop-x-{cluster}", kind.path(namespace));
            host.until(&copy, "there", Value::is_object).await?;
        }
        let map = host.get(&format!("{}/web-x-shop-x-{cluster}", CONFIG_MAP.path(namespace))).await?;
        assert_eq!(map.context("the copy")?["data"]["of"], cluster);
        let volume = format!("/api/v1/persistentvolumes/pv-{cluster}");
        own.virt.until(&volume, "shown", |volume| phase(volume) == "Bound").await?;
        let nodes = own.virt.list("/api/v1/nodes").await?;
        ensure!(!nodes.is_empty(), "{cluster} shows no node");
    }
    let before = copies(host, namespace, "vc-1").await?;
    second.virt.delete("/api/v1/namespaces/shop", json!({})).await?;
    second.virt.until_gone("/api/v1/namespaces/shop").await?;
    second.virt.until_gone("/api/v1/persistentvolumes/pv-vc-2").await?;
    for kind in KINDS {
        host.until_gone(&format!("{}/web-x-shop-x-vc-2", kind.path(namespace))).await.context(kind.plural)?;
    }
    assert_eq!(copies(host, namespace, "vc-1").await?, before);
    for kind in KINDS {
        let original = first.virt.get(&format!("{}/web", kind.path("shop"))).await?.context(kind.plural)?;
        assert_eq!(original["metadata"]["deletionTimestamp"], Value::Null, "{}", kind.plural);
    }
    ensure!(first.virt.get("/api/v1/persistentvolumes/pv-vc-1").await?.is_some(), "the picture of the volume is gone");
    passed(second.playground).await?;
    passed(first.playground).await
}

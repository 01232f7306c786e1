//! `VolumeSnapshot`s, on the definitions of external-snapshotter. No driver runs in a playground, so the test takes the
//! snapshots of the host.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::Options;
use tokio::time::{Duration, Instant, sleep};

use super::claim_spec;
use crate::cluster::Cluster;
use crate::harness::{Separate, in_folder, new_namespace, passed, until_told};

const DEFINITIONS: &str = include_str!("snapshots.crd.yaml");
const GROUP: &str = "/apis/snapshot.storage.k8s.io/v1";

/// Installs the definitions, and waits until the API server serves them.
pub async fn install(cluster: &Cluster) -> Result<()> {
    for document in DEFINITIONS.split("\n---\n") {
        let definition: Value = serde_saphyr::from_str(document)?;
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let plural = definition["spec"]["names"]["plural"].as_str().context("no plural")?.to_owned();
        cluster.create(definitions, definition).await?;
        // For a moment the API server answers that its storage is being initialized.
        let end = Instant::now() + Duration::from_secs(60);
        while let Err(error) = cluster.list(&format!("{GROUP}/{plural}")).await {
            ensure!(Instant::now() < end, "{plural} are not served: {error:#}");
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_taken_on_the_host_and_restored() -> Result<()> {
    let settings = "kinds: { enable: [volume-snapshot, volume-snapshot-class] }\n".to_owned();
    let options = Options { node_access: true, syncer_settings: settings, ..in_folder("snapshots") };
    // The definitions come while the syncer runs.
    let own = Separate::start(options).await?;
    let Separate { host, virt, .. } = &own;
    tokio::try_join!(install(host), install(virt))?;
    new_namespace(virt, "shop").await?;

    let class = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "driver": "disk.example.com",
        "metadata": {"name": "standard", "annotations": {"snapshot.storage.kubernetes.io/is-default-class": "true"}},
        "deletionPolicy": "Delete", "parameters": {"csi.storage.k8s.io/snapshotter-secret-name": "credentials"},
    });
    host.create(&format!("{GROUP}/volumesnapshotclasses"), class).await?;
    let class = format!("{GROUP}/volumesnapshotclasses/standard");
    let shown = virt.until(&class, "shown", |class| class["driver"] == "disk.example.com").await?;
    assert_eq!(shown["parameters"], Value::Null);

    let claims = "/api/v1/namespaces/shop/persistentvolumeclaims";
    virt.create(claims, json!({"metadata": {"name": "data"}, "spec": claim_spec()})).await?;
    let snapshot = |name: &str, source: &Value| {
        json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": name}, "spec": {"source": source},
        })
    };
    let snapshots = format!("{GROUP}/namespaces/shop/volumesnapshots");
    virt.create(&snapshots, snapshot("nightly", &json!({"persistentVolumeClaimName": "data"}))).await?;
    let copy = format!("{GROUP}/namespaces/{}/volumesnapshots/nightly-x-shop-x-vc-1", own.playground.namespace());
    let taken = host.until(&copy, "there", Value::is_object).await?;
    assert_eq!(taken["spec"]["source"]["persistentVolumeClaimName"], "data-x-shop-x-vc-1");
    let status =
        json!({"status": {"readyToUse": true, "restoreSize": "1Gi", "boundVolumeSnapshotContentName": "content-1"}});
    host.patch(&format!("{copy}/status"), status).await?;
    let inside = format!("{snapshots}/nightly");
    virt.until(&inside, "ready", |snapshot| snapshot["status"]["readyToUse"] == true).await?;

    let mut restored = claim_spec();
    restored["dataSource"] =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "nightly"});
    virt.create(claims, json!({"metadata": {"name": "restored"}, "spec": restored})).await?;
    let claim =
        host.until(&own.on_host("persistentvolumeclaims/restored-x-shop-x-vc-1"), "there", Value::is_object).await?;
    assert_eq!(claim["spec"]["dataSource"]["name"], "nightly-x-shop-x-vc-1");

    virt.create(&snapshots, snapshot("stolen", &json!({"volumeSnapshotContentName": "content-of-another"}))).await?;
    until_told(virt, "shop", "SyncRefused", "stolen", "volumeSnapshotContentName").await?;

    virt.delete(&inside, json!({})).await?;
    virt.until_gone(&inside).await?;
    assert_eq!(host.get(&copy).await?, None);
    passed(own.playground).await
}

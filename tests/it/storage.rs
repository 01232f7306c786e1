//! Claims and their volumes. No provisioner runs in a playground, so the test makes the volumes of the host, and the
//! controller manager of the host binds them.

pub mod snapshots;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::Options;

use crate::cluster::{Cluster, phase};
use crate::harness::{Separate, in_folder, new_namespace, passed, until_told};
use crate::nodes::refusal;

const CLASS: &str = "tenet-standard";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const VOLUMES: &str = "/api/v1/persistentvolumes";

/// Makes a volume on the host for the copy of a claim.
async fn provision(harness: &Separate, namespace: &str, claim: &str) -> Result<String> {
    let volume = format!("pv-{claim}-{namespace}");
    let copy = format!("{claim}-x-{namespace}-x-vc-1");
    let spec = json!({
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": format!("/tmp/{volume}")},
        "claimRef": {"namespace": harness.playground.namespace(), "name": copy},
    });
    harness.host.create(VOLUMES, json!({"metadata": {"name": volume}, "spec": spec})).await?;
    Ok(volume)
}

fn claim_spec() -> Value {
    json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})
}

fn pod_spec(volumes: &Value) -> Value {
    let mounts = json!([{"name": "data", "mountPath": "/data"}]);
    let mut spec = json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "i", "volumeMounts": mounts}]});
    if !volumes.is_null() {
        spec["volumes"] = volumes.clone();
    }
    spec
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// A pod whose claim is refused says so itself.
async fn a_pod_says_that_it_waits(virt: &Cluster, namespace: &str, claim: &str) -> Result<()> {
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    virt.create(&pods, json!({"metadata": {"name": "waiting"}, "spec": pod_spec(&volumes)})).await?;
    let said = virt.until(&format!("{pods}/waiting"), "told", |pod| pod["status"]["reason"] == "SyncWaiting").await?;
    let scheduled = &said["status"]["conditions"][0];
    assert_eq!((&scheduled["type"], &scheduled["status"]), (&json!("PodScheduled"), &json!("False")));
    until_told(virt, namespace, "SyncWaiting", "waiting", &format!("the PersistentVolumeClaim {claim}")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_keep_their_data_and_say_what_the_host_says() -> Result<()> {
    // Classes are read with the rights to read nodes.
    let harness = Separate::start(Options { node_access: true, ..in_folder("storage") }).await?;
    let namespace = "storage";
    new_namespace(&harness.virt, namespace).await?;
    let at = |kind: &str| format!("/api/v1/namespaces/{namespace}/{kind}");
    let copy = |claim: &str| harness.on_host(&format!("persistentvolumeclaims/{claim}-x-{namespace}-x-vc-1"));
    let class = json!({
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner", "allowVolumeExpansion": true,
    });
    harness.host.create(CLASSES, class).await?;
    harness.virt.until(&format!("{CLASSES}/{CLASS}"), "shown", Value::is_object).await?;

    // A StatefulSet with a claim for each pod: 3, 0, 3.
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    let labels = json!({"app": "db"});
    let set = json!({"metadata": {"name": "db"}, "spec": {
        "replicas": 3, "serviceName": "db", "podManagementPolicy": "Parallel", "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec(&Value::Null)},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim_spec()}],
    }});
    harness.virt.create(&sets, set).await?;
    let mut uids = Vec::new();
    for index in 0..3 {
        let claim = format!("data-db-{index}");
        let volume = provision(&harness, namespace, &claim).await?;
        let inside = at(&format!("persistentvolumeclaims/{claim}"));
        let bound = harness.virt.until(&inside, "bound", |claim| phase(claim) == "Bound").await?;
        assert_eq!(bound["spec"]["volumeName"], volume);
        assert_eq!(bound["status"]["capacity"]["storage"], "1Gi");
        let shown = harness.virt.until(&format!("{VOLUMES}/{volume}"), "shown", |pv| phase(pv) == "Bound").await?;
        assert_eq!(shown["spec"]["claimRef"]["name"], claim.as_str());
        assert_eq!(shown["spec"]["claimRef"]["uid"], bound["metadata"]["uid"]);
        assert_eq!(shown["spec"]["persistentVolumeReclaimPolicy"], "Retain");
        assert!(shown["spec"]["hostPath"].is_null(), "{shown}");
        let change = json!({"spec": {"persistentVolumeReclaimPolicy": "Recycle"}});
        let refused = refusal(&harness.virt, &format!("{VOLUMES}/{volume}"), &change).await?;
        assert!(refused.contains("Ask the operator of the host, and keep the claim until then"), "{refused}");
        harness.virt.until(&at(&format!("pods/db-{index}")), "running", |pod| phase(pod) == "Running").await?;
        let twin = harness.host.get(&copy(&claim)).await?.context("the copy")?;
        assert!(twin["metadata"]["ownerReferences"].is_null(), "{twin}");
        uids.push(uid(&twin));
    }
    for replicas in [0, 3] {
        harness.virt.patch(&format!("{sets}/db"), json!({"spec": {"replicas": replicas}})).await?;
        for (index, before) in uids.iter().enumerate() {
            let pod = at(&format!("pods/db-{index}"));
            if replicas == 0 {
                harness.virt.until_gone(&pod).await?;
            } else {
                harness.virt.until(&pod, "running", |pod| phase(pod) == "Running").await?;
            }
            let twin = harness.host.get(&copy(&format!("data-db-{index}"))).await?.context("the copy")?;
            assert_eq!(&uid(&twin), before, "with {replicas} replicas");
        }
    }

    // An expansion follows.
    let more = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    harness.virt.patch(&at("persistentvolumeclaims/data-db-0"), more).await?;
    let is_larger = |claim: &Value| claim["spec"]["resources"]["requests"]["storage"] == "2Gi";
    harness.host.until(&copy("data-db-0"), "larger", is_larger).await?;

    // A claim that is deleted while a pod uses it waits on both sides.
    let used = at("persistentvolumeclaims/data-db-2");
    harness.virt.delete(&used, json!({})).await?;
    harness.virt.until(&used, "deleting", |claim| claim["metadata"]["deletionTimestamp"].is_string()).await?;
    let twin = harness.host.get(&copy("data-db-2")).await?.context("the copy")?;
    assert!(twin["metadata"]["deletionTimestamp"].is_null(), "{twin}");
    harness.virt.patch(&format!("{sets}/db"), json!({"spec": {"replicas": 2}})).await?;
    harness.virt.until_gone(&used).await?;
    harness.host.until_gone(&copy("data-db-2")).await?;
    harness.virt.until_gone(&format!("{VOLUMES}/pv-data-db-2-{namespace}")).await?;

    // A volume that is lost is not created again.
    harness.virt.patch(&format!("{sets}/db"), json!({"spec": {"replicas": 0}})).await?;
    harness.virt.until_gone(&at("pods/db-1")).await?;
    harness.host.delete(&copy("data-db-1"), json!({})).await?;
    let lost = at("persistentvolumeclaims/data-db-1");
    harness.virt.until(&lost, "lost", |claim| phase(claim) == "Lost").await?;
    until_told(&harness.virt, namespace, "SyncDegraded", "data-db-1", "").await?;
    assert_eq!(harness.host.get(&copy("data-db-1")).await?, None);
    harness.virt.delete(&lost, json!({})).await?;
    harness.virt.until_gone(&lost).await?;

    // The claim of an ephemeral volume comes and goes with its pod.
    let template = json!({"spec": claim_spec()});
    let volumes = json!([{"name": "data", "ephemeral": {"volumeClaimTemplate": template}}]);
    harness.virt.create(&at("pods"), json!({"metadata": {"name": "job"}, "spec": pod_spec(&volumes)})).await?;
    provision(&harness, namespace, "job-data").await?;
    harness.virt.until(&at("pods/job"), "running", |pod| phase(pod) == "Running").await?;
    let pod =
        harness.host.get(&harness.on_host(&format!("pods/job-x-{namespace}-x-vc-1"))).await?.context("the pod")?;
    let source = json!({"claimName": format!("job-data-x-{namespace}-x-vc-1")});
    assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"], source);
    harness.virt.delete(&at("pods/job"), json!({})).await?;
    harness.host.until_gone(&copy("job-data")).await?;

    // A class that the tenant may not use.
    let mut gold = claim_spec();
    gold["storageClassName"] = json!("gold");
    harness.virt.create(&at("persistentvolumeclaims"), json!({"metadata": {"name": "gold"}, "spec": gold})).await?;
    until_told(&harness.virt, namespace, "SyncRefused", "gold", "").await?;
    assert_eq!(harness.host.get(&copy("gold")).await?, None);
    a_pod_says_that_it_waits(&harness.virt, namespace, "gold").await?;
    harness.host.delete(&format!("{CLASSES}/{CLASS}"), json!({})).await?;
    harness.virt.until_gone(&format!("{CLASSES}/{CLASS}")).await?;
    passed(harness.playground).await
}

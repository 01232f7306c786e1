use serde_json::{Value, json};
use tenet_mapper::{Dependency, HostKey, Side, VirtualKey, kinds};

use super::lab::{Lab, NAME};
use crate::Pods;

const KIND: tenet_mapper::Kind = kinds::PERSISTENT_VOLUME_CLAIM;

/// A pod with this volume, in place of its first.
fn with_volume(volume: &Value) -> Lab {
    let mut lab = Lab::fresh();
    lab.edit("/spec/volumes", json!([volume]));
    lab.edit("/spec/containers/0/volumeMounts", json!([{"name": volume["name"], "mountPath": "/data"}]));
    lab
}

fn claim(lab: &Lab, name: &str, owner: Option<&str>) -> Value {
    let owner =
        owner.map(|uid| json!([{"apiVersion": "v1", "kind": "Pod", "name": NAME, "uid": uid, "controller": true}]));
    let made_for = owner.unwrap_or_else(|| json!([]));
    assert!(lab.virt().is_some());
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop", "uid": "c-1", "ownerReferences": made_for}})
}

fn copy(lab: &Lab, name: &str, uid: &str) -> Value {
    lab.clusters.look(|cx| {
        let original = json!({"metadata": {"name": name, "namespace": "shop", "uid": uid}});
        let original = tenet_mapper::Object::new(original);
        let host_key = cx.host_key(KIND, &VirtualKey::new("shop", name));
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": cx.bare_metadata(KIND, &original, &host_key)})
    })
}

/// The scheduler of a cluster says the same.
#[test]
fn a_pod_says_that_it_waits_for_the_end_of_a_claim() {
    let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}});
    let mut lab = with_volume(&volume);
    let mut original = claim(&lab, "data-db-0", None);
    original["metadata"]["deletionTimestamp"] = json!("2027-01-15T09:00:00Z");
    lab.clusters.put(Side::Virtual, original);
    let copied = copy(&lab, "data-db-0", "c-1");
    lab.clusters.put(Side::Host, copied);
    for effect in lab.effects() {
        lab.perform(effect);
    }
    assert_eq!(lab.written, ["SyncDegraded"]);
    assert_eq!(lab.events[0].message, "the PersistentVolumeClaim data-db-0 is being deleted");
    assert!(lab.host().is_none());
}

fn waits_for_copy(lab: &mut Lab, name: &str) {
    let outcome = lab.reconcile().unwrap();
    let wait = Dependency::host(KIND, &HostKey::new("team-a", format!("{name}-x-shop-x-vc-1").as_str()));
    assert!(outcome.wait.contains(&wait), "{:?}", outcome.wait);
    assert!(lab.host().is_none());
}

#[test]
fn a_pod_waits_until_the_copy_of_its_claim_is_on_the_host() {
    let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0", "readOnly": true}});
    let mut lab = with_volume(&volume);
    assert_eq!(lab.planned(), ["SyncDegraded"], "the claim does not exist");
    assert_eq!(lab.reconcile().unwrap().lasting, ["the PersistentVolumeClaim data-db-0 does not exist"]);
    let original = claim(&lab, "data-db-0", None);
    lab.clusters.put(Side::Virtual, original);
    assert_eq!(lab.planned(), [""; 0]);
    waits_for_copy(&mut lab, "data-db-0");
    let late = "the PersistentVolumeClaim data-db-0 is not on the host as it is inside; its events say why";
    assert_eq!(lab.reconcile().unwrap().lasting, [late], "a claim that is refused has no copy");
    let stale = copy(&lab, "data-db-0", "earlier");
    lab.clusters.put(Side::Host, stale);
    waits_for_copy(&mut lab, "data-db-0");
    let fresh = copy(&lab, "data-db-0", "c-1");
    lab.clusters.put(Side::Host, fresh);
    lab.converge();
    let source = json!({"claimName": "data-db-0-x-shop-x-vc-1", "readOnly": true});
    assert_eq!(lab.host().unwrap().at("/spec/volumes/0/persistentVolumeClaim"), Some(&source));
}

#[test]
fn an_ephemeral_volume_is_the_claim_that_was_made_for_the_pod() {
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let mut lab = with_volume(&json!({"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}));
    let name = format!("{NAME}-scratch");
    assert_eq!(lab.planned(), [""; 0], "the controller will make it");
    let another = claim(&lab, &name, Some("another-pod"));
    lab.clusters.put(Side::Virtual, another);
    assert_eq!(lab.planned(), ["SyncDegraded"]);
    let uid = lab.virt().unwrap().uid().to_owned();
    let original = claim(&lab, &name, Some(&uid));
    lab.clusters.put(Side::Virtual, original);
    let fresh = copy(&lab, &name, "c-1");
    lab.clusters.put(Side::Host, fresh);
    lab.converge();
    let volume = lab.host().unwrap().at("/spec/volumes/0").cloned().unwrap();
    let host_name = lab.clusters.look(|cx| cx.host_key(KIND, &VirtualKey::new("shop", name.as_str())));
    assert_eq!(volume, json!({"name": "scratch", "persistentVolumeClaim": {"claimName": host_name.name()}}));
}

#[test]
fn an_inline_volume_crosses_for_a_driver_that_the_configuration_names() {
    let volume = json!({"name": "keys", "csi": {
        "driver": "secrets-store.csi.k8s.io", "readOnly": true, "volumeAttributes": {"class": "shop"},
        "nodePublishSecretRef": {"name": "login"},
    }});
    let error = with_volume(&volume).reconcile().unwrap_err().to_string();
    assert!(
        error.contains("spec.volumes[0].csi: the driver secrets-store.csi.k8s.io is not among pods.csiDrivers"),
        "{error}"
    );

    let allowed = || {
        let pods = Pods { csi_drivers: vec!["secrets-store.csi.k8s.io".to_owned()], ..Pods::default() };
        with_volume(&volume).section(pods)
    };
    let mut lab = allowed();
    lab.converge();
    let mut expected = volume.clone();
    expected["csi"]["nodePublishSecretRef"]["name"] = json!("login-x-shop-x-vc-1");
    assert_eq!(lab.host().unwrap().at("/spec/volumes/0"), Some(&expected));

    let login = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": "shop"}});
    let mut waiting = allowed();
    waiting.clusters.put(Side::Virtual, login);
    let wait = Dependency::host(kinds::SECRET, &HostKey::new("team-a", "login-x-shop-x-vc-1"));
    assert!(waiting.reconcile().unwrap().wait.contains(&wait), "it waits for the copy of the Secret");
}

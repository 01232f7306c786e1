use serde_json::{Value, json};
use tenet_translate::keys::MANAGED_BY;

use super::*;
use crate::plan::{Proof, proof};
use crate::testing::{CLUSTER_ID, Clusters};
use crate::{Effect, kinds};

/// A host Secret whose record names this object.
fn secret(kind: Kind, uid: Option<&str>) -> Value {
    let record = OwnerRecord {
        cluster: CLUSTER_ID.to_owned(),
        kind: kind.group_kind(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        uid: uid.unwrap_or_default().to_owned(),
    };
    let mut annotations = record.annotations("team-a", "x");
    if uid.is_none() {
        annotations.insert("tenet.sh/pending".to_owned(), json!("1800000000"));
    }
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "namespace": "team-a", "name": "x", "uid": "h", "resourceVersion": "1",
            "labels": record.labels("vc-1"), "annotations": annotations,
        },
    })
}

fn virt(name: &str, uid: &str) -> Object {
    Object::new(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": "shop", "name": name, "uid": uid, "deletionTimestamp": "2027-01-15T09:00:00Z"},
    }))
}

fn facts() -> Facts {
    Clusters::default().look(|cx| cx.facts().clone())
}

/// Performs a deletion of the host Secret in the test kit, which proves as the gate does.
fn deleted(clusters: &mut Clusters, deletion: Deletion) -> Result<usize, MapError> {
    clusters.try_perform(&Effect::Delete(deletion))
}

#[test]
fn the_twin_of_a_host_object_is_the_one_that_its_record_names() {
    let host = Object::new(secret(kinds::POD, Some("u")));
    let of_pod = Deletion::orphan(kinds::SECRET, &host, kinds::POD);
    let twin = ObjectRef::new(Side::Virtual, kinds::POD, "shop", "web");
    let proof_of = |deletion: &Deletion| proof(&Effect::Delete(deletion.clone()), &host, &facts());
    assert_eq!(proof_of(&of_pod).unwrap(), Some(Proof::Absent { twin, uid: "u".to_owned() }));
    let of_secret = Deletion::orphan(kinds::SECRET, &host, kinds::SECRET);
    let error = proof_of(&of_secret).unwrap_err().to_string();
    assert!(error.contains("it belongs to Pod shop/web"), "{error}");
}

#[test]
fn a_live_token_secret_stays_whoever_asks() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, uid: u}}";
    let mut clusters = Clusters::default().with(Side::Virtual, pod);
    clusters.put(Side::Host, secret(kinds::POD, Some("u")));
    let host = Object::new(secret(kinds::POD, Some("u")));
    for original in [kinds::SECRET, kinds::POD] {
        let result = deleted(&mut clusters, Deletion::orphan(kinds::SECRET, &host, original));
        assert!(result.is_err(), "{original}: {result:?}");
    }
    let mut without = Clusters::default();
    without.put(Side::Host, secret(kinds::POD, Some("u")));
    assert_eq!(deleted(&mut without, Deletion::orphan(kinds::SECRET, &host, kinds::POD)).unwrap(), 1);
}

#[test]
fn only_the_twin_of_the_record_passes_its_delete_on() {
    let host = |kind, uid| Object::new(secret(kind, uid));
    for (host, twin, passes) in [
        (host(kinds::SECRET, Some("u")), virt("web", "u"), true),
        (host(kinds::SECRET, None), virt("web", "u"), true),
        (host(kinds::SECRET, Some("u")), virt("web", "u2"), false),
        (host(kinds::SECRET, Some("u")), virt("other", "u"), false),
        (host(kinds::POD, Some("u")), virt("web", "u"), false),
    ] {
        let mut clusters = Clusters::default();
        clusters.put(Side::Host, host.value().clone());
        let deletion = Deletion::follow(kinds::SECRET, &host, &twin).unwrap();
        assert_eq!(deleted(&mut clusters, deletion).is_ok(), passes, "{:?} {:?}", host.value(), twin.value());
    }
}

#[test]
fn a_virtual_object_follows_its_own_copy_alone() {
    let (pod, namespace) = (virt("web", "u"), "team-a");
    let copy = |name: &str, uid: &str| {
        Object::new(json!({"metadata": {
            "namespace": namespace, "name": name, "deletionTimestamp": "2027-01-15T09:00:00Z",
            "annotations": {"tenet.sh/uid": uid},
        }}))
    };
    assert!(Deletion::follow_host(kinds::SECRET, &pod, &copy("web-x-shop-x-vc-1", "other")).is_none());
    for (name, passes) in [("web-x-shop-x-vc-1", true), ("other-x-shop-x-vc-1", false)] {
        let mut clusters = Clusters::default();
        clusters.put(Side::Virtual, pod.value().clone());
        let deletion = Deletion::follow_host(kinds::SECRET, &pod, &copy(name, "u")).unwrap();
        assert_eq!(deleted(&mut clusters, deletion).is_ok(), passes, "{name}");
    }
}

#[test]
fn a_picture_goes_when_what_it_shows_is_gone() {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "node-1", "uid": "n", "labels": {MANAGED_BY: "vc-1"}},
    });
    let picture = Object::new(node.clone());
    for (is_there, done) in [(true, false), (false, true)] {
        let mut clusters = Clusters::default();
        clusters.put(Side::Virtual, node.clone());
        if is_there {
            clusters.put(Side::Host, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}));
        }
        assert_eq!(deleted(&mut clusters, Deletion::picture(kinds::NODE, &picture)).is_ok(), done);
    }
}

#[test]
fn a_picture_of_pods_asks_for_the_pods_of_ours_with_its_name() {
    let node = Object::new(json!({"metadata": {"name": "node-1", "uid": "n"}}));
    let deletion = Deletion::unused(kinds::NODE, &node, kinds::POD, "spec.nodeName");
    let found = proof(&Effect::Delete(deletion), &node, &facts()).unwrap();
    let Some(Proof::Known { namespace, field, label, .. }) = found else { panic!("no list") };
    assert_eq!(field.as_deref(), Some("spec.nodeName=node-1"));
    assert_eq!([namespace, label], ["team-a", "tenet.sh/managed-by=vc-1"]);
}

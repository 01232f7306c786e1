use tenet_mapper::testing::Clusters;
use tenet_mapper::{Cause, HostKey};

use super::*;

const HOST_NAME: &str = "nightly-x-shop-x-vc-1";

const VIRTUAL: &str = "
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: nightly, namespace: shop, uid: u-1, labels: {app: db}}
spec: {source: {persistentVolumeClaimName: data}}";

fn clusters() -> Clusters {
    Clusters::default().with(Side::Virtual, VIRTUAL)
}

fn converge(clusters: &mut Clusters) -> Result<usize, MapError> {
    clusters.converge(&mapper(), "shop", "nightly")
}

fn virt(clusters: &Clusters) -> &Object {
    clusters.object(Side::Virtual, KIND, "shop", "nightly").unwrap()
}

fn host(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Host, KIND, "team-a", HOST_NAME)
}

fn edit(clusters: &mut Clusters, side: Side, change: impl FnOnce(&mut Value)) {
    let object = if side == Side::Host { host(clusters).unwrap() } else { virt(clusters) };
    let mut object = object.value().clone();
    change(&mut object);
    clusters.put(side, object);
}

/// A snapshot that the host has taken, and that shows it.
fn taken() -> Clusters {
    let mut clusters = clusters();
    converge(&mut clusters).unwrap();
    edit(&mut clusters, Side::Host, |snapshot| {
        snapshot["status"] = json!({
            "boundVolumeSnapshotContentName": "snapcontent-1", "creationTime": "2027-01-15T08:00:00Z",
            "readyToUse": true, "restoreSize": "1Gi", "volumeGroupSnapshotName": "group-of-the-host",
        });
    });
    converge(&mut clusters).unwrap();
    clusters
}

#[test]
fn a_snapshot_crosses_with_the_name_of_the_copy_of_its_claim_and_shows_what_the_host_has() {
    let mut clusters = taken();
    assert!(HOLD.is_on(virt(&clusters)));
    let copy = host(&clusters).unwrap();
    let source = json!({"persistentVolumeClaimName": "data-x-shop-x-vc-1"});
    assert_eq!((copy.at("/spec/source"), copy.label("app")), (Some(&source), None));
    let status = virt(&clusters).at("/status").unwrap();
    assert_eq!((&status["readyToUse"], &status["restoreSize"]), (&json!(true), &json!("1Gi")));
    assert_eq!(status.get("volumeGroupSnapshotName"), None);

    edit(&mut clusters, Side::Host, |snapshot| {
        snapshot["status"]["error"] = json!({"message": format!("cannot snapshot team-a/{HOST_NAME}")});
    });
    assert_eq!(converge(&mut clusters), Ok(1));
    assert_eq!(virt(&clusters).str_at("/status/error/message"), Some("cannot snapshot shop/nightly"));
    edit(&mut clusters, Side::Host, |snapshot| {
        snapshot["status"].as_object_mut().unwrap().remove("error");
    });
    assert_eq!(converge(&mut clusters), Ok(1));
    assert_eq!(virt(&clusters).at(ERROR), None);
    assert_eq!(converge(&mut clusters), Ok(0), "at rest nothing is written");
}

#[test]
fn a_copy_goes_after_its_original_was_seen_being_deleted_and_before_it() {
    let mut clusters = taken();
    edit(&mut clusters, Side::Virtual, |snapshot| {
        snapshot["metadata"]["deletionTimestamp"] = json!("2027-01-15T09:00:00Z");
    });
    let outcome = clusters.reconcile(&mapper(), "shop", "nightly").unwrap();
    assert!(
        matches!(&outcome.effects()[..], [Effect::Delete(deletion)] if matches!(deletion.cause(), Cause::TwinDeleting { .. }))
    );
    converge(&mut clusters).unwrap();
    assert!(host(&clusters).is_none() && !HOLD.is_on(virt(&clusters)));

    let mut unseen = Clusters::default();
    unseen.put(Side::Host, host(&taken()).unwrap().value().clone());
    assert_eq!(converge(&mut unseen), Ok(0), "nobody has seen a delete");
}

#[test]
fn a_snapshot_that_is_gone_is_not_taken_again() {
    let mut clusters = taken();
    clusters.vanish(KIND, &HostKey::new("team-a", HOST_NAME));
    assert_eq!(converge(&mut clusters), Ok(1));
    assert_eq!(virt(&clusters).at("/status/readyToUse"), Some(&json!(false)));
    assert!(virt(&clusters).str_at("/status/error/message").is_some_and(|message| message.contains("is gone")));
    assert!(host(&clusters).is_none());
    assert_eq!(converge(&mut clusters), Ok(0));
}

#[test]
fn a_class_that_is_not_allowed_and_a_content_of_the_host_are_refused() {
    let class = |name: &str| json!({"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": name});
    let content = json!({"source": {"volumeSnapshotContentName": "snapcontent-other"}});
    for (spec, refused) in [
        (class("fast"), None),
        (class("other"), Some("the class other is not in storage.snapshotClasses")),
        (content, Some("source.volumeSnapshotContentName")),
    ] {
        let section = crate::Storage { snapshot_classes: vec!["fast".to_owned()], ..crate::Storage::default() };
        let mut clusters = clusters().section(section);
        edit(&mut clusters, Side::Virtual, |snapshot| snapshot["spec"] = spec.clone());
        match (converge(&mut clusters), refused) {
            (Ok(_), None) => assert_eq!(host(&clusters).unwrap().str_at("/spec/volumeSnapshotClassName"), Some("fast")),
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            other => panic!("{spec}: {other:?}"),
        }
    }
}

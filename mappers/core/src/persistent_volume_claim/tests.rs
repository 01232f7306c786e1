use serde_json::{Value, json};
use tenet_mapper::testing::Clusters;
use tenet_mapper::{Cause, HostKey};

use super::*;

const HOST_NAME: &str = "data-db-0-x-shop-x-vc-1";

const VIRTUAL: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data-db-0
  namespace: shop
  uid: u-1
  resourceVersion: '7'
  labels: {app: db}
  finalizers: [kubernetes.io/pvc-protection]
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
  volumeMode: Filesystem
status: {phase: Pending}
";

fn clusters() -> Clusters {
    Clusters::default().with(Side::Virtual, VIRTUAL)
}

fn reconcile(clusters: &mut Clusters) -> Result<Outcome, MapError> {
    clusters.reconcile(&PersistentVolumeClaimMapper::new(), "shop", "data-db-0")
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&PersistentVolumeClaimMapper::new(), "shop", "data-db-0").unwrap()
}

fn virt(clusters: &Clusters) -> &Object {
    clusters.object(Side::Virtual, KIND, "shop", "data-db-0").unwrap()
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

/// A claim that the host has bound, and that shows it.
fn bound() -> Clusters {
    let mut clusters = clusters();
    converge(&mut clusters);
    edit(&mut clusters, Side::Host, |claim| {
        claim["spec"]["volumeName"] = json!("pv-1");
        claim["spec"]["storageClassName"] = json!("standard");
        claim["status"] = json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}});
    });
    converge(&mut clusters);
    clusters
}

fn delete(clusters: &mut Clusters, finalizers: &Value) {
    edit(clusters, Side::Virtual, |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
        claim["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        claim["metadata"]["finalizers"] = finalizers.clone();
    });
}

#[test]
fn a_claim_crosses_without_labels_and_shows_what_the_host_gives() {
    let mut clusters = clusters();
    converge(&mut clusters);
    let copy = host(&clusters).unwrap();
    assert_eq!(copy.at("/spec/accessModes"), Some(&json!(["ReadWriteOnce"])));
    assert_eq!((copy.label("app"), copy.at("/spec/storageClassName")), (None, None));
    assert_eq!(copy.at("/metadata/ownerReferences"), None, "nothing collects what holds data");
    assert!(HOLD.is_on(virt(&clusters)));
    let mut clusters = bound();
    let claim = virt(&clusters);
    assert_eq!((volume(claim), class(claim)), (Some("pv-1"), Some("standard")));
    assert_eq!(claim.str_at("/status/phase"), Some("Bound"));
    assert_eq!(claim.at("/status/capacity/storage"), Some(&json!("1Gi")));
    assert_eq!(converge(&mut clusters), 0, "at rest nothing is written");
}

#[test]
fn an_expansion_follows() {
    let mut clusters = bound();
    edit(&mut clusters, Side::Virtual, |claim| claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi"));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap().at("/spec/resources/requests/storage"), Some(&json!("2Gi")));
}

#[test]
fn what_a_tenant_may_not_choose_is_refused() {
    for (pointer, value, field) in [
        ("volumeName", json!("pv-of-another"), "spec.volumeName"),
        ("storageClassName", json!("gold"), "spec.storageClassName"),
        ("storageClassName", json!(""), "spec.storageClassName"),
        ("dataSource", json!({"kind": "VolumeSnapshot", "apiGroup": "example.com", "name": "s"}), "spec.dataSource"),
        (
            "dataSourceRef",
            json!({"kind": "PersistentVolumeClaim", "name": "c", "namespace": "other"}),
            "spec.dataSourceRef",
        ),
        ("volumeAttributesClassName", json!("gold"), "spec.volumeAttributesClassName"),
    ] {
        let mut clusters = clusters();
        edit(&mut clusters, Side::Virtual, |claim| claim["spec"][pointer] = value.clone());
        let Err(MapError::Refused(refusals)) = reconcile(&mut clusters) else { panic!("{pointer} {value}") };
        let fields: Vec<_> = refusals.iter().map(|refusal| refusal.field.as_str()).collect();
        assert_eq!(fields, [field]);
    }
    let mut clusters = clusters().section(Storage { classes: vec!["go*".to_owned()], ..Storage::default() });
    edit(&mut clusters, Side::Virtual, |claim| claim["spec"]["storageClassName"] = json!("gold"));
    converge(&mut clusters);
    assert_eq!(host(&clusters).and_then(class), Some("gold"));
}

#[test]
fn a_clone_and_a_restored_snapshot_name_the_copy_of_their_source() {
    let claim = json!({"kind": "PersistentVolumeClaim", "name": "origin"});
    let snapshot = json!({"kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "origin"});
    for source in [claim, snapshot] {
        let mut clusters = with_snapshots();
        edit(&mut clusters, Side::Virtual, |claim| claim["spec"]["dataSource"] = source.clone());
        converge(&mut clusters);
        let mut expected = source;
        expected["name"] = json!("origin-x-shop-x-vc-1");
        assert_eq!(host(&clusters).unwrap().at("/spec/dataSource"), Some(&expected));
    }
}

fn with_snapshots() -> Clusters {
    clusters().facts(|facts| facts.mappers.extend([volume_snapshot::ID]))
}

#[test]
fn a_snapshot_is_no_source_while_snapshots_do_not_cross_unless_the_host_has_taken_it() {
    let snapshot = json!({"kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "origin"});
    for field in ["dataSource", "dataSourceRef"] {
        let mut off = clusters();
        edit(&mut off, Side::Virtual, |claim| claim["spec"][field] = snapshot.clone());
        let Err(MapError::Refused(refusals)) = reconcile(&mut off) else { panic!("{field} crosses") };
        let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
        assert_eq!(refusal.field, format!("spec.{field}"));
        assert!(refusal.why.contains("kinds.enable of the configuration lacks volume-snapshot"), "{}", refusal.why);

        let mut taken = with_snapshots();
        edit(&mut taken, Side::Virtual, |claim| claim["spec"][field] = snapshot.clone());
        converge(&mut taken);
        let mut taken = taken.facts(|facts| facts.mappers.clear());
        edit(&mut taken, Side::Virtual, |claim| claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi"));
        assert_eq!(converge(&mut taken), 1, "it grows after snapshots were turned off");
    }
}

#[test]
fn a_claim_that_is_deleted_while_in_use_keeps_its_copy_until_it_is_free() {
    let mut clusters = bound();
    delete(&mut clusters, &json!(["kubernetes.io/pvc-protection", HOLD.finalizer]));
    assert!(reconcile(&mut clusters).unwrap().effects().is_empty(), "a pod inside uses it");
    delete(&mut clusters, &json!([HOLD.finalizer]));
    let outcome = reconcile(&mut clusters).unwrap();
    assert!(
        matches!(&outcome.effects()[..], [Effect::Delete(deletion)] if matches!(deletion.cause(), Cause::TwinDeleting { .. }))
    );
    edit(&mut clusters, Side::Host, |claim| claim["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:01Z"));
    assert!(reconcile(&mut clusters).unwrap().effects().is_empty(), "a pod of the host uses it");
    clusters.vanish(KIND, &HostKey::new("team-a", HOST_NAME));
    let outcome = reconcile(&mut clusters).unwrap();
    let [Effect::PatchVirtual(freed)] = &outcome.effects()[..] else { panic!("{outcome:?}") };
    assert_eq!((&freed.values[0].1, freed.cause.as_deref()), (&Value::Null, Some(&HOLD.gone())));
}

/// A store that was restored, or a finalizer that somebody has taken away, is no evidence of a delete.
#[test]
fn a_copy_without_an_original_and_one_of_an_earlier_claim_stay() {
    let copy = host(&bound()).unwrap().value().clone();
    let mut alone = Clusters::default();
    alone.put(Side::Host, copy.clone());
    assert!(reconcile(&mut alone).unwrap().effects().is_empty());
    let mut other = Clusters::default().with(Side::Virtual, &VIRTUAL.replace("u-1", "u-2"));
    other.put(Side::Host, copy);
    assert!(matches!(reconcile(&mut other), Err(MapError::Foreign { .. })));
}

#[test]
fn a_volume_that_is_lost_is_shown_and_not_created_again() {
    let mut clusters = bound();
    clusters.vanish(KIND, &HostKey::new("team-a", HOST_NAME));
    let outcome = reconcile(&mut clusters).unwrap();
    let [Effect::PatchVirtual(lost), Effect::Emit(_)] = &outcome.effects()[..] else { panic!("{outcome:?}") };
    assert_eq!(lost.cause.as_deref(), Some(&HOLD.gone()), "a copy that the cache lacks may exist");
    converge(&mut clusters);
    assert_eq!(virt(&clusters).str_at("/status/phase"), Some("Lost"));
    assert_eq!(converge(&mut clusters), 0);
    assert_eq!(host(&clusters), None);
}

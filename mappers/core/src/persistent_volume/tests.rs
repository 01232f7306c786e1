use tenet_mapper::Cause;
use tenet_mapper::testing::Clusters;

use super::*;

const CLAIM: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data-db-0-x-shop-x-vc-1
  namespace: team-a
  labels: {tenet.sh/managed-by: vc-1, tenet.sh/namespace: shop}
  annotations:
    tenet.sh/cluster: 00000000-0000-0000-0000-00000000c1d0
    tenet.sh/host-name: team-a/data-db-0-x-shop-x-vc-1
    tenet.sh/kind: PersistentVolumeClaim
    tenet.sh/name: data-db-0
    tenet.sh/namespace: shop
    tenet.sh/uid: u-claim
spec: {volumeName: pvc-1, accessModes: [ReadWriteOnce], storageClassName: fast, volumeMode: Filesystem}
status: {phase: Bound, capacity: {storage: 2Gi}}";

const VOLUME: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: pvc-1, annotations: {pv.kubernetes.io/provisioned-by: disk.example.com}}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 2Gi}
  persistentVolumeReclaimPolicy: Retain
  storageClassName: fast
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}
  mountOptions: [noatime]
  csi: {driver: disk.example.com, volumeHandle: /secret/path, nodeStageSecretRef: {name: credentials, namespace: kube-system}}
  claimRef: {namespace: team-a, name: data-db-0-x-shop-x-vc-1, uid: host-uid}";

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&PersistentVolumeMapper::new(), "", "pvc-1").unwrap()
}

fn volume(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Virtual, KIND, "", "pvc-1")
}

#[test]
fn a_volume_is_shown_without_where_its_data_is() {
    let mut clusters = Clusters::default().with(Side::Host, CLAIM).with(Side::Host, VOLUME);
    assert!(converge(&mut clusters) > 0);
    let shown = volume(&clusters).unwrap();
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data-db-0",
                       "uid": "u-claim"});
    assert_eq!(shown.at("/spec/claimRef"), Some(&claim));
    assert_eq!(shown.at("/spec/csi"), Some(&json!({"driver": DRIVER, "volumeHandle": "pvc-1"})));
    assert_eq!(shown.str_at("/spec/persistentVolumeReclaimPolicy"), Some("Retain"));
    assert_eq!(shown.str_at("/status/phase"), Some("Bound"));
    let text = shown.value().to_string();
    for secret in ["secret", "credentials", "team-a", "noatime", "host-uid"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(converge(&mut clusters), 0, "the second look writes nothing");
}

#[test]
fn the_time_that_the_api_server_sets_is_not_written_over() {
    let mut clusters = Clusters::default().with(Side::Host, CLAIM).with(Side::Host, VOLUME);
    converge(&mut clusters);
    let mut stored = volume(&clusters).unwrap().value().clone();
    stored["status"]["lastPhaseTransitionTime"] = json!("2027-01-15T08:00:00Z");
    clusters.put(Side::Virtual, stored);
    assert_eq!(converge(&mut clusters), 0);
}

/// Whoever sets it to Retain inside deletes the claim next.
#[test]
fn a_policy_refuses_another_reclaim_policy_as_long_as_a_volume_is_shown() {
    let mut clusters = Clusters::default().with(Side::Host, CLAIM).with(Side::Host, VOLUME);
    converge(&mut clusters);
    let stored = |kind, clusters: &Clusters| clusters.object(Side::Virtual, kind, "", POLICY).cloned();
    let policy = stored(picture_policy::POLICY, &clusters).unwrap();
    assert!(policy.str_at("/spec/validations/0/expression").unwrap().contains("object.spec == oldObject.spec"));
    assert_eq!(policy.str_at("/spec/matchConstraints/resourceRules/0/resources/0"), Some("persistentvolumes"));
    assert!(stored(picture_policy::BINDING, &clusters).is_some());
    let mut without = Clusters::default().with(Side::Host, CLAIM).unreadable(Side::Virtual, picture_policy::POLICY);
    converge(&mut without);
    assert!(stored(picture_policy::POLICY, &without).is_none(), "an older API server does not serve it");
}

#[test]
fn without_the_right_to_read_volumes_it_is_made_from_the_claim() {
    let mut clusters = Clusters::default().with(Side::Host, CLAIM).unreadable(Side::Host, KIND);
    converge(&mut clusters);
    let spec = &volume(&clusters).unwrap().value()["spec"];
    assert_eq!((&spec["capacity"]["storage"], &spec["storageClassName"]), (&json!("2Gi"), &json!("fast")));
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn it_goes_when_no_claim_names_it_and_is_released_first() {
    let mut clusters = Clusters::default().with(Side::Host, CLAIM).with(Side::Host, VOLUME);
    converge(&mut clusters);
    clusters.vanish(kinds::PERSISTENT_VOLUME_CLAIM, &HostKey::new("team-a", "data-db-0-x-shop-x-vc-1"));
    let outcome = clusters.reconcile(&PersistentVolumeMapper::new(), "", "pvc-1").unwrap();
    let [Effect::PatchVirtual(released), Effect::Delete(deletion)] = &outcome.effects()[..] else {
        panic!("{outcome:?}")
    };
    assert_eq!(released.values[0].1, "Released");
    let claims = kinds::PERSISTENT_VOLUME_CLAIM;
    assert_eq!(*deletion.cause(), Cause::SourcesAbsent { kind: claims, field: None });
    assert_eq!(released.cause.as_deref(), Some(deletion.cause()), "one proof for both");
    converge(&mut clusters);
    assert!(volume(&clusters).is_none());
}

#[test]
fn a_volume_of_the_tenant_stays_inside_and_one_that_is_not_bound_is_not_shown() {
    let own = VOLUME.replace("nodeStageSecretRef", "x");
    let mut clusters = Clusters::default().with(Side::Virtual, &own);
    let outcome = clusters.reconcile(&PersistentVolumeMapper::new(), "", "pvc-1").unwrap();
    assert!(matches!(&outcome.effects()[..], [Effect::Emit(event)] if event.message.contains("stays inside")));
    let mut taken = Clusters::default().with(Side::Virtual, &own).with(Side::Host, CLAIM);
    assert!(matches!(taken.reconcile(&PersistentVolumeMapper::new(), "", "pvc-1"), Err(MapError::Foreign { .. })));
    let pending = CLAIM.replace(", capacity: {storage: 2Gi}", "");
    assert_eq!(converge(&mut Clusters::default().with(Side::Host, &pending).with(Side::Host, VOLUME)), 0);
}

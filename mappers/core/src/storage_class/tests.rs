use serde_json::json;
use tenet_mapper::testing::Clusters;
use tenet_mapper::{Cause, Effect, HostKey, MapError, Side};

use super::*;
use crate::picture_policy;

const CLASSES: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, uid: h-1, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}
provisioner: disk.example.com
parameters: {csi.storage.k8s.io/provisioner-secret-name: credentials}
reclaimPolicy: Delete
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast, uid: h-2, labels: {tier: tenants}}
provisioner: disk.example.com
reclaimPolicy: Delete
volumeBindingMode: Immediate
";

fn converge(clusters: &mut Clusters, name: &str) -> usize {
    clusters.converge(&mapper(), "", name).unwrap()
}

fn shown<'c>(clusters: &'c Clusters, name: &str) -> Option<&'c Object> {
    clusters.object(Side::Virtual, KIND, "", name)
}

#[test]
fn the_default_class_is_shown_without_what_only_the_host_needs() {
    let mut clusters = Clusters::default().with(Side::Host, CLASSES);
    assert_eq!(converge(&mut clusters, "standard"), 3, "the class, and a policy with its binding");
    let class = shown(&clusters, "standard").unwrap();
    assert_eq!(class.at("/allowVolumeExpansion"), Some(&json!(true)));
    assert_eq!(class.annotation(DEFAULT), Some("true"));
    assert_eq!(class.at("/parameters"), None);
    assert_eq!(converge(&mut clusters, "standard"), 0, "the second look writes nothing");
    clusters.vanish(KIND, &HostKey::new("", "standard"));
    let outcome = clusters.reconcile(&mapper(), "", "standard").unwrap();
    assert!(matches!(&outcome.effects()[..], [Effect::Delete(deletion)] if *deletion.cause() == Cause::ShownAbsent));
}

#[test]
fn a_policy_refuses_changes_of_what_a_class_shows() {
    let mut clusters = Clusters::default().with(Side::Host, CLASSES);
    converge(&mut clusters, "standard");
    let policy = clusters.object(Side::Virtual, picture_policy::POLICY, "", "tenet-storageclasses").unwrap();
    let rules: Vec<_> = policy.list_at("/spec/validations").iter().map(|rule| rule["expression"].to_string()).collect();
    assert_eq!(rules.len(), 6, "five fields and the annotation: {rules:?}");
    assert!(rules[1].contains("object.reclaimPolicy == oldObject.reclaimPolicy"), "{rules:?}");
    assert!(rules[5].contains("variables.default == variables.oldDefault"), "{rules:?}");
}

#[test]
fn other_classes_are_shown_by_name_or_label() {
    let mut clusters = Clusters::default().with(Side::Host, CLASSES);
    assert_eq!(converge(&mut clusters, "fast"), 0);
    let named = Storage { classes: vec!["fa*".to_owned()], ..Storage::default() };
    let labels = [("tier".to_owned(), "tenants".to_owned())].into();
    let labelled = Storage { class_labels: labels, ..Storage::default() };
    for section in [named, labelled] {
        let mut clusters = Clusters::default().with(Side::Host, CLASSES).section(section);
        assert_eq!(converge(&mut clusters, "fast"), 3);
        assert_eq!(shown(&clusters, "fast").unwrap().annotation(DEFAULT), Some("false"));
    }
}

#[test]
fn a_class_of_the_tenant_is_left_alone_and_nothing_is_shown_without_the_right_to_read() {
    const OWN: &str =
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: own, uid: v-1}\nprovisioner: p";
    let mut clusters = Clusters::default().with(Side::Virtual, OWN);
    assert_eq!(converge(&mut clusters, "own"), 0);
    let same = OWN.replace("own", "standard");
    let mut clusters = Clusters::default().with(Side::Host, CLASSES).with(Side::Virtual, &same);
    let answer = clusters.reconcile(&mapper(), "", "standard");
    assert!(matches!(answer, Err(MapError::Foreign { .. })));
    let mut unreadable = Clusters::default().with(Side::Host, CLASSES).unreadable(Side::Host, KIND);
    assert_eq!(converge(&mut unreadable, "standard"), 0);
}

use serde_json::{Value, json};
use tenet_mapper::testing::{Clusters, rules};
use tenet_mapper::{MapError, Object, Side, rules::Coverage};

use super::*;

const VIRTUAL: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec:
  minAvailable: 2
  selector: {matchLabels: {app: web}}
status: {currentHealthy: 3, desiredHealthy: 2, disruptionsAllowed: 1, expectedPods: 3}";

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(mapper().unwrap().as_ref(), "shop", "web").unwrap()
}

fn host(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Host, KIND, "team-a", "web-x-shop-x-vc-1")
}

#[test]
fn a_budget_crosses_and_counts_pods_of_its_own_namespace_only() {
    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(
        host(&clusters).unwrap().at("/spec"),
        Some(&json!({
            "minAvailable": 2,
            "selector": {"matchLabels": {"app": "web", "tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"}},
        }))
    );
    assert_eq!(host(&clusters).unwrap().at("/status"), None);
    assert_eq!(converge(&mut clusters), 0, "the second look writes nothing");
}

#[test]
fn a_change_follows_and_the_copy_goes_with_its_original() {
    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    converge(&mut clusters);
    let changed = VIRTUAL.replace("minAvailable: 2", "maxUnavailable: 50%");
    let mut clusters = clusters.with(Side::Virtual, &changed);
    assert_eq!(converge(&mut clusters), 1);
    let copy = host(&clusters).unwrap().clone();
    assert_eq!((copy.at("/spec/minAvailable"), copy.at("/spec/maxUnavailable")), (None, Some(&json!("50%"))));

    let mut orphan = Clusters::default();
    orphan.put(Side::Host, copy.value().clone());
    assert_eq!(converge(&mut orphan), 1);
    assert!(host(&orphan).is_none());
}

#[test]
fn a_selector_cannot_reach_into_another_namespace() {
    let forged = VIRTUAL.replace("{app: web}", "{app: web, tenet.sh/namespace: other}");
    let mut clusters = Clusters::default().with(Side::Virtual, &forged);
    let refused = clusters.reconcile(mapper().unwrap().as_ref(), "shop", "web");
    assert!(matches!(refused, Err(MapError::Refused(refusals)) if refusals[0].field == "spec.selector"));
}

#[test]
fn an_empty_selector_means_the_namespace_and_a_missing_one_nothing() {
    let selector = |text: &str| {
        let start = VIRTUAL.find("  selector").unwrap();
        let end = VIRTUAL.find("status").unwrap();
        let mut clusters = Clusters::default().with(Side::Virtual, &VIRTUAL.replace(&VIRTUAL[start..end], text));
        converge(&mut clusters);
        host(&clusters).unwrap().at("/spec/selector").cloned()
    };
    let own = json!({"matchLabels": {"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"}});
    assert_eq!(selector("  selector: {}\n"), Some(own));
    assert_eq!(selector(""), None);
}

#[test]
fn every_field_of_the_kind_has_a_rule() {
    let table = mapper().unwrap().spec().table.clone().unwrap();
    for path in [
        "metadata.name",
        "spec.minAvailable",
        "spec.maxUnavailable",
        "spec.selector.matchLabels{}",
        "spec.unhealthyPodEvictionPolicy",
        "status.conditions[].type",
    ] {
        assert_eq!(table.coverage(path), Coverage::Ruled, "{path}");
    }
}

#[test]
fn the_role_grants_what_the_mapper_needs_on_the_host() {
    let role: Value = serde_saphyr::from_str(include_str!("../role.yaml")).unwrap();
    assert_eq!(role["rules"], rules(mapper().unwrap().spec(), Side::Host));
}

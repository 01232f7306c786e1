use tenet_mapper::Side;
use tenet_mapper::testing::Clusters;

use super::*;

const VIRTUAL: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop, generation: 2}
spec:
  maxUnavailable: 30%
  selector: {matchLabels: {app: web}}
status: {observedGeneration: 2, currentHealthy: 4, desiredHealthy: 3, disruptionsAllowed: 1, expectedPods: 4}";

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&mapper(), "shop", "web").unwrap()
}

fn host(clusters: &Clusters) -> Option<&Value> {
    clusters.object(Side::Host, KIND, "team-a", "web-x-shop-x-vc-1").and_then(|copy| copy.at("/spec"))
}

#[test]
fn the_host_gets_the_number_that_was_counted_inside_for_pods_of_this_namespace() {
    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    assert_eq!(converge(&mut clusters), 1);
    let own = json!({"app": "web", "tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"});
    assert_eq!(host(&clusters), Some(&json!({"minAvailable": 3, "selector": {"matchLabels": own}})));
    assert_eq!(converge(&mut clusters), 0, "the second look writes nothing");

    let mut clusters = clusters.with(Side::Virtual, &VIRTUAL.replace("desiredHealthy: 3", "desiredHealthy: 5"));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap()["minAvailable"], 5);
}

#[test]
fn a_number_of_an_earlier_spec_does_not_count() {
    let stale = VIRTUAL.replace("observedGeneration: 2", "observedGeneration: 1");
    let mut clusters = Clusters::default().with(Side::Virtual, &stale);
    assert_eq!(converge(&mut clusters), 0);
    let mut clusters = clusters.with(Side::Virtual, VIRTUAL);
    converge(&mut clusters);
    let changed = VIRTUAL.replace("generation: 2}", "generation: 3}").replace("30%", "1");
    let mut clusters = clusters.with(Side::Virtual, &changed);
    assert_eq!(converge(&mut clusters), 0, "the copy stays until the cluster inside has counted");
    assert_eq!(host(&clusters).unwrap()["minAvailable"], 3);
}

#[test]
fn the_copy_goes_with_its_original() {
    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    converge(&mut clusters);
    let copy = clusters.object(Side::Host, KIND, "team-a", "web-x-shop-x-vc-1").unwrap().value().clone();
    let mut orphan = Clusters::default();
    orphan.put(Side::Host, copy);
    assert_eq!(converge(&mut orphan), 1);
    assert!(host(&orphan).is_none());
}

/// The status that the controller of the virtual cluster writes when it cannot count, as Kubernetes 1.37 does.
const FAILED: &str = "
status:
  observedGeneration: 2
  currentHealthy: 0
  desiredHealthy: 0
  disruptionsAllowed: 0
  expectedPods: 0
  conditions: [{type: DisruptionAllowed, reason: SyncFailed, status: 'False', message: no scale}]";

fn failed() -> String {
    let (spec, _) = VIRTUAL.split_once("\nstatus:").unwrap();
    format!("{spec}{FAILED}")
}

#[test]
fn a_budget_that_the_virtual_cluster_cannot_count_says_that_no_drain_respects_it() {
    let told = |text: &str| {
        let mut clusters = Clusters::default().with(Side::Virtual, text);
        let outcome = clusters.reconcile(&mapper(), "shop", "web").unwrap();
        let message =
            |effect: &Effect| if let Effect::Emit(event) = effect { Some(event.message.clone()) } else { None };
        outcome.effects().into_iter().find_map(message)
    };
    let expected = "drains of the host do not respect it as it is now: no scale";
    assert_eq!(told(&failed()).as_deref(), Some(expected));
    let unobserved = failed().replace("observedGeneration: 2", "observedGeneration: 0");
    assert_eq!(told(&unobserved).as_deref(), Some(expected));
    assert_eq!(told(VIRTUAL), None);
}

#[test]
fn the_zeros_of_a_failed_count_do_not_open_the_host_copy() {
    let mut clusters = Clusters::default().with(Side::Virtual, &failed());
    assert_eq!(converge(&mut clusters), 0);
    assert_eq!(host(&clusters), None, "a copy without a number would allow every eviction, and look as if it did not");

    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    converge(&mut clusters);
    let mut clusters = clusters.with(Side::Virtual, &failed());
    assert_eq!(converge(&mut clusters), 0, "the last number that was counted stays");
    assert_eq!(host(&clusters).unwrap()["minAvailable"], 3);
}

use serde_json::{Value, json};
use tenet_mapper::testing::HOST_NAMESPACE_UID;
use tenet_mapper::{HostKey, KeysOf, Mapper, Side, VirtualKey, kinds};

use super::lab::Lab;

const OWNER: &str = "tenet-pods-vc-1";
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

fn owners(lab: &Lab) -> Vec<Value> {
    lab.host().unwrap().list_at("/metadata/ownerReferences").to_vec()
}

/// Somebody deletes the `ConfigMap`; `taken` are the references that the garbage collector has removed.
fn without_owner(taken: bool) -> Lab {
    let mut lab = Lab::running();
    lab.clusters.vanish(kinds::CONFIG_MAP, &HostKey::new("team-a", OWNER));
    if taken {
        let left: Vec<_> = owners(&lab).into_iter().filter(|owner| owner["kind"] == "Namespace").collect();
        lab.edit_host("/metadata/ownerReferences", json!(left));
    }
    lab
}

#[test]
fn every_host_pod_has_a_controller_and_an_owner_that_lasts_as_long_as_the_namespace() {
    let mut lab = Lab::fresh();
    lab.clusters.vanish(kinds::CONFIG_MAP, &HostKey::new("team-a", OWNER));
    assert_eq!(lab.converge(), ["apply ConfigMap", "mint Secret", "apply Pod"], "the first pod brings the owner");
    let found = owners(&lab);
    let map = lab.clusters.object(Side::Host, kinds::CONFIG_MAP, "team-a", OWNER).unwrap();
    assert_eq!((&found[0]["uid"], &found[0]["controller"]), (&json!(map.uid()), &json!(true)));
    assert_eq!((&found[1]["kind"], &found[1]["uid"]), (&json!("Namespace"), &json!(HOST_NAMESPACE_UID)));
    assert!(found.iter().all(|owner| owner.get("blockOwnerDeletion").is_none()), "{found:?}");
    assert_eq!(lab.converge(), [""; 0]);
}

#[test]
fn a_deleted_owner_is_made_again_and_the_pods_get_the_new_one() {
    for taken in [true, false] {
        let mut lab = without_owner(taken);
        let mut next = lab.clusters.look(crate::pod::owner::create);
        if let tenet_mapper::Effect::ApplyHost(apply) = &mut next {
            apply.desired["metadata"]["uid"] = json!("another");
        }
        assert_eq!(lab.planned(), ["apply ConfigMap"], "it comes first");
        lab.clusters.perform(next);
        assert_eq!(lab.converge(), ["patch host pod"], "{taken}");
        let found = owners(&lab);
        let uids: Vec<_> = found.iter().map(|owner| owner["uid"].as_str().unwrap()).collect();
        assert_eq!(uids, ["another", HOST_NAMESPACE_UID]);
    }
}

/// Pods may have no reason of their own to be looked at.
#[test]
fn a_deleted_owner_is_made_again_at_once_and_all_pods_are_due() {
    let mut lab = without_owner(false);
    let mapper = crate::PodMapper::new();
    let outcome = lab.clusters.reconcile(&mapper, "", "owner").unwrap();
    assert!(!outcome.all);
    for effect in outcome.into_effects() {
        lab.perform(effect);
    }
    assert_eq!(lab.written, ["apply ConfigMap"]);
    let outcome = lab.clusters.reconcile(&mapper, "", "owner").unwrap();
    assert!(outcome.all && outcome.stages.is_empty());
    let mut inputs = mapper.spec().inputs.iter();
    let input = inputs.find(|input| input.side == Side::Host && input.kind == kinds::CONFIG_MAP).unwrap();
    let KeysOf::With(keys_of) = input.keys else { panic!("a change of the owner wakes nobody") };
    let map = |name: &str| lab.clusters.object(Side::Host, kinds::CONFIG_MAP, "team-a", name).unwrap();
    assert_eq!(keys_of(map(OWNER)), [VirtualKey::new("", "owner")]);
    let variables = lab.host().unwrap().str_at("/spec/containers/0/envFrom/0/configMapRef/name").unwrap();
    assert_eq!(keys_of(map(variables)), []);
}

#[test]
fn a_pod_that_is_older_than_the_owner_gets_it_and_one_of_another_controller_stays() {
    let mut lab = Lab::running();
    let foreign = json!({"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "s"});
    lab.edit_host("/metadata/ownerReferences", json!([foreign]));
    assert_eq!(lab.converge(), ["patch host pod"]);
    assert_eq!((owners(&lab).len(), &owners(&lab)[0]), (3, &foreign));
    let controller =
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true});
    lab.edit_host("/metadata/ownerReferences", json!([controller]));
    assert_eq!(lab.converge(), [""; 0]);
}

/// The owner is a controller for the cluster autoscaler, and it evicts pods that have one.
#[test]
fn the_autoscaler_evicts_no_pod_that_nothing_inside_would_replace() {
    let word = |lab: &mut Lab| {
        lab.converge();
        lab.host().unwrap().annotation(SAFE_TO_EVICT).map(str::to_owned)
    };
    let mut lab = Lab::fresh();
    lab.edit(
        "/metadata/ownerReferences",
        json!([{"kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true}]),
    );
    assert_eq!(word(&mut lab), None);
    lab.edit("/metadata/annotations", json!({SAFE_TO_EVICT: "true"}));
    assert_eq!(word(&mut lab).as_deref(), Some("true"), "the tenant's word");
    lab.edit("/metadata/annotations", json!({}));
    assert_eq!(word(&mut lab), None, "what the tenant takes back goes");
    lab.edit("/metadata/ownerReferences", json!([]));
    assert_eq!(word(&mut lab).as_deref(), Some("false"));
}

#[test]
fn a_pod_that_the_tenant_does_not_want_evicted_says_so_to_every_controller_of_the_host() {
    for key in ["karpenter.sh/do-not-disrupt", "descheduler.alpha.kubernetes.io/prefer-no-eviction"] {
        let mut lab = Lab::fresh();
        lab.edit("/metadata/annotations", json!({ key: "true" }));
        lab.converge();
        assert_eq!(lab.host().unwrap().annotation(key), Some("true"));
        lab.edit("/metadata/annotations", json!({}));
        lab.converge();
        assert_eq!(lab.host().unwrap().annotation(key), None, "what the tenant takes back goes");
    }
}

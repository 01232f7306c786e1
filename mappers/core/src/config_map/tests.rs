use serde_json::{Value, json};
use tenet_mapper::keys::{DIGEST, SOURCE};
use tenet_mapper::testing::Clusters;
use tenet_mapper::{Cause, Effect, Mapper};

use super::*;

const VIRTUAL: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt, namespace: shop, uid: u-1, resourceVersion: '7', labels: {app: web}}
data: {ca.crt: PEM}
binaryData: {raw: AAEC}";

const NAME: &str = "kube-root-ca.crt-x-shop-x-vc-1";

fn clusters() -> Clusters {
    Clusters::default().with(Side::Virtual, VIRTUAL)
}

fn referenced() -> Clusters {
    clusters().referenced(kinds::CONFIG_MAP, "shop", "kube-root-ca.crt")
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&mapper(), "shop", "kube-root-ca.crt").unwrap()
}

fn host(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Host, kinds::CONFIG_MAP, "team-a", NAME)
}

/// Puts the virtual object anew with one change.
fn edit(clusters: &mut Clusters, change: impl FnOnce(&mut Value)) {
    let mut object =
        clusters.object(Side::Virtual, kinds::CONFIG_MAP, "shop", "kube-root-ca.crt").unwrap().value().clone();
    object["metadata"]["resourceVersion"] = json!("8");
    change(&mut object);
    clusters.put(Side::Virtual, object);
}

#[test]
fn a_copy_follows_while_an_object_that_refers_to_it_is_not_decided() {
    assert_eq!(converge(&mut clusters().mentioned(kinds::CONFIG_MAP, "shop", "kube-root-ca.crt")), 0, "no new copy");

    let mut referenced = referenced();
    converge(&mut referenced);
    let copy = host(&referenced).unwrap().value().clone();
    let mut undecided = clusters().mentioned(kinds::CONFIG_MAP, "shop", "kube-root-ca.crt");
    undecided.put(Side::Host, copy);
    assert_eq!(converge(&mut undecided), 0);
    edit(&mut undecided, |object| object["data"]["ca.crt"] = json!("NEW"));
    assert_eq!(converge(&mut undecided), 1);
    assert_eq!(host(&undecided).unwrap().at("/data"), Some(&json!({"ca.crt": "NEW"})));
}

#[test]
fn it_is_on_the_host_while_something_refers_to_it() {
    assert_eq!(converge(&mut clusters()), 0);
    let mut referenced = referenced();
    assert_eq!(converge(&mut referenced), 1);
    let copy = host(&referenced).unwrap().clone();
    assert_eq!(copy.at("/data"), Some(&json!({"ca.crt": "PEM"})));
    assert_eq!(copy.at("/binaryData"), Some(&json!({"raw": "AAEC"})));
    assert_eq!(copy.label("app"), None, "labels of the tenant do not cross");
    assert!(copy.annotation(SOURCE).is_some_and(|source| source.starts_with("u-1/7/")));
    assert_eq!(converge(&mut referenced), 0);

    let mut forgotten = clusters();
    forgotten.put(Side::Host, copy.value().clone());
    let outcome = forgotten.reconcile(&mapper(), "shop", "kube-root-ca.crt").unwrap();
    assert!(matches!(&outcome.effects()[..], [Effect::Delete(deletion)] if *deletion.cause() == Cause::Redundant));
}

#[test]
fn changed_content_follows_and_content_changed_on_the_host_is_repaired() {
    let mut clusters = referenced();
    converge(&mut clusters);
    edit(&mut clusters, |object| object["data"] = json!({"ca.crt": "NEW"}));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap().at("/data/ca.crt"), Some(&json!("NEW")));

    let mut tampered = host(&clusters).unwrap().value().clone();
    tampered["data"]["ca.crt"] = json!("EVIL");
    clusters.put(Side::Host, tampered);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap().at("/data/ca.crt"), Some(&json!("NEW")));
}

#[test]
fn an_immutable_copy_makes_room_for_a_new_original() {
    let mut clusters = referenced();
    edit(&mut clusters, |object| object["immutable"] = json!(true));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap().at("/immutable"), Some(&json!(true)));
    edit(&mut clusters, |object| {
        object["metadata"]["uid"] = json!("u-2");
        object["data"] = json!({"ca.crt": "NEW"});
    });
    assert_eq!(converge(&mut clusters), 2, "the old copy goes, then the new one comes");
    assert_eq!(host(&clusters).unwrap().at("/data/ca.crt"), Some(&json!("NEW")));
}

#[test]
fn content_is_not_kept_in_memory() {
    let spec = mapper().spec().clone();
    let cut = |side| {
        let input = spec.inputs.iter().find(|input| input.side == side).unwrap();
        input.projection.cut(json!({"metadata": {"name": "x"}, "data": {"k": "v"}, "binaryData": {"k": "v"}}))
    };
    assert_eq!(cut(Side::Virtual), json!({"metadata": {"name": "x"}}));
    assert!(cut(Side::Host)["data"][DIGEST].is_string() && cut(Side::Host)["binaryData"][DIGEST].is_string());
}

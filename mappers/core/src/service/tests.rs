mod admission;
mod api;
mod change;

use serde_json::{Value, json};
use tenet_mapper::testing::Picture;
use tenet_mapper::{Deletion, Effect, HostKey, MapError, Object, Outcome, Proof, Side, kinds};

use super::*;

const HOST_NAME: &str = "web-x-shop-x-vc-1";

/// The two sides of a Service, as files.
struct Pair {
    virt: &'static str,
    host: &'static str,
}

macro_rules! pair {
    ($name:literal) => {
        Pair {
            virt: include_str!(concat!("fixtures/", $name, ".virtual.yaml")),
            host: include_str!(concat!("fixtures/", $name, ".host.yaml")),
        }
    };
}

const CLUSTER_IP: Pair = pair!("cluster-ip");
const LOAD_BALANCER: Pair = pair!("load-balancer");
const HEADLESS: Pair = pair!("headless");

impl Pair {
    fn virtual_only(&self) -> Picture {
        Picture::default().with(Side::Virtual, self.virt)
    }

    fn both(&self) -> Picture {
        self.virtual_only().with(Side::Host, self.host)
    }
}

/// Changes one object of a picture; a null takes a member out.
fn edit(picture: &mut Picture, side: Side, pointer: &str, value: Value) {
    let (namespace, name) = if side == Side::Host { ("team-a", HOST_NAME) } else { ("shop", "web") };
    let mut object = picture.object(side, kinds::SERVICE, namespace, name).unwrap().value().clone();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let members = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        members.remove(member)
    } else {
        members.insert(member.to_owned(), value)
    };
    picture.put(side, object);
}

fn virt(picture: &Picture) -> &Object {
    picture.object(Side::Virtual, kinds::SERVICE, "shop", "web").unwrap()
}

fn host(picture: &Picture) -> Option<&Object> {
    picture.object(Side::Host, kinds::SERVICE, "team-a", HOST_NAME)
}

fn reconcile(picture: &mut Picture) -> Result<Outcome, MapError> {
    picture.reconcile(&ServiceMapper::new(), "shop", "web")
}

fn settle(picture: &mut Picture) -> usize {
    picture.settle(&ServiceMapper::new(), "shop", "web").unwrap()
}

fn deletion(outcome: &Outcome) -> &Deletion {
    match &outcome.effects[..] {
        [Effect::Delete(deletion)] => deletion,
        other => panic!("not one delete: {other:?}"),
    }
}

#[test]
fn a_service_crosses_with_its_addresses_and_a_narrowed_selector() {
    for pair in [CLUSTER_IP, LOAD_BALANCER, HEADLESS] {
        let mut picture = pair.virtual_only();
        assert_eq!(settle(&mut picture), 1);
        let expected = pair.both();
        assert_eq!(host(&picture).unwrap().value(), host(&expected).unwrap().value());
        assert_eq!(settle(&mut picture), 0, "the second look writes nothing");
    }
}

#[test]
fn what_the_tenant_changes_follows() {
    for (pointer, value) in [
        ("/spec/selector", json!({"app": "other"})),
        ("/spec/selector", Value::Null),
        ("/spec/sessionAffinity", json!("None")),
        ("/spec/sessionAffinityConfig", Value::Null),
        ("/spec/ports", json!([{"name": "http", "port": 81, "protocol": "TCP", "targetPort": "web"}])),
        ("/spec/type", json!("NodePort")),
        ("/spec/trafficDistribution", Value::Null),
        ("/metadata/labels", json!({"app": "other"})),
    ] {
        let mut picture = CLUSTER_IP.both();
        edit(&mut picture, Side::Virtual, pointer, value.clone());
        assert_eq!(settle(&mut picture), 1, "{pointer}");
        let crossed = host(&picture).unwrap().at(pointer).cloned().unwrap_or_default();
        match (pointer, &value) {
            ("/spec/selector", Value::Object(_)) | ("/metadata/labels", _) => assert_eq!(crossed["app"], "other"),
            _ => assert_eq!(crossed, value, "{pointer}"),
        }
    }
}

#[test]
fn what_the_host_owns_comes_up() {
    let mut picture = LOAD_BALANCER.both();
    let ingress = json!({"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]});
    edit(&mut picture, Side::Host, "/status", json!({ "loadBalancer": ingress }));
    edit(
        &mut picture,
        Side::Host,
        "/spec/ports",
        json!([{"name": "http", "nodePort": 30081, "port": 80, "protocol": "TCP", "targetPort": 8080},
               {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 8443}]),
    );
    assert_eq!(settle(&mut picture), 2, "one write of the spec, one of the status");
    let virt = virt(&picture);
    assert_eq!(virt.at("/status/loadBalancer"), Some(&ingress));
    assert_eq!(virt.at("/spec/ports/0/nodePort"), Some(&json!(30081)));
    assert_eq!(virt.at("/spec/ports/1/nodePort"), None);
    assert_eq!(virt.at("/spec/ports/1/targetPort"), Some(&json!(8443)));
}

#[test]
fn a_host_that_lags_behind_says_nothing_about_addresses() {
    let mut picture = CLUSTER_IP.both();
    edit(&mut picture, Side::Virtual, "/spec/ipFamilyPolicy", json!("PreferDualStack"));
    edit(&mut picture, Side::Virtual, "/spec/clusterIPs", json!(["10.96.4.7", "fd00:1::7"]));
    let outcome = reconcile(&mut picture).unwrap();
    assert!(matches!(&outcome.effects[..], [Effect::Apply(_)]), "{:?}", outcome.effects);
}

#[test]
fn a_class_that_the_host_has_set_stays() {
    let mut picture = LOAD_BALANCER.both();
    edit(&mut picture, Side::Virtual, "/spec/loadBalancerClass", Value::Null);
    edit(&mut picture, Side::Host, "/spec/loadBalancerClass", json!("cloud.example.com/nlb"));
    edit(&mut picture, Side::Host, "/status", json!({"loadBalancer": {}}));
    assert_eq!(settle(&mut picture), 0);
}

#[test]
fn the_fallback_asks_for_nothing_that_may_be_taken() {
    let fallback = |pair: &Pair| {
        let outcome = reconcile(&mut pair.virtual_only()).unwrap();
        let [Effect::Apply(apply)] = &outcome.effects[..] else { panic!("{:?}", outcome.effects) };
        apply.fallback.clone()
    };
    let spec = fallback(&LOAD_BALANCER).unwrap()["spec"].clone();
    for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
        assert_eq!(spec.get(field), None, "{field}");
    }
    assert_eq!(spec["ipFamilies"], json!(["IPv4"]));
    assert_eq!(spec["ipFamilyPolicy"], "PreferDualStack");
    assert_eq!(spec["ports"][0], json!({"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}));
    assert_eq!(fallback(&HEADLESS), None, "a headless Service must not get an address");
}

#[test]
fn external_names_stay_inside() {
    let external = |picture: &mut Picture| {
        let spec = json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"});
        edit(picture, Side::Virtual, "/spec", spec);
    };
    let mut alone = CLUSTER_IP.virtual_only();
    external(&mut alone);
    assert_eq!(settle(&mut alone), 0);
    let mut picture = CLUSTER_IP.both();
    external(&mut picture);
    assert_eq!(deletion(&reconcile(&mut picture).unwrap()).proof(), &Proof::Unneeded);
    assert_eq!(settle(&mut picture), 1);
    assert!(host(&picture).is_none());
    let spec = virt(&CLUSTER_IP.virtual_only()).at("/spec").cloned().unwrap();
    edit(&mut picture, Side::Virtual, "/spec", spec);
    assert_eq!(settle(&mut picture), 1, "and back it is made anew");
}

#[test]
fn a_service_that_became_headless_is_made_anew_on_the_host() {
    let mut picture = CLUSTER_IP.both();
    edit(&mut picture, Side::Virtual, "/spec/clusterIP", json!("None"));
    edit(&mut picture, Side::Virtual, "/spec/clusterIPs", json!(["None"]));
    assert_eq!(settle(&mut picture), 2, "a delete and a create");
    assert_eq!(host(&picture).unwrap().str_at("/spec/clusterIP"), Some("None"));
}

#[test]
fn what_may_not_cross_is_refused() {
    for (pointer, value, field) in [
        ("/spec/externalIPs", json!(["192.0.2.7"]), "spec.externalIPs"),
        ("/spec/selector", json!({"tenet.sh/managed-by": "vc-2"}), "spec.selector"),
        ("/spec/fresh", json!({"x": 1}), "spec.fresh"),
    ] {
        let mut picture = CLUSTER_IP.virtual_only();
        edit(&mut picture, Side::Virtual, pointer, value);
        match reconcile(&mut picture) {
            Err(MapError::Refused(refusals)) => assert_eq!(refusals[0].field, field),
            other => panic!("{pointer}: {other:?}"),
        }
    }
}

#[test]
fn the_host_service_goes_with_its_original_and_comes_back_without() {
    let deleting = |picture: &mut Picture, side| {
        edit(picture, side, "/metadata/deletionTimestamp", json!("2026-11-23T06:00:00Z"));
    };
    let mut picture = CLUSTER_IP.both();
    deleting(&mut picture, Side::Virtual);
    assert_eq!(deletion(&reconcile(&mut picture).unwrap()).proof(), &Proof::TwinDeleting);

    let mut orphan = Picture::default().with(Side::Host, CLUSTER_IP.host);
    let outcome = reconcile(&mut orphan).unwrap();
    assert!(matches!(deletion(&outcome).proof(), Proof::TwinAbsent { side: Side::Virtual, .. }));

    let mut again = CLUSTER_IP.both();
    edit(&mut again, Side::Virtual, "/metadata/uid", json!("another"));
    let outcome = reconcile(&mut again).unwrap();
    assert!(matches!(deletion(&outcome).proof(), Proof::TwinAbsent { .. }), "the old copy goes first");
    assert_eq!(outcome.wait.len(), 1);
    assert_eq!(settle(&mut again), 2);

    let mut by_hand = CLUSTER_IP.both();
    deleting(&mut by_hand, Side::Host);
    assert!(reconcile(&mut by_hand).unwrap().effects.is_empty());
    by_hand.vanish(kinds::SERVICE, &HostKey::new("team-a", HOST_NAME));
    assert_eq!(settle(&mut by_hand), 1, "it is created again");
}

#[test]
fn a_foreign_service_is_never_touched() {
    let mut picture = CLUSTER_IP.both();
    edit(&mut picture, Side::Host, "/metadata/annotations", json!({}));
    assert!(matches!(reconcile(&mut picture), Err(MapError::Foreign { .. })));
}

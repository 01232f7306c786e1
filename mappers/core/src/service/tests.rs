mod admission;
mod api;
mod change;
mod replicas;

use serde_json::{Value, json};
use tenet_mapper::testing::Clusters;
use tenet_mapper::translate::labels::{Globs, LOAD_BALANCERS};
use tenet_mapper::{Cause, Deletion, Effect, HostKey, MapError, Object, ObjectRef, Outcome, Side, kinds};

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
    fn virtual_only(&self) -> Clusters {
        Clusters::default().with(Side::Virtual, self.virt)
    }

    fn both(&self) -> Clusters {
        self.virtual_only().with(Side::Host, self.host)
    }
}

/// Changes one object of both clusters; a null takes a member out.
fn edit(clusters: &mut Clusters, side: Side, pointer: &str, value: Value) {
    let (namespace, name) = if side == Side::Host { ("team-a", HOST_NAME) } else { ("shop", "web") };
    let mut object = clusters.object(side, kinds::SERVICE, namespace, name).unwrap().value().clone();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let members = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        members.remove(member)
    } else {
        members.insert(member.to_owned(), value)
    };
    clusters.put(side, object);
}

fn virt(clusters: &Clusters) -> &Object {
    clusters.object(Side::Virtual, kinds::SERVICE, "shop", "web").unwrap()
}

fn host(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Host, kinds::SERVICE, "team-a", HOST_NAME)
}

fn reconcile(clusters: &mut Clusters) -> Result<Outcome, MapError> {
    clusters.reconcile(&ServiceMapper::new(), "shop", "web")
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&ServiceMapper::new(), "shop", "web").unwrap()
}

fn deletion(outcome: &Outcome) -> &Deletion {
    match &outcome.effects()[..] {
        [Effect::Delete(deletion)] => deletion,
        other => panic!("not one delete: {other:?}"),
    }
}

#[test]
fn a_service_crosses_with_its_addresses_and_a_narrowed_selector() {
    for pair in [CLUSTER_IP, LOAD_BALANCER, HEADLESS] {
        let mut clusters = pair.virtual_only();
        assert_eq!(converge(&mut clusters), 1);
        let expected = pair.both();
        assert_eq!(host(&clusters).unwrap().value(), host(&expected).unwrap().value());
        assert_eq!(converge(&mut clusters), 0, "the second look writes nothing");
    }
}

/// Argo CD prunes what carries its label and is not in its source; a Service has no owner that keeps it.
#[test]
fn a_label_that_controllers_of_the_host_act_on_crosses_under_another_name_in_the_selector_too() {
    const KEY: &str = "app.kubernetes.io/instance";
    const ON_HOST: &str = "labels.tenet/app.kubernetes.io_instance";
    let mut clusters = CLUSTER_IP.virtual_only();
    edit(&mut clusters, Side::Virtual, "/metadata/labels", json!({KEY: "prod"}));
    edit(&mut clusters, Side::Virtual, "/spec/selector", json!({KEY: "prod", "app": "web"}));
    converge(&mut clusters);
    let copy = host(&clusters).unwrap();
    assert_eq!((copy.label(KEY), copy.label(ON_HOST)), (None, Some("prod")));
    let selector = copy.at("/spec/selector").unwrap();
    assert_eq!((selector.get(KEY), &selector[ON_HOST], &selector["app"]), (None, &json!("prod"), &json!("web")));
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn what_the_tenant_changes_follows() {
    for (pointer, value) in [
        ("/spec/selector", json!({"app": "other"})),
        ("/spec/sessionAffinity", json!("None")),
        ("/spec/sessionAffinityConfig", Value::Null),
        ("/spec/ports", json!([{"name": "http", "port": 81, "protocol": "TCP", "targetPort": "web"}])),
        ("/spec/type", json!("NodePort")),
        ("/spec/trafficDistribution", Value::Null),
        ("/metadata/labels", json!({"app": "other"})),
    ] {
        let mut clusters = CLUSTER_IP.both();
        edit(&mut clusters, Side::Virtual, pointer, value.clone());
        assert_eq!(converge(&mut clusters), 1, "{pointer}");
        let crossed = host(&clusters).unwrap().at(pointer).cloned().unwrap_or_default();
        match (pointer, &value) {
            ("/spec/selector", Value::Object(_)) | ("/metadata/labels", _) => assert_eq!(crossed["app"], "other"),
            _ => assert_eq!(crossed, value, "{pointer}"),
        }
    }
}

/// Without a selector the host's controllers would leave the endpoints that they have made, beside those of the tenant.
#[test]
fn the_copy_of_a_service_that_has_lost_its_selector_selects_no_pod() {
    let none = json!({"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": ""});
    let mut clusters = CLUSTER_IP.both();
    edit(&mut clusters, Side::Virtual, "/spec/selector", Value::Null);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap().at("/spec/selector"), Some(&none));
    assert_eq!(converge(&mut clusters), 0, "the second look writes nothing");

    edit(&mut clusters, Side::Virtual, "/spec/ports/0/port", json!(81));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap().at("/spec/selector"), Some(&none), "also after another change");

    edit(&mut clusters, Side::Virtual, "/spec/selector", json!({"app": "web"}));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(host(&clusters).unwrap().at("/spec/selector/app"), Some(&json!("web")));

    let mut clusters = CLUSTER_IP.virtual_only();
    edit(&mut clusters, Side::Virtual, "/spec/selector", Value::Null);
    converge(&mut clusters);
    assert_eq!(host(&clusters).unwrap().at("/spec/selector"), None, "one that never had a selector has none");
}

#[test]
fn what_the_host_owns_comes_up() {
    let mut clusters = LOAD_BALANCER.both();
    let ingress = json!({"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]});
    edit(&mut clusters, Side::Host, "/status", json!({ "loadBalancer": ingress }));
    edit(
        &mut clusters,
        Side::Host,
        "/spec/ports",
        json!([{"name": "http", "nodePort": 30081, "port": 80, "protocol": "TCP", "targetPort": 8080},
               {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 8443}]),
    );
    assert_eq!(converge(&mut clusters), 2, "one write of the spec, one of the status");
    let virt = virt(&clusters);
    assert_eq!(virt.at("/status/loadBalancer"), Some(&ingress));
    assert_eq!(virt.at("/spec/ports/0/nodePort"), Some(&json!(30081)));
    assert_eq!(virt.at("/spec/ports/1/nodePort"), None);
    assert_eq!(virt.at("/spec/ports/1/targetPort"), Some(&json!(8443)));
}

#[test]
fn a_host_that_lags_behind_says_nothing_about_addresses() {
    let mut clusters = CLUSTER_IP.both();
    edit(&mut clusters, Side::Virtual, "/spec/ipFamilyPolicy", json!("PreferDualStack"));
    edit(&mut clusters, Side::Virtual, "/spec/clusterIPs", json!(["10.96.4.7", "fd00:1::7"]));
    let outcome = reconcile(&mut clusters).unwrap();
    assert!(matches!(&outcome.effects()[..], [Effect::ApplyHost(_)]), "{:?}", outcome.stages);
}

#[test]
fn a_class_that_the_host_has_set_stays() {
    let mut clusters = LOAD_BALANCER.both();
    edit(&mut clusters, Side::Virtual, "/spec/loadBalancerClass", Value::Null);
    edit(&mut clusters, Side::Host, "/spec/loadBalancerClass", json!("cloud.example.com/nlb"));
    edit(&mut clusters, Side::Host, "/status", json!({"loadBalancer": {}}));
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn the_fallback_asks_for_nothing_that_may_be_taken() {
    let fallback = |pair: &Pair| {
        let outcome = reconcile(&mut pair.virtual_only()).unwrap();
        let [Effect::ApplyHost(apply)] = &outcome.effects()[..] else { panic!("{:?}", outcome.stages) };
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
    let external = |clusters: &mut Clusters| {
        let spec = json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"});
        edit(clusters, Side::Virtual, "/spec", spec);
    };
    let mut alone = CLUSTER_IP.virtual_only();
    external(&mut alone);
    assert_eq!(converge(&mut alone), 0);
    let mut clusters = CLUSTER_IP.both();
    external(&mut clusters);
    let outcome = reconcile(&mut clusters).unwrap();
    assert_eq!(deletion(&outcome).cause(), &Cause::Redundant);
    let seen = host(&clusters).unwrap().resource_version();
    assert_eq!(deletion(&outcome).version(), Some(seen), "one that is reserved meanwhile stays");
    assert_eq!(converge(&mut clusters), 1);
    assert!(host(&clusters).is_none());
    let spec = virt(&CLUSTER_IP.virtual_only()).at("/spec").cloned().unwrap();
    edit(&mut clusters, Side::Virtual, "/spec", spec);
    assert_eq!(converge(&mut clusters), 1, "and back it is made anew");
}

#[test]
fn a_service_that_became_headless_is_made_anew_on_the_host() {
    let mut clusters = CLUSTER_IP.both();
    edit(&mut clusters, Side::Virtual, "/spec/clusterIP", json!("None"));
    edit(&mut clusters, Side::Virtual, "/spec/clusterIPs", json!(["None"]));
    let outcome = reconcile(&mut clusters).unwrap();
    let Some(Effect::Delete(deletion)) = outcome.effects().pop() else { panic!("{:?}", outcome.stages) };
    let seen = host(&clusters).unwrap().resource_version();
    assert_eq!(deletion.version(), Some(seen), "one that is reserved meanwhile stays");
    assert_eq!(converge(&mut clusters), 2, "a delete and a create");
    assert_eq!(host(&clusters).unwrap().str_at("/spec/clusterIP"), Some("None"));
}

#[test]
fn a_load_balancer_is_not_built_without_the_annotations_that_shape_it() {
    let internal = "service.beta.kubernetes.io/aws-load-balancer-scheme";
    let annotations =
        json!({internal: "internal", "service.kubernetes.io/topology-mode": "Auto", "example.com/x": "y"});
    let annotated = |pair: &Pair| {
        let mut clusters = pair.virtual_only();
        edit(&mut clusters, Side::Virtual, "/metadata/annotations", annotations.clone());
        clusters
    };
    let error = reconcile(&mut annotated(&LOAD_BALANCER)).unwrap_err().to_string();
    let expected = format!("metadata.annotations: the load balancer would be built without {internal}, so");
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(converge(&mut annotated(&CLUSTER_IP)), 1, "only a load balancer");
    let preset = |facts: &mut tenet_mapper::Facts| facts.annotations = Globs::new(LOAD_BALANCERS);
    let mut allowed = annotated(&LOAD_BALANCER).facts(preset);
    assert_eq!(converge(&mut allowed), 1);
    assert_eq!(host(&allowed).unwrap().annotation(internal), Some("internal"));
}

#[test]
fn an_annotation_that_shapes_the_slices_of_the_host_crosses_without_a_line_of_configuration() {
    let key = "service.kubernetes.io/topology-mode";
    let mut clusters = CLUSTER_IP.both();
    edit(&mut clusters, Side::Virtual, "/metadata/annotations", json!({ key: "Auto" }));
    converge(&mut clusters);
    assert_eq!(host(&clusters).unwrap().annotation(key), Some("Auto"));
    assert_eq!(converge(&mut clusters), 0);
    edit(&mut clusters, Side::Virtual, "/metadata/annotations", json!({}));
    converge(&mut clusters);
    assert_eq!(host(&clusters).unwrap().annotation(key), None, "what the tenant takes back goes");
}

#[test]
fn what_may_not_cross_is_refused() {
    for (pointer, value, field) in [
        ("/spec/externalIPs", json!(["192.0.2.7"]), "spec.externalIPs"),
        ("/spec/selector", json!({"tenet.sh/managed-by": "vc-2"}), "spec.selector"),
        ("/spec/fresh", json!({"x": 1}), "spec.fresh"),
    ] {
        let mut clusters = CLUSTER_IP.virtual_only();
        edit(&mut clusters, Side::Virtual, pointer, value);
        match reconcile(&mut clusters) {
            Err(MapError::Refused(refusals)) => assert_eq!(refusals[0].field, field),
            other => panic!("{pointer}: {other:?}"),
        }
    }
}

/// The cause of a delete that follows the virtual Service.
fn follows() -> Cause {
    let virt = CLUSTER_IP.virtual_only();
    let uid = virt.object(Side::Virtual, kinds::SERVICE, "shop", "web").unwrap().uid().to_owned();
    Cause::TwinDeleting { twin: ObjectRef::new(Side::Virtual, kinds::SERVICE, "shop", "web"), uid }
}

#[test]
fn the_host_service_goes_with_its_original_and_comes_back_without() {
    let deleting = |clusters: &mut Clusters, side| {
        edit(clusters, side, "/metadata/deletionTimestamp", json!("2026-11-23T06:00:00Z"));
    };
    let mut clusters = CLUSTER_IP.both();
    deleting(&mut clusters, Side::Virtual);
    assert_eq!(deletion(&reconcile(&mut clusters).unwrap()).cause(), &follows());

    let mut orphan = Clusters::default().with(Side::Host, CLUSTER_IP.host);
    let outcome = reconcile(&mut orphan).unwrap();
    assert_eq!(deletion(&outcome).cause(), &Cause::TwinAbsent { twin: kinds::SERVICE });

    let mut again = CLUSTER_IP.both();
    edit(&mut again, Side::Virtual, "/metadata/uid", json!("another"));
    let outcome = reconcile(&mut again).unwrap();
    assert!(matches!(deletion(&outcome).cause(), Cause::TwinAbsent { .. }), "the old copy goes first");
    assert_eq!(outcome.wait.len(), 1);
    assert_eq!(converge(&mut again), 2);

    let mut by_hand = CLUSTER_IP.both();
    deleting(&mut by_hand, Side::Host);
    assert!(reconcile(&mut by_hand).unwrap().stages.is_empty());
    by_hand.vanish(kinds::SERVICE, &HostKey::new("team-a", HOST_NAME));
    assert_eq!(converge(&mut by_hand), 1, "it is created again");
}

#[test]
fn a_foreign_service_is_never_touched() {
    let mut clusters = CLUSTER_IP.both();
    edit(&mut clusters, Side::Host, "/metadata/annotations", json!({}));
    assert!(matches!(reconcile(&mut clusters), Err(MapError::Foreign { .. })));
}

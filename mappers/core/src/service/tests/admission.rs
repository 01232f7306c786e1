//! Admission of Services: requirements on the host before a Service is stored, and the life of a reservation.

use tenet_mapper::keys::{CHECKSUM, PENDING, PENDING_OVER, UID};
use tenet_mapper::plan::{Proof, proof};
use tenet_mapper::{Admission, Need, Next, Operation, Request, Reservation};

use super::*;

const RANGES: &str =
    "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: kubernetes}\nspec: {cidrs: [10.96.0.0/16]}";
const NOW: i64 = 1_800_000_000;

fn service(spec: Value) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}});
    service["spec"] = spec;
    service
}

fn create(spec: Value) -> Request {
    Request { operation: Operation::Create, object: Object::new(service(spec)), old: None }
}

fn update(old: Value, new: Value) -> Request {
    let with_uid = |spec| {
        let mut object = service(spec);
        object["metadata"]["uid"] = json!("u-1");
        Object::new(object)
    };
    Request { operation: Operation::Update, object: with_uid(new), old: Some(with_uid(old)) }
}

fn need(clusters: &Clusters, request: &Request, host: Option<Value>) -> Result<Need, MapError> {
    let host = host.map(|spec| Object::new(service(spec)));
    clusters.look(|cx| ServiceMapper::new().need(cx, request, host.as_ref()))
}

fn answer(clusters: &Clusters, request: &Request, host: Value) -> Result<Vec<(String, Value)>, MapError> {
    let host = Object::new(service(host));
    clusters.look(|cx| ServiceMapper::new().answer(cx, request, &host))
}

fn bed() -> Clusters {
    Clusters::default().with(Side::Virtual, RANGES)
}

fn port(number: u16) -> Value {
    json!([{"port": number, "protocol": "TCP"}])
}

#[test]
fn only_what_the_host_has_to_give_is_asked_for() {
    let stored = json!({"type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": port(80)});
    let outside = json!({"type": "ExternalName", "externalName": "a.b"});
    for (request, asks) in [
        (create(json!({"type": "ClusterIP", "ports": port(80)})), true),
        (create(json!({"type": "ClusterIP", "clusterIP": "None"})), false),
        (create(outside.clone()), false),
        (update(outside.clone(), json!({"type": "ClusterIP", "ports": port(80)})), true),
        (update(stored.clone(), outside.clone()), false),
        (update(stored.clone(), json!({"type": "NodePort", "ports": port(80)})), false),
        (update(json!({"type": "ExternalName", "externalName": "clusterip-change.tenet.sh.invalid"}), stored), false),
    ] {
        let need = need(&bed(), &request, None).unwrap();
        assert_eq!(matches!(need, Need::Create(_)), asks, "{request:?}: {need:?}");
        assert_eq!(need == Need::Nothing, !asks);
    }
}

#[test]
fn the_host_object_is_the_one_that_the_mapper_would_make_without_a_uid() {
    let spec = json!({"type": "ClusterIP", "selector": {"app": "web"}, "ports": port(80), "externalName": "left"});
    let Need::Create(desired) = need(&bed(), &create(spec), None).unwrap() else { panic!("nothing is created") };
    assert_eq!(desired["metadata"]["name"], HOST_NAME);
    assert_eq!(desired["metadata"]["annotations"].get(UID), None);
    assert_eq!(desired["spec"]["selector"]["tenet.sh/namespace"], "shop");
    assert_eq!(desired["spec"].get("externalName"), None);
}

#[test]
fn what_cannot_cross_is_refused_by_the_name_of_its_field() {
    for (spec, message) in [
        (
            json!({"type": "ClusterIP", "ports": port(80), "externalIPs": ["1.2.3.4"]}),
            "spec.externalIPs: takes traffic of the host's nodes that is meant for others",
        ),
        (
            json!({"type": "ClusterIP", "clusterIP": "10.97.0.1", "ports": port(80)}),
            "spec.clusterIP: 10.97.0.1 is outside of the service ranges of this cluster, 10.96.0.0/16",
        ),
    ] {
        assert_eq!(need(&bed(), &create(spec), None).unwrap_err().to_string(), message);
    }
    let refused = json!({"type": "ClusterIP", "clusterIP": "None", "externalIPs": ["1.2.3.4"]});
    let mut mended = refused.clone();
    mended["externalIPs"] = json!(["1.2.3.5"]);
    assert_eq!(need(&bed(), &update(refused, mended), None).unwrap(), Need::Nothing);
    let error = answer(&bed(), &create(json!({})), json!({"clusterIPs": ["10.97.0.1"]})).unwrap_err();
    assert!(error.to_string().contains("the service ranges differ"), "{error}");
}

#[test]
fn a_host_object_only_grows_for_a_change() {
    let host = json!({
        "type": "NodePort", "clusterIPs": ["10.96.0.7"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "a", "port": 80, "protocol": "TCP", "nodePort": 30080}],
    });
    let named = |name: &str, number: u16| json!({"name": name, "port": number, "protocol": "TCP"});
    let old = json!({"name": "a", "port": 80, "protocol": "TCP", "nodePort": 30080});
    for (new, values) in [
        (json!({"type": "NodePort", "ports": [named("a", 80)]}), vec![]),
        (json!({"type": "ClusterIP", "ports": [named("b", 81)]}), vec![]),
        // The API server carries a node port over by the name of its port.
        (json!({"type": "NodePort", "ports": [named("a", 81)]}), vec![]),
        (json!({"type": "NodePort", "ports": [named("b", 81)]}), vec![("/spec/ports", json!([old, named("b", 81)]))]),
        (
            json!({"type": "NodePort", "ports": [{"port": 81, "protocol": "TCP"}]}),
            vec![("/spec/ports", json!([old, named("tenet-tcp-81", 81)]))],
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30081}]}),
            vec![("/spec/ports", json!([{"name": "a", "port": 80, "protocol": "TCP", "nodePort": 30081}]))],
        ),
        (
            json!({"type": "LoadBalancer", "ports": [named("a", 80)], "ipFamilyPolicy": "RequireDualStack"}),
            vec![("/spec/ipFamilyPolicy", json!("RequireDualStack"))],
        ),
        (
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [named("a", 80)]}),
            vec![("/spec/type", json!("LoadBalancer")), ("/spec/externalTrafficPolicy", json!("Local"))],
        ),
    ] {
        let values: Vec<_> = values.into_iter().map(|(pointer, value)| (pointer.to_owned(), value)).collect();
        assert_eq!(
            need(&bed(), &update(host.clone(), new.clone()), Some(host.clone())).unwrap(),
            Need::Change(values),
            "{new}"
        );
    }
}

#[test]
fn a_change_that_failed_leaves_the_node_ports_of_the_host_where_they_were() {
    let mut clusters = CLUSTER_IP.both();
    let stored = json!([{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30080}]);
    let grown = json!([
        {"name": "tenet-tcp-80", "port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30080},
        {"name": "tenet-tcp-81", "port": 81, "protocol": "TCP", "targetPort": 81, "nodePort": 30081},
    ]);
    for (side, ports) in [(Side::Virtual, stored.clone()), (Side::Host, grown)] {
        edit(&mut clusters, side, "/spec/type", json!("NodePort"));
        edit(&mut clusters, side, "/spec/ports", ports);
    }
    converge(&mut clusters);
    assert_eq!(host(&clusters).unwrap().at("/spec/ports"), Some(&stored));
}

#[test]
fn a_reservation_serves_every_request_that_can_have_its_address() {
    let host = json!({"type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": port(80)});
    for (spec, fits) in [
        (json!({"type": "ClusterIP", "ports": port(80)}), true),
        (json!({"type": "NodePort", "ports": port(81)}), true),
        (json!({"type": "ClusterIP", "clusterIP": "10.96.0.7", "ports": port(80)}), true),
        (json!({"type": "ClusterIP", "clusterIP": "10.96.0.8", "ports": port(80)}), false),
    ] {
        let need = need(&bed(), &create(spec.clone()), Some(host.clone())).unwrap();
        assert_eq!(need != Need::Other, fits, "{spec}: {need:?}");
    }
}

#[test]
fn the_virtual_service_takes_what_the_host_gave_and_nothing_that_its_type_does_not_have() {
    let host = json!({
        "type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ipFamilies": ["IPv4"],
        "externalTrafficPolicy": "Local", "healthCheckNodePort": 30999,
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}],
    });
    let taken = |spec: Value| -> Vec<String> {
        let values = answer(&bed(), &create(spec), host.clone()).unwrap();
        values.into_iter().map(|(pointer, value)| format!("{pointer}={value}")).collect()
    };
    let address =
        [r#"/spec/clusterIP="10.96.0.7""#, r#"/spec/clusterIPs=["10.96.0.7"]"#, r#"/spec/ipFamilies=["IPv4"]"#];
    assert_eq!(taken(json!({"type": "ClusterIP", "ports": port(80)})), address);
    let ports = r#"/spec/ports=[{"nodePort":30080,"port":80,"protocol":"TCP"}]"#;
    assert_eq!(taken(json!({"type": "NodePort", "ports": port(80)}))[3..], [ports]);
    let local = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": port(80)});
    assert_eq!(taken(local)[3..], [ports, "/spec/healthCheckNodePort=30999"]);
    // A family that the host does not have would be given an address by the virtual API server.
    let dual = json!({"type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack", "ports": port(80)});
    assert_eq!(taken(dual)[3..], [r#"/spec/ipFamilyPolicy="SingleStack""#]);
}

#[test]
fn an_address_that_is_stored_is_never_changed_by_an_update() {
    let old = json!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": port(80)});
    let request = update(old, json!({"type": "ClusterIP", "ports": port(81)}));
    assert_eq!(answer(&bed(), &request, json!({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"]})).unwrap(), []);
}

/// The API server says what is wrong with such a change. With the value of the host in its place it would accept a change
/// that is then undone.
#[test]
fn a_change_of_what_cannot_change_is_left_to_the_api_server() {
    let stored = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000, "ipFamilies": ["IPv4"],
        "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": port(80),
    });
    for (field, value, is_given) in [
        ("clusterIP", json!("10.96.0.8"), false),
        ("ipFamilies", json!(["IPv6"]), false),
        ("healthCheckNodePort", json!(31001), false),
        ("clusterIP", json!(""), true),
        ("clusterIPs", json!([]), true),
        ("healthCheckNodePort", Value::Null, true),
        ("ports", port(81), true),
    ] {
        let mut changed = stored.clone();
        changed[field] = value.clone();
        let values = answer(&bed(), &update(stored.clone(), changed), stored.clone()).unwrap();
        let pointer = format!("/spec/{}", if field == "ports" { "clusterIP" } else { field });
        assert_eq!(values.iter().any(|(given, _)| *given == pointer), is_given, "{field} {value}: {values:?}");
    }
}

/// The fixture as a reservation, made at [`NOW`].
fn reserved(virt: bool, over: Option<&str>) -> Clusters {
    let mut clusters = CLUSTER_IP.both().with(Side::Virtual, RANGES).at(NOW);
    let mut object = host(&clusters).unwrap().value().clone();
    let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.insert(PENDING.to_owned(), json!(NOW.to_string()));
    match over {
        None => annotations.remove(CHECKSUM).and(annotations.remove(UID)),
        Some(base) => annotations.insert(PENDING_OVER.to_owned(), json!(base)),
    };
    clusters.put(Side::Host, object);
    if virt {
        return clusters;
    }
    let object = host(&clusters).unwrap().value().clone();
    let mut alone = bed().at(NOW);
    alone.put(Side::Host, object);
    alone
}

#[test]
fn a_reservation_waits_for_its_service_and_goes_when_none_comes() {
    let mut clusters = reserved(false, None);
    let outcome = reconcile(&mut clusters).unwrap();
    assert!(outcome.stages.is_empty(), "{outcome:?}");
    assert_eq!(outcome.next, Next::At(NOW + 90));
    let mut late = clusters.at(NOW + 90);
    let outcome = reconcile(&mut late).unwrap();
    let deletion = deletion(&outcome);
    assert_eq!(deletion.version(), Some(host(&late).unwrap().resource_version()));
    let facts = late.look(|cx| cx.facts().clone());
    let proof = proof(&Effect::Delete(deletion.clone()), host(&late).unwrap(), &facts).unwrap();
    let twin = ObjectRef::new(Side::Virtual, kinds::SERVICE, "shop", "web");
    assert_eq!(proof, Some(Proof::Absent { twin, uid: String::new() }), "no Service of the name may exist");
}

#[test]
fn a_reservation_is_adopted_by_the_service_that_comes() {
    let mut clusters = reserved(true, None);
    let outcome = reconcile(&mut clusters).unwrap();
    let Effect::ApplyHost(apply) = outcome.effects()[0] else { panic!("{outcome:?}") };
    let found = host(&clusters).unwrap().value().clone();
    let ops = tenet_mapper::patch::host_ops(&apply.desired, &found, apply.table.as_deref(), &Projection::Whole);
    let uid = virt(&clusters).uid();
    let checksum = &apply.desired["metadata"]["annotations"][CHECKSUM];
    assert_eq!(
        ops,
        [
            json!({"op": "add", "path": "/metadata/annotations/tenet.sh~1checksum", "value": checksum}),
            json!({"op": "add", "path": "/metadata/annotations/tenet.sh~1uid", "value": uid}),
            json!({"op": "remove", "path": "/metadata/annotations/tenet.sh~1pending"}),
        ]
    );
}

#[test]
fn what_is_reserved_for_a_change_stays_until_the_change_is_there_or_is_over() {
    let base = Reservation::base(virt(&CLUSTER_IP.virtual_only()));
    let mut clusters = reserved(true, Some(&base));
    edit(&mut clusters, Side::Host, "/spec/type", json!("NodePort"));
    let outcome = reconcile(&mut clusters).unwrap();
    assert!(outcome.stages.is_empty() && outcome.next == Next::At(NOW + 90), "{outcome:?}");

    let mut served = reserved(true, Some(&base));
    edit(&mut served, Side::Virtual, "/spec/type", json!("NodePort"));
    let outcome = reconcile(&mut served).unwrap();
    assert!(matches!(outcome.effects()[0], Effect::ApplyHost(apply) if apply.desired["spec"]["type"] == "NodePort"));

    let mut over = clusters.at(NOW + 90);
    let outcome = reconcile(&mut over).unwrap();
    assert!(matches!(outcome.effects()[0], Effect::ApplyHost(apply) if apply.desired["spec"]["type"] == "ClusterIP"));
}

#[test]
fn a_reservation_for_a_change_of_what_is_deleted_goes_with_it() {
    let base = Reservation::base(virt(&CLUSTER_IP.virtual_only()));
    let mut clusters = reserved(true, Some(&base));
    edit(&mut clusters, Side::Virtual, "/metadata/deletionTimestamp", json!("2026-11-23T10:00:00Z"));
    assert_eq!(*deletion(&reconcile(&mut clusters).unwrap()).cause(), follows());
}

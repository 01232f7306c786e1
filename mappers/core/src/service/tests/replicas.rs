use tenet_mapper::translate::ServiceRef;
use tenet_mapper::{HostScope, KeysOf, Kind, Reading};

use super::*;

const WORLD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: data}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {type: ClusterIP, clusterIP: 10.96.7.7, clusterIPs: [10.96.7.7], ports: [{name: https, port: 443, protocol: TCP}]}";

const HOST: &str = "
apiVersion: v1
kind: Service
metadata: {name: vc-1, namespace: team-a}
spec: {clusterIP: 10.96.7.7, clusterIPs: [10.96.7.7], ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: postgres, namespace: team-a}
spec:
  clusterIP: 10.96.3.3
  clusterIPs: [10.96.3.3]
  selector: {app: postgres}
  ports: [{name: pg, port: 5432, protocol: TCP, targetPort: 15432, nodePort: 30001}]";

const OWN: &str = "{apiVersion: v1, kind: Service, metadata: {name: pg, namespace: data}, spec: {type: ExternalName}}";

const FOREIGN: &str = "{apiVersion: v1, kind: Service, metadata: {name: shop-web, namespace: team-a}, spec: {}}";

const EXTERNAL: &str = "
apiVersion: v1
kind: Service
metadata: {name: postgres, namespace: team-a}
spec: {type: ExternalName, externalName: db.example.com}";

const HEADLESS: &str = "
apiVersion: v1
kind: Service
metadata: {name: postgres, namespace: shared}
spec:
  clusterIP: None
  clusterIPs: [None]
  selector: {app: postgres}
  ports: [{name: pg, port: 5432, protocol: TCP, targetPort: 15432}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: postgres-a, namespace: shared, labels: {kubernetes.io/service-name: postgres}}
addressType: IPv4
ports: [{name: pg, port: 15432, protocol: TCP}]
endpoints:
  - addresses: [10.0.0.1]
    hostname: postgres-0
    nodeName: node-1
    zone: z
    conditions: {ready: true, serving: true}
    targetRef: {kind: Pod, namespace: shared, name: postgres-0}
  - addresses: [10.0.0.2]
    conditions: {ready: false}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: postgres-b, namespace: shared, labels: {kubernetes.io/service-name: postgres}}
addressType: IPv6
ports: [{name: pg, port: 15432, protocol: TCP}]
endpoints: [{addresses: ['fd00::1'], conditions: {ready: true}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: other-a, namespace: shared, labels: {kubernetes.io/service-name: other}}
addressType: IPv4
ports: []
endpoints: [{addresses: [10.0.0.3]}]";

fn listed() -> ReplicateServices {
    let exposed = ToHost { from: ServiceRef::new("shop", "web"), to: "shop-web".to_owned() };
    ReplicateServices { from_host: vec![from("postgres")], to_host: vec![exposed] }
}

fn from(service: &str) -> FromHost {
    FromHost { from: service.parse().unwrap(), to: ServiceRef::new("data", "pg") }
}

fn clusters() -> Clusters {
    showing("postgres", HOST)
}

/// Clusters in which a Service of the host is listed for `data/pg`.
fn showing(service: &str, host: &str) -> Clusters {
    let listed = ReplicateServices { from_host: vec![from(service)], ..listed() };
    Clusters::default().with(Side::Virtual, WORLD).with(Side::Host, host).section(listed)
}

fn converge_pg(clusters: &mut Clusters) -> usize {
    clusters.converge(&ServiceMapper::new(), "data", "pg").unwrap()
}

fn shown(clusters: &Clusters) -> Value {
    clusters.object(Side::Virtual, kinds::SERVICE, "data", "pg").unwrap().value().clone()
}

fn slice(clusters: &Clusters) -> Value {
    of_host(clusters, "ipv4").unwrap()
}

/// The slice inside that has this name behind that of its Service.
fn of_host(clusters: &Clusters, name: &str) -> Option<Value> {
    let name = format!("pg-of-host-{name}");
    clusters.object(Side::Virtual, kinds::ENDPOINT_SLICE, "data", &name).map(|slice| slice.value().clone())
}

/// Events of a reconcile, as kind and message.
fn told(clusters: &mut Clusters) -> Vec<(String, String)> {
    let outcome = clusters.reconcile(&ServiceMapper::new(), "data", "pg").unwrap();
    let event = |effect: &&Effect| match effect {
        Effect::Emit(event) => Some((effect.target().kind.to_string(), event.message.clone())),
        _ => None,
    };
    outcome.effects().iter().filter_map(event).collect()
}

/// Keys that an object of the host wakes.
fn woken(clusters: &Clusters, kind: Kind, namespace: &str, name: &str) -> Vec<VirtualKey> {
    let mapper = ServiceMapper::new();
    let object = clusters.object(Side::Host, kind, namespace, name).unwrap();
    let of_inputs = mapper.spec().inputs.iter().filter(|input| input.kind == kind && namespace == "team-a");
    let of_inputs = of_inputs.filter_map(|input| match input.keys {
        KeysOf::Configured(keys_of) => Some(keys_of),
        _ => None,
    });
    let elsewhere = mapper.spec().elsewhere.iter().filter(|elsewhere| elsewhere.kind == kind);
    let elsewhere: Vec<_> = elsewhere
        .filter(|it| clusters.look(|cx| (it.scopes)(cx.facts())).iter().any(|scope| scope.namespace == namespace))
        .collect();
    let keys_of = of_inputs.chain(elsewhere.iter().map(|elsewhere| elsewhere.keys));
    keys_of.flat_map(|keys_of| clusters.look(|cx| keys_of(cx.facts(), object))).collect()
}

#[test]
fn a_service_of_the_host_is_shown_with_its_address_as_the_endpoint() {
    let mut clusters = clusters();
    assert_eq!(converge_pg(&mut clusters), 2, "a Service and its slice");
    assert_eq!(converge_pg(&mut clusters), 0);
    let service = shown(&clusters);
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["ports"], json!([{"name": "pg", "protocol": "TCP", "port": 5432, "targetPort": 5432}]));
    assert_eq!(service["spec"]["selector"], Value::Null);
    let endpoints = json!([{"addresses": ["10.96.3.3"], "conditions": {"ready": true}}]);
    assert_eq!(slice(&clusters)["endpoints"], endpoints);
    assert_eq!(slice(&clusters)["metadata"]["labels"]["kubernetes.io/service-name"], "pg");
    assert_eq!(slice(&clusters)["metadata"]["ownerReferences"][0]["uid"], service["metadata"]["uid"]);

    // Its own key heals what the tenant changes, and makes no copy on the host.
    let mut changed = shown(&clusters);
    changed["spec"]["selector"] = json!({"app": "own"});
    changed["spec"]["ports"] = json!([]);
    clusters.put(Side::Virtual, changed);
    assert_eq!(converge_pg(&mut clusters), 1);
    assert_eq!(shown(&clusters)["spec"].get("selector"), None);
    assert!(clusters.object(Side::Host, kinds::SERVICE, "team-a", "pg-x-data-x-vc-1").is_none());
}

#[test]
fn the_picture_of_a_service_that_is_gone_goes_and_comes_back() {
    let mut clusters = clusters();
    converge_pg(&mut clusters);
    clusters.vanish(kinds::SERVICE, &HostKey::new("team-a", "postgres"));
    let [(kind, message)] = &told(&mut clusters)[..] else { panic!("one event") };
    assert_eq!((kind.as_str(), message.as_str()), ("Service", "is deleted: the Service postgres of the host is gone"));
    assert_eq!(converge_pg(&mut clusters), 1);
    assert!(clusters.object(Side::Virtual, kinds::SERVICE, "data", "pg").is_none());
    assert_eq!(converge_pg(&mut clusters), 0);
    clusters = clusters.with(Side::Host, HOST);
    assert!(converge_pg(&mut clusters) > 0);
    assert_eq!(shown(&clusters)["spec"]["clusterIP"], "None");
}

#[test]
fn what_the_configuration_does_not_list_any_more_leads_nowhere() {
    for host in [HOST, EXTERNAL] {
        let mut clusters = showing("postgres", host);
        converge_pg(&mut clusters);
        clusters = clusters.section(ReplicateServices::default());
        assert_eq!(converge_pg(&mut clusters), 1, "the slice is emptied, or the external name ends");
        assert_eq!(shown(&clusters)["spec"]["clusterIP"], "None");
        assert_eq!(shown(&clusters)["spec"].get("externalName"), None);
        assert_eq!(of_host(&clusters, "ipv4").map_or(json!([]), |slice| slice["endpoints"].clone()), json!([]));
        assert_eq!(converge_pg(&mut clusters), 0);
        assert!(told(&mut clusters)[0].1.contains("does not list it"));
    }
}

#[test]
fn an_entry_that_names_another_service_ends_what_it_showed_before() {
    let mut clusters = clusters();
    converge_pg(&mut clusters);
    let other = ReplicateServices { from_host: vec![from("shared/gone")], ..ReplicateServices::default() };
    clusters = clusters.section(other);
    converge_pg(&mut clusters);
    assert!(clusters.object(Side::Virtual, kinds::SERVICE, "data", "pg").is_none());
    assert_eq!(slice(&clusters)["endpoints"], json!([]));
}

#[test]
fn a_service_of_the_tenant_under_that_name_is_left_alone() {
    let mut clusters = clusters().with(Side::Virtual, OWN);
    let before = shown(&clusters);
    assert_eq!(converge_pg(&mut clusters), 0);
    assert_eq!(shown(&clusters), before);
    let [(kind, message)] = &told(&mut clusters)[..] else { panic!("one event") };
    assert!(kind == "Service" && message.contains("a Service of yours has this name"), "{message}");

    let mut without = Clusters::default().with(Side::Host, HOST).section(listed());
    without = without.with(Side::Virtual, WORLD.split("---").nth(1).unwrap());
    assert_eq!(converge_pg(&mut without), 0, "its namespace does not exist yet");
}

#[test]
fn the_copy_of_an_earlier_service_of_the_tenant_goes_first() {
    let mut clusters =
        Clusters::default().with(Side::Virtual, WORLD).with(Side::Virtual, &OWN.replace("ExternalName", "ClusterIP"));
    converge_pg(&mut clusters);
    let copy =
        |clusters: &Clusters| clusters.object(Side::Host, kinds::SERVICE, "team-a", "pg-x-data-x-vc-1").is_some();
    assert!(copy(&clusters));
    let mut later = showing("postgres", HOST);
    later.put(
        Side::Host,
        clusters.object(Side::Host, kinds::SERVICE, "team-a", "pg-x-data-x-vc-1").unwrap().value().clone(),
    );
    converge_pg(&mut later);
    assert!(!copy(&later));
    assert_eq!(shown(&later)["spec"]["clusterIP"], "None");
}

#[test]
fn services_of_other_namespaces_are_shown_and_their_changes_wake_one_key() {
    let mut clusters = showing("shared/postgres", &HOST.replace("team-a", "shared"));
    converge_pg(&mut clusters);
    assert_eq!(slice(&clusters)["endpoints"][0]["addresses"], json!(["10.96.3.3"]));
    assert_eq!(shown(&clusters)["metadata"]["annotations"]["tenet.sh/shows"], "shared/postgres");
    let pg = VirtualKey::new("data", "pg");
    assert_eq!(woken(&clusters, kinds::SERVICE, "shared", "postgres"), std::slice::from_ref(&pg));
    assert_eq!(woken(&clusters, kinds::SERVICE, "shared", "vc-1"), []);
    let scopes = |clusters: &Clusters| {
        let of = |elsewhere: &tenet_mapper::Elsewhere| clusters.look(|cx| (elsewhere.scopes)(cx.facts()));
        ServiceMapper::new().spec().elsewhere.iter().map(of).collect::<Vec<_>>()
    };
    let shared = HostScope { keys: vec![pg], ..HostScope::of("shared") };
    let selector = Some("kubernetes.io/service-name in (postgres)".to_owned());
    let of_slices = HostScope { selector: selector.clone(), ..shared.clone() };
    assert_eq!(scopes(&clusters), [vec![shared], vec![of_slices]]);
    let own = scopes(&self::clusters());
    assert!(own[0].is_empty() && own[1][0].selector == selector, "the own Services are read at all times: {own:?}");
}

#[test]
fn a_headless_service_has_the_addresses_of_its_slices() {
    let mut clusters = showing("shared/postgres", HEADLESS);
    converge_pg(&mut clusters);
    assert_eq!(converge_pg(&mut clusters), 0);
    let (v4, v6) = (of_host(&clusters, "ipv4-postgres-a").unwrap(), of_host(&clusters, "ipv6-postgres-b").unwrap());
    let of_v4 = json!([
        {"addresses": ["10.0.0.1"], "hostname": "postgres-0", "conditions": {"ready": true, "serving": true}},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
    ]);
    assert_eq!(v4["endpoints"], of_v4, "without nodes, zones and pods of the host");
    assert_eq!(v4["ports"], json!([{"name": "pg", "port": 15432, "protocol": "TCP"}]));
    assert_eq!((&v6["addressType"], &v6["endpoints"][0]["addresses"]), (&json!("IPv6"), &json!(["fd00::1"])));
    assert_eq!(of_host(&clusters, "ipv4-other-a"), None, "of another Service");
    assert_eq!(woken(&clusters, kinds::ENDPOINT_SLICE, "shared", "postgres-a"), [VirtualKey::new("data", "pg")]);
    assert_eq!(woken(&clusters, kinds::ENDPOINT_SLICE, "shared", "other-a"), []);

    // An address moves, and a slice goes.
    let moved = HEADLESS.split("---").nth(1).unwrap().replace("10.0.0.1", "10.0.0.9");
    clusters = clusters.with(Side::Host, &moved);
    clusters.vanish(kinds::ENDPOINT_SLICE, &HostKey::new("shared", "postgres-b"));
    assert_eq!(converge_pg(&mut clusters), 2);
    assert_eq!(of_host(&clusters, "ipv4-postgres-a").unwrap()["endpoints"][0]["addresses"], json!(["10.0.0.9"]));
    assert_eq!(of_host(&clusters, "ipv6-postgres-b"), None);

    // The host makes it again, with an address.
    clusters = clusters.with(Side::Host, &HOST.replace("team-a", "shared"));
    converge_pg(&mut clusters);
    assert_eq!(slice(&clusters)["endpoints"][0]["addresses"], json!(["10.96.3.3"]));
    assert_eq!(of_host(&clusters, "ipv4-postgres-a").unwrap()["endpoints"], json!([]));
}

#[test]
fn an_external_name_is_shown_unless_it_means_another_service_inside() {
    let mut clusters = showing("postgres", EXTERNAL);
    assert_eq!(converge_pg(&mut clusters), 1);
    assert_eq!(shown(&clusters)["spec"], json!({"type": "ExternalName", "externalName": "db.example.com"}));
    assert_eq!(converge_pg(&mut clusters), 0);
    clusters = clusters.with(Side::Host, HOST);
    converge_pg(&mut clusters);
    assert_eq!(
        (&shown(&clusters)["spec"]["type"], &shown(&clusters)["spec"]["clusterIP"]),
        (&json!("ClusterIP"), &json!("None"))
    );
    assert_eq!(shown(&clusters)["spec"].get("externalName"), None);
    for name in ["db.prod.svc.cluster.local", "db.prod.svc", "db.prod.svc.cluster.local."] {
        let mut local = showing("postgres", &EXTERNAL.replace("db.example.com", name));
        assert_eq!(converge_pg(&mut local), 0);
        let [(kind, message)] = &told(&mut local)[..] else { panic!("one event") };
        assert!(kind == "Namespace" && message.contains(name), "{message}");
    }
}

#[test]
fn what_the_syncer_may_not_read_stays_as_it_was_and_is_told() {
    let host = HOST.replace("team-a", "shared");
    let mut never = showing("shared/postgres", &host).reading(kinds::SERVICE, "shared", Reading::Forbidden);
    assert_eq!(converge_pg(&mut never), 0);
    let [(kind, message)] = &told(&mut never)[..] else { panic!("one event") };
    assert_eq!(kind, "Namespace");
    assert!(message.contains("may not read Services in namespace shared of the host"), "{message}");

    let mut later = showing("shared/postgres", &host);
    converge_pg(&mut later);
    later = later.reading(kinds::SERVICE, "shared", Reading::Forbidden);
    later.vanish(kinds::SERVICE, &HostKey::new("shared", "postgres"));
    assert_eq!(converge_pg(&mut later), 0);
    assert_eq!(told(&mut later)[0].0, "Service");

    let mut starting = showing("shared/postgres", &host);
    converge_pg(&mut starting);
    starting = starting.reading(kinds::SERVICE, "shared", Reading::Listing);
    starting.vanish(kinds::SERVICE, &HostKey::new("shared", "postgres"));
    assert_eq!((converge_pg(&mut starting), told(&mut starting)), (0, Vec::new()));

    let mut slices = showing("shared/postgres", HEADLESS).reading(kinds::ENDPOINT_SLICE, "shared", Reading::Forbidden);
    assert_eq!(converge_pg(&mut slices), 1, "the Service alone");
    assert!(told(&mut slices)[0].1.contains("may not read EndpointSlices"));
}

#[test]
fn a_service_inside_has_a_further_name_on_the_host() {
    let mut clusters = CLUSTER_IP.virtual_only().section(listed());
    assert_eq!(converge(&mut clusters), 2);
    assert_eq!(converge(&mut clusters), 0);
    let further = |clusters: &Clusters| clusters.object(Side::Host, kinds::SERVICE, "team-a", "shop-web").cloned();
    let (copy, exposed) = (host(&clusters).unwrap().clone(), further(&clusters).unwrap());
    assert_eq!(exposed.at("/spec/selector"), copy.at("/spec/selector"));
    assert_eq!(exposed.at("/spec/clusterIP"), None, "the host gives it an address");
    assert_eq!(exposed.str_at("/spec/type"), Some("ClusterIP"));

    let mut without = CLUSTER_IP.virtual_only();
    for object in [copy, exposed] {
        without.put(Side::Host, object.value().clone());
    }
    let outcome = reconcile(&mut without).unwrap();
    let deletes: Vec<_> = outcome.effects().into_iter().filter(|effect| effect.verb() == "delete").collect();
    assert_eq!(deletes.iter().map(|it| it.target().name.to_string()).collect::<Vec<_>>(), ["shop-web"]);

    let mut taken = CLUSTER_IP.virtual_only().with(Side::Host, FOREIGN).section(listed());
    assert_eq!(converge(&mut taken), 1, "the copy");
    assert_eq!(further(&taken).unwrap().at("/spec"), Some(&json!({})));
}

#[test]
fn the_further_name_goes_with_the_service() {
    let mut clusters = CLUSTER_IP.virtual_only().section(listed());
    converge(&mut clusters);
    let mut gone = Clusters::default().section(listed());
    for name in [HOST_NAME, "shop-web"] {
        let object = clusters.object(Side::Host, kinds::SERVICE, "team-a", name).unwrap();
        gone.put(Side::Host, object.value().clone());
    }
    assert_eq!(converge(&mut gone), 2);
}

use serde_json::{Value, json};
use tenet_mapper::testing::Clusters;
use tenet_mapper::{HostKey, MapError};

use super::*;

const AROUND: &str = "
apiVersion: v1
kind: Service
metadata: {name: legacy-db, namespace: shop, uid: s}
spec: {type: ClusterIP, ports: [{name: pg, port: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.96.0.0/16]}";

const HOST_SERVICE: &str = "
apiVersion: v1
kind: Service
metadata:
  name: legacy-db-x-shop-x-vc-1
  namespace: team-a
  labels: {tenet.sh/managed-by: vc-1, tenet.sh/namespace: shop}
  annotations:
    tenet.sh/cluster: 00000000-0000-0000-0000-00000000c1d0
    tenet.sh/host-name: team-a/legacy-db-x-shop-x-vc-1
    tenet.sh/kind: Service
    tenet.sh/name: legacy-db
    tenet.sh/namespace: shop
    tenet.sh/uid: s";

const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: legacy-db-1
  namespace: shop
  labels:
    kubernetes.io/service-name: legacy-db
    endpointslice.kubernetes.io/managed-by: endpointslicemirroring-controller.k8s.io
addressType: IPv4
ports: [{name: pg, protocol: TCP, port: 5432, appProtocol: postgres}]
endpoints:
- addresses: [10.40.0.9]
  conditions: {ready: true, serving: true, terminating: false}
  nodeName: node-1
  zone: a
  hints: {forZones: [{name: a}]}
  targetRef: {kind: Pod, namespace: shop, name: pg-0, uid: p}";

fn clusters() -> Clusters {
    Clusters::default().with(Side::Virtual, AROUND).with(Side::Virtual, SLICE).with(Side::Host, HOST_SERVICE)
}

fn converge(clusters: &mut Clusters) -> Result<usize, MapError> {
    clusters.converge(&EndpointSliceMapper::new(), "shop", "legacy-db-1")
}

fn copy_of(clusters: &Clusters) -> Option<Value> {
    let copy = clusters.object(Side::Host, kinds::ENDPOINT_SLICE, "team-a", "legacy-db-1-x-shop-x-vc-1");
    copy.map(|copy| copy.value().clone())
}

fn edit(clusters: &mut Clusters, kind: tenet_mapper::Kind, name: &str, pointer: &str, value: Value) {
    let mut object = clusters.object(Side::Virtual, kind, "shop", name).unwrap().value().clone();
    pointer::set(&mut object, pointer, value);
    clusters.put(Side::Virtual, object);
}

fn messages(clusters: &mut Clusters) -> Vec<String> {
    let outcome = clusters.reconcile(&EndpointSliceMapper::new(), "shop", "legacy-db-1").unwrap();
    let told = outcome.effects().into_iter().filter_map(|effect| match effect {
        Effect::Emit(event) => Some(format!("{} {}: {}", event.kind, event.key, event.message)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_slice_crosses_for_the_host_service_and_names_the_host_pod() {
    let mut clusters = clusters();
    assert_eq!(converge(&mut clusters), Ok(1));
    let copy = copy_of(&clusters).unwrap();
    let labels = &copy["metadata"]["labels"];
    assert_eq!(labels[SERVICE_NAME], "legacy-db-x-shop-x-vc-1");
    assert_eq!(labels[SLICE_MANAGED_BY], "tenet.sh", "the host's mirroring controller removes what it does not know");
    let target = json!({"kind": "Pod", "namespace": "team-a", "name": "pg-0-x-shop-x-vc-1"});
    assert_eq!(
        copy["endpoints"],
        json!([{"addresses": ["10.40.0.9"], "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "node-1", "zone": "a", "hints": {"forZones": [{"name": "a"}]}, "targetRef": target}])
    );
    assert_eq!(copy["ports"], json!([{"name": "pg", "protocol": "TCP", "port": 5432, "appProtocol": "postgres"}]));
    assert_eq!(converge(&mut clusters), Ok(0), "the second look writes nothing");
}

/// Patroni and Knative move the endpoints of one Service from pod to pod.
#[test]
fn endpoints_and_ports_follow() {
    let mut clusters = clusters();
    converge(&mut clusters).unwrap();
    for (pointer, value) in [
        ("/endpoints", json!([{"addresses": ["10.40.0.10"], "conditions": {"ready": false}}])),
        ("/endpoints", json!([{"addresses": ["10.40.0.10"]}, {"addresses": ["10.40.0.11"]}])),
        ("/endpoints", json!([])),
        ("/ports", json!([{"name": "pg", "protocol": "TCP", "port": 6432}])),
    ] {
        edit(&mut clusters, kinds::ENDPOINT_SLICE, "legacy-db-1", pointer, value.clone());
        assert_eq!(converge(&mut clusters), Ok(1), "{pointer} {value}");
        assert_eq!(copy_of(&clusters).unwrap().pointer(pointer), Some(&value));
    }
}

#[test]
fn a_slice_of_a_service_that_the_host_fills_does_not_cross() {
    for (pointer, value) in [
        ("/spec/selector", json!({"app": "db"})),
        ("/spec/type", json!("ExternalName")),
        ("/metadata/deletionTimestamp", json!("2026-11-23T06:00:00Z")),
    ] {
        let mut clusters = clusters();
        converge(&mut clusters).unwrap();
        edit(&mut clusters, kinds::SERVICE, "legacy-db", pointer, value);
        assert_eq!(converge(&mut clusters), Ok(1), "{pointer}");
        assert_eq!(copy_of(&clusters), None, "{pointer}");
    }
}

#[test]
fn the_slice_of_a_service_whose_delete_waits_for_a_finalizer_stays() {
    let mut clusters = clusters();
    converge(&mut clusters).unwrap();
    for (pointer, value) in [
        ("/metadata/finalizers", json!(["example.com/hold"])),
        ("/metadata/deletionTimestamp", json!("2026-11-23T06:00:00Z")),
    ] {
        edit(&mut clusters, kinds::SERVICE, "legacy-db", pointer, value);
    }
    assert_eq!(converge(&mut clusters), Ok(0));
    assert!(copy_of(&clusters).is_some());
}

#[test]
fn a_slice_waits_for_the_host_service_and_never_fills_a_foreign_one() {
    let mut alone = Clusters::default().with(Side::Virtual, AROUND).with(Side::Virtual, SLICE);
    let outcome = alone.reconcile(&EndpointSliceMapper::new(), "shop", "legacy-db-1").unwrap();
    let service = Dependency::host(kinds::SERVICE, &HostKey::new("team-a", "legacy-db-x-shop-x-vc-1"));
    assert!(outcome.stages.is_empty() && outcome.wait.contains(&service), "{outcome:?}");
    let foreign = HOST_SERVICE.replace("00000000c1d0", "00000000beef");
    let mut taken = alone.with(Side::Host, &foreign);
    assert_eq!(converge(&mut taken), Ok(0));
    assert_eq!(copy_of(&taken), None);
}

#[test]
fn the_slice_of_the_virtual_api_server_stays_inside() {
    let named = |text: &str| text.replace("legacy-db-1", "kubernetes").replace("legacy-db", "kubernetes");
    let inside = |text: &str| named(text).replace("namespace: shop", "namespace: default");
    let host = named(HOST_SERVICE).replace("shop", "default");
    let mut clusters = Clusters::default()
        .with(Side::Virtual, &inside(AROUND))
        .with(Side::Virtual, &inside(SLICE))
        .with(Side::Host, &host);
    assert_eq!(clusters.converge(&EndpointSliceMapper::new(), "default", "kubernetes"), Ok(0));
}

#[test]
fn an_address_that_is_not_for_the_tenant_is_left_out_and_its_service_says_so() {
    for (address, reason) in [
        ("169.254.169.254", "169.254.0.0/16, which is not for servers"),
        ("::ffff:169.254.169.254", "169.254.0.0/16, which is not for servers"),
        ("64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:0/112, which is not for servers"),
        ("127.0.0.1", "127.0.0.0/8, which is not for servers"),
        ("224.0.0.1", "224.0.0.0/4, which is not for servers"),
        ("fe80::1", "fe80::/10, which is not for servers"),
        ("::1", "::1/128, which is not for servers"),
        ("10.96.0.1", "10.96.0.0/16, the range of Services"),
        ("100.100.100.200", "100.100.100.200/32, which endpointSlices.refuse names"),
        ("fd00:ec2::254", "fd00:ec2::254/128, which endpointSlices.refuse names"),
    ] {
        let mut clusters = clusters();
        let endpoints = json!([{"addresses": [address]}, {"addresses": ["10.40.0.9"]}]);
        edit(&mut clusters, kinds::ENDPOINT_SLICE, "legacy-db-1", "/endpoints", endpoints);
        assert_eq!(converge(&mut clusters), Ok(1), "{address}");
        assert_eq!(copy_of(&clusters).unwrap()["endpoints"], json!([{"addresses": ["10.40.0.9"]}]), "{address}");
        let told = format!(
            "Service shop/legacy-db: EndpointSlice legacy-db-1: the address {address} is left out: it lies in {reason}"
        );
        assert_eq!(messages(&mut clusters), [told]);
        let allow = vec![format!("{address}/{}", if address.contains(':') { 128 } else { 32 }).parse().unwrap()];
        let mut allowed = clusters.section(EndpointSlices { allow, ..EndpointSlices::default() });
        if !address.starts_with("::ffff") {
            assert_eq!(messages(&mut allowed), Vec::<String>::new(), "{address}");
        }
    }
}

#[test]
fn names_instead_of_addresses_are_refused() {
    let mut clusters = clusters();
    edit(&mut clusters, kinds::ENDPOINT_SLICE, "legacy-db-1", "/addressType", json!("FQDN"));
    match converge(&mut clusters) {
        Err(MapError::Refused(refusals)) => assert_eq!(refusals[0].field, "addressType"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_syncer_without_the_right_says_so_on_the_service() {
    let mut clusters = clusters().unreadable(Side::Host, kinds::ENDPOINT_SLICE);
    assert_eq!(converge(&mut clusters), Ok(0));
    assert!(messages(&mut clusters)[0].ends_with("the syncer may not write EndpointSlices on the host"));
}

#[test]
fn a_slice_that_somebody_adds_to_a_service_with_a_selector_is_told() {
    let mut clusters = clusters();
    edit(&mut clusters, kinds::SERVICE, "legacy-db", "/spec/selector", json!({"app": "db"}));
    assert_eq!(messages(&mut clusters), Vec::<String>::new(), "the virtual cluster removes what it has mirrored");
    let labels = json!({"kubernetes.io/service-name": "legacy-db"});
    edit(&mut clusters, kinds::ENDPOINT_SLICE, "legacy-db-1", "/metadata/labels", labels);
    let told = messages(&mut clusters);
    assert!(told.len() == 1 && told[0].contains("legacy-db-1: its addresses are left out"), "{told:?}");
    assert_eq!(copy_of(&clusters), None);
}

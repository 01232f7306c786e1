use serde_json::json;
use tenet_mapper::testing::Clusters;

use super::*;
use crate::namespace::service_env::{API, of_api, of_namespace};

const NAMESPACES: &str = "
{kind: Namespace, metadata: {name: default, uid: n-0}}
---
{kind: Namespace, metadata: {name: shop, uid: n-1}}";

const SERVICES: &str = "
{kind: Service, metadata: {name: kubernetes, namespace: default}, spec: {clusterIP: 10.0.0.1, ports: [{port: 443}]}}
---
{kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.0.0.2, ports: [{port: 80}]}}
---
{kind: Service, metadata: {name: other, namespace: default}, spec: {clusterIP: 10.0.0.3, ports: [{port: 80}]}}";

/// Both clusters, with the `ConfigMap`s that pods in all namespaces have brought.
fn clusters() -> Clusters {
    let mut clusters = Clusters::default().with(Side::Virtual, NAMESPACES).with(Side::Virtual, SERVICES);
    let brought = clusters.look(|cx| {
        let namespace = |name| cx.virt(kinds::NAMESPACE, &VirtualKey::new("", name)).unwrap();
        let mut maps = of_namespace(cx, &namespace("shop"));
        maps.extend(of_namespace(cx, &namespace("default")));
        maps.push(of_api(cx, &namespace(API)).unwrap());
        maps
    });
    for map in brought {
        assert_eq!(clusters.perform(Effect::ApplyHost(Box::new(map))), 1);
    }
    clusters
}

fn converge(clusters: &mut Clusters, namespace: &str) -> usize {
    clusters.converge(&NamespaceMapper::new(), "", namespace).unwrap()
}

/// The variables on the host, of all `ConfigMap`s.
fn variables(clusters: &Clusters) -> Vec<String> {
    let maps = clusters.look(|cx| cx.list(Side::Host, kinds::CONFIG_MAP, "team-a"));
    let data = maps.iter().filter_map(|map| map.at("/data")).filter_map(|data| data.as_object());
    let mut names: Vec<_> = data.flat_map(|data| data.keys().cloned()).filter(|name| name.ends_with("_HOST")).collect();
    names.sort_unstable();
    names
}

#[test]
fn each_namespace_has_its_services_and_the_api_server_stands_alone() {
    let clusters = clusters();
    assert_eq!(variables(&clusters), ["KUBERNETES_SERVICE_HOST", "OTHER_SERVICE_HOST", "WEB_SERVICE_HOST"]);
    assert_eq!(clusters.look(|cx| cx.list(Side::Host, kinds::CONFIG_MAP, "team-a")).len(), 3);
}

#[test]
fn changed_services_are_written_once_and_nothing_before_a_pod_needs_it() {
    let mut clusters = clusters();
    let more =
        "{kind: Service, metadata: {name: more, namespace: shop}, spec: {clusterIP: 10.0.0.4, ports: [{port: 1}]}}";
    clusters = clusters.with(Side::Virtual, more);
    assert_eq!(converge(&mut clusters, "shop"), 1);
    assert_eq!(converge(&mut clusters, "default"), 0);
    assert!(variables(&clusters).contains(&"MORE_SERVICE_HOST".to_owned()));

    let mut unused = Clusters::default().with(Side::Virtual, NAMESPACES).with(Side::Virtual, SERVICES);
    assert_eq!(converge(&mut unused, "shop") + converge(&mut unused, "default"), 0);
}

/// The API server stores no empty map.
#[test]
fn a_namespace_without_services_is_written_once() {
    let mut clusters = clusters()
        .with(Side::Virtual, "{kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: None}}");
    assert_eq!(converge(&mut clusters, "shop"), 1, "the variables go");
    let name = clusters.look(|cx| cx.facts().names.service_env_name("shop", 0));
    let map = clusters.object(Side::Host, kinds::CONFIG_MAP, "team-a", &name).unwrap().value().clone();
    assert_eq!(map.get("data"), None, "{map}");
    assert_eq!(converge(&mut clusters, "shop"), 0);
}

#[test]
fn the_address_of_the_api_server_is_that_of_the_host() {
    let host = "{kind: Service, metadata: {name: vc-1, namespace: team-a}, spec: {clusterIP: 10.96.0.20, ports: [{name: https, port: 443}]}}";
    let mut clusters = clusters().with(Side::Host, host);
    assert_eq!(converge(&mut clusters, "default"), 1);
    let maps = clusters.look(|cx| cx.list(Side::Host, kinds::CONFIG_MAP, "team-a"));
    let addresses: Vec<_> = maps.iter().filter_map(|map| map.at("/data/KUBERNETES_SERVICE_HOST")).collect();
    assert_eq!(addresses, [&json!("10.96.0.20")]);
}

#[test]
fn they_go_with_the_namespace_and_make_room_for_the_next_one() {
    let mut clusters = clusters();
    clusters.put(Side::Virtual, json!({"kind": "Namespace", "metadata": {"name": "shop", "uid": "n-2"}}));
    assert_eq!(converge(&mut clusters, "shop"), 1, "the old one goes");
    assert!(!variables(&clusters).contains(&"WEB_SERVICE_HOST".to_owned()));

    let alone = Clusters::default().with(Side::Virtual, SERVICES);
    let maps = clusters.look(|cx| cx.list(Side::Host, kinds::CONFIG_MAP, "team-a"));
    let mut gone = maps.iter().fold(alone, |mut gone, map| {
        gone.put(Side::Host, map.value().clone());
        gone
    });
    assert_eq!(converge(&mut gone, "default"), 2);
    assert_eq!(variables(&gone), [""; 0]);
}

#[test]
fn a_foreign_map_of_the_name_stays() {
    let mut clusters = Clusters::default().with(Side::Virtual, NAMESPACES).with(Side::Virtual, SERVICES);
    let name = clusters.look(|cx| cx.facts().names.service_env_name("shop", 0));
    clusters.put(Side::Host, json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "team-a"}}));
    let error = clusters.converge(&NamespaceMapper::new(), "", "shop").unwrap_err();
    assert!(matches!(error, MapError::Foreign { .. }), "{error}");
}

//! A mapper that is nothing but its table: selectors are narrowed and what the host owns comes up, without code.

use serde_json::{Value, json};
use tenet_mapper::rules::{SelectorForm, Table, copy, selector, set, up};
use tenet_mapper::testing::Clusters;
use tenet_mapper::{CopyMapper, Effect, Kind, MapperSpec, Object, Side};

const KIND: Kind = Kind::of("example.com", "v1", "Gateway", "gateways");

const VIRTUAL: &str = "
apiVersion: example.com/v1
kind: Gateway
metadata: {name: web, namespace: shop, uid: u, resourceVersion: '1'}
spec: {class: public, pods: {matchLabels: {app: web}}, address: 192.0.2.99}";

fn mapper() -> CopyMapper {
    let table = Table::new(&[
        ("", &[set("apiVersion", ""), set("kind", ""), set("metadata", "")]),
        (
            "spec",
            &[
                copy("class").kept(),
                selector("pods", SelectorForm::Labels).kept(),
                up("address"),
                up("hosts[].port").computed(),
            ],
        ),
        ("status", &[up("ready"), up("endpoints"), up("summary").computed()]),
    ]);
    CopyMapper::of_table(MapperSpec::both_sides("gateway", KIND, table.expect("a table")))
}

fn host(clusters: &Clusters) -> Object {
    clusters.object(Side::Host, KIND, "team-a", "web-x-shop-x-vc-1").expect("the host object").clone()
}

fn virt(clusters: &Clusters) -> Object {
    clusters.object(Side::Virtual, KIND, "shop", "web").expect("the virtual object").clone()
}

/// Object as the host's controller changes it.
fn serve(clusters: &mut Clusters, status: Value) {
    let mut host = host(clusters).value().clone();
    host["spec"]["address"] = json!("203.0.113.1");
    host["status"] = status;
    clusters.put(Side::Host, host);
}

#[test]
fn a_selector_is_narrowed_by_its_rule() {
    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    clusters.converge(&mapper(), "shop", "web").unwrap();
    let pods = json!({"matchLabels": {"app": "web", "tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"}});
    assert_eq!(host(&clusters).at("/spec"), Some(&json!({"class": "public", "pods": pods})));
}

#[test]
fn what_the_host_owns_comes_up_and_what_the_mapper_computes_does_not() {
    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    clusters.converge(&mapper(), "shop", "web").unwrap();
    serve(&mut clusters, json!({"ready": true, "endpoints": ["a", "b"], "summary": "of the host"}));

    let outcome = clusters.reconcile(&mapper(), "shop", "web").unwrap();
    let parts: Vec<_> = outcome
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::PatchVirtual(patch) => Some((patch.subresource, patch.values.len())),
            _ => None,
        })
        .collect();
    assert_eq!(parts, [(None, 1), (Some("status"), 2)]);

    clusters.converge(&mapper(), "shop", "web").unwrap();
    assert_eq!(virt(&clusters).str_at("/spec/address"), Some("203.0.113.1"), "the host's, whatever the tenant wrote");
    assert_eq!(virt(&clusters).at("/status"), Some(&json!({"ready": true, "endpoints": ["a", "b"]})));
    assert_eq!(clusters.converge(&mapper(), "shop", "web").unwrap(), 0, "at rest nothing is written");
}

#[test]
fn what_the_host_takes_away_goes_and_an_empty_value_is_none() {
    let mut clusters = Clusters::default().with(Side::Virtual, VIRTUAL);
    clusters.converge(&mapper(), "shop", "web").unwrap();
    serve(&mut clusters, json!({"ready": true, "endpoints": []}));
    clusters.converge(&mapper(), "shop", "web").unwrap();
    assert_eq!(virt(&clusters).at("/status"), Some(&json!({"ready": true})));
    serve(&mut clusters, json!({}));
    clusters.converge(&mapper(), "shop", "web").unwrap();
    assert_eq!(virt(&clusters).at("/status/ready"), None);
}

//! Cost of a reconcile: names, a rule table, and the whole pod mapper.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::Value;
use tenet_core_mappers::Dns;
use tenet_mapper::rules::{Defaults, DownContext, Policy};
use tenet_mapper::testing::Clusters;
use tenet_mapper::translate::labels::LabelPolicy;
use tenet_mapper::translate::selectors::Scope;
use tenet_mapper::translate::{NameScheme, Names};
use tenet_mapper::{Mapper, Side, kinds};

const POD: &str = include_str!("pod.yaml");

fn pod_mapper() -> Box<dyn Mapper> {
    let found = tenet_core_mappers::all().into_iter().find(|mapper| mapper.spec().kind == kinds::POD);
    found.expect("there is a mapper of pods")
}

fn clusters() -> Clusters {
    let services = "apiVersion: v1\nkind: Service\nmetadata: {name: kubernetes, namespace: default}\n\
                    spec: {clusterIP: 10.96.0.20, ports: [{name: https, port: 443, protocol: TCP}]}\n";
    let host = "apiVersion: v1\nkind: Service\nmetadata: {name: vc-1, namespace: team-a}\n\
                spec: {clusterIP: 10.96.0.20, ports: [{name: https, port: 443, protocol: TCP}]}\n";
    Clusters::default()
        .section(Dns { address: Some([10, 96, 0, 10].into()), ..Dns::default() })
        .with(Side::Virtual, services)
        .with(Side::Host, host)
        .with(Side::Virtual, POD)
}

fn bench(criterion: &mut Criterion) {
    let names = Names::new("vc-1", "team-a", NameScheme::Tenet);
    criterion.bench_function("name: readable", |bencher| {
        bencher.iter(|| {
            names.host_name(kinds::POD.group_kind(), black_box("default"), black_box("nginx-7d9c6bf5b8-x2v4q"))
        });
    });
    criterion.bench_function("name: hashed", |bencher| {
        let long = "a".repeat(60);
        bencher.iter(|| names.host_name(kinds::POD.group_kind(), black_box("default"), black_box(&long)));
    });

    let mapper = pod_mapper();
    let mut clusters = clusters();
    let pod: Value = clusters.object(Side::Virtual, kinds::POD, "default", "nginx").expect("the pod").value().clone();
    let table = mapper.spec().table.clone().expect("a table");
    criterion.bench_function("rule table: a default pod down", |bencher| {
        let context = DownContext {
            policy: &Policy::default(),
            defaults: &Defaults::default(),
            scope: Scope { vc: "vc-1", namespace: "default", labels: &LabelPolicy::default() },
            name_of: &|reference| reference.name.clone(),
        };
        bencher.iter(|| table.down(black_box(&pod), &context));
    });
    criterion.bench_function("rule table: references of a pod", |bencher| {
        bencher.iter(|| table.references(black_box(&pod)));
    });
    clusters.reconcile(mapper.as_ref(), "default", "nginx").expect("the pod crosses");
    criterion.bench_function("mapper: reconcile of a new pod", |bencher| {
        bencher.iter(|| clusters.reconcile(mapper.as_ref(), "default", "nginx"));
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);

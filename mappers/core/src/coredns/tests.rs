use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

use serde_json::json;
use tenet_mapper::testing::Clusters;

use super::*;

const SYSTEM: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}";

fn clusters() -> Clusters {
    Clusters::default().with(Side::Virtual, SYSTEM)
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&CoreDnsMapper::new(), NAMESPACE, NAME).unwrap()
}

fn deployment(clusters: &Clusters) -> Object {
    clusters.object(Side::Virtual, DEPLOYMENT, NAMESPACE, NAME).unwrap().clone()
}

fn corefile(clusters: &Clusters) -> String {
    let map = clusters.object(Side::Virtual, kinds::CONFIG_MAP, NAMESPACE, NAME).unwrap();
    map.str_at("/data/Corefile").unwrap().to_owned()
}

fn edit(clusters: &mut Clusters, kind: Kind, name: &str, pointer: &str, value: Value) {
    let mut object = clusters.object(Side::Virtual, kind, NAMESPACE, name).unwrap().value().clone();
    pointer::set(&mut object, pointer, value);
    clusters.put(Side::Virtual, object);
}

#[test]
fn all_objects_are_made_once_and_again_when_one_is_gone() {
    let mut clusters = clusters();
    assert_eq!(converge(&mut clusters), 6);
    assert_eq!(converge(&mut clusters), 0, "at rest nothing is written");
    assert!(corefile(&clusters).contains("kubernetes cluster.local in-addr.arpa"));
    let service = clusters.object(Side::Virtual, kinds::SERVICE, NAMESPACE, SERVICE).unwrap();
    assert_eq!(
        service.at("/spec/ports/0"),
        Some(&json!({"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 1053}))
    );
    let mut without = Clusters::default().with(Side::Virtual, SYSTEM);
    for part in manifest::parts(&CoreDns::default(), "cluster.local").iter().filter(|part| part.kind != DEPLOYMENT) {
        let object = clusters.object(Side::Virtual, part.kind, part.key.namespace(), part.key.name()).unwrap();
        without.put(Side::Virtual, object.value().clone());
    }
    assert_eq!(converge(&mut without), 1);
}

#[test]
fn a_new_status_of_the_deployment_is_no_reason_to_look_and_the_metadata_says_what_is_current() {
    let mut clusters = clusters();
    converge(&mut clusters);
    let (mapper, deployment) = (CoreDnsMapper::new(), deployment(&clusters));
    let hash = |version: &str, replicas: u8| {
        let mut object = deployment.value().clone();
        object["metadata"]["resourceVersion"] = json!(version);
        object["status"] = json!({"readyReplicas": replicas});
        let input = mapper.spec().inputs.iter().find(|input| input.kind == DEPLOYMENT).unwrap();
        let mut state = DefaultHasher::new();
        input.projection.hash(&input.projection.cut(object), &mut state);
        state.finish()
    };
    assert_eq!(hash("1", 0), hash("2", 1));

    let reads = |clusters: &Clusters| match clusters.look(|cx| mapper.reconcile(cx, &own_key())) {
        Err(MapError::NeedsContent(reads)) => reads.into_iter().map(|read| read.object.kind.kind).collect(),
        _ => BTreeSet::new(),
    };
    let mut expected = BTreeSet::from(["ServiceAccount", "ClusterRole", "ClusterRoleBinding"]);
    assert_eq!(reads(&clusters), expected, "kinds that are not watched are read");
    clusters = clusters.section(CoreDns { replicas: Some(2), ..CoreDns::default() });
    expected.insert("Deployment");
    assert_eq!(reads(&clusters), expected, "it is about to be written");
}

#[test]
fn off_means_that_nothing_is_written() {
    let mut clusters = clusters().section(CoreDns { enabled: false, ..CoreDns::default() });
    assert_eq!(converge(&mut clusters), 0);
    assert_eq!(converge(&mut Clusters::default()), 0, "without the namespace there is no place for it");
}

#[test]
fn a_dns_server_of_somebody_else_stays_alone() {
    for other in [
        "{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {}}",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: coredns, namespace: kube-system}, spec: {}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}}",
    ] {
        assert_eq!(converge(&mut clusters().with(Side::Virtual, other)), 0, "{other}");
    }
}

#[test]
fn a_change_of_the_configuration_is_applied_and_what_is_the_tenants_stays() {
    let mut clusters = clusters();
    converge(&mut clusters);
    edit(&mut clusters, DEPLOYMENT, NAME, "/spec/replicas", json!(3));
    edit(&mut clusters, kinds::CONFIG_MAP, NAME, "/data/Corefile", json!(".:1053 { whoami }"));
    edit(&mut clusters, kinds::SERVICE, SERVICE, "/spec/clusterIP", json!("10.96.0.10"));
    assert_eq!(converge(&mut clusters), 0, "nothing is undone");

    let image = |config: CoreDns| CoreDns { image: "registry.example.com/coredns:1".to_owned(), ..config };
    clusters = clusters.section(image(CoreDns::default()));
    assert_eq!(converge(&mut clusters), 1, "the Deployment");
    let changed = deployment(&clusters);
    assert_eq!(changed.str_at("/spec/template/spec/containers/0/image"), Some("registry.example.com/coredns:1"));
    assert_eq!(changed.at("/spec/replicas"), Some(&json!(3)));

    let own = Some(".:1053 { erratic }".to_owned());
    clusters = clusters.section(CoreDns { replicas: Some(2), corefile: own.clone(), ..image(CoreDns::default()) });
    assert_eq!(converge(&mut clusters), 2);
    assert_eq!(deployment(&clusters).at("/spec/replicas"), Some(&json!(2)));
    assert_eq!(Some(corefile(&clusters)), own);
    let service = clusters.object(Side::Virtual, kinds::SERVICE, NAMESPACE, SERVICE).unwrap();
    assert_eq!(service.str_at("/spec/clusterIP"), Some("10.96.0.10"));

    // Without the settings, the built-in values return: the tenant has not changed these.
    clusters = clusters.section(image(CoreDns::default()));
    assert_eq!(converge(&mut clusters), 2);
    assert_eq!(deployment(&clusters).at("/spec/replicas"), Some(&json!(1)));
    assert!(corefile(&clusters).contains("cluster.local"));
}

#[test]
fn an_upgrade_replaces_what_the_tenant_has_not_changed_and_an_older_syncer_leaves_the_newer_one() {
    let mut clusters = clusters();
    converge(&mut clusters);
    let recorded = deployment(&clusters).annotation(MANIFEST).unwrap().to_owned();
    let (_, rest) = recorded.split_once('.').unwrap();
    let annotation = "/metadata/annotations/tenet.sh~1manifest";
    edit(&mut clusters, DEPLOYMENT, NAME, annotation, json!(format!("0.{rest}")));
    edit(&mut clusters, DEPLOYMENT, NAME, "/spec/template/spec/hostNetwork", json!(true));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(deployment(&clusters).at("/spec/template/spec/hostNetwork"), None);
    edit(&mut clusters, DEPLOYMENT, NAME, annotation, json!(format!("{}.x.y", manifest::REVISION + 1)));
    assert_eq!(converge(&mut clusters), 0);
}

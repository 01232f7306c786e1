use serde_json::json;
use tenet_mapper::testing::Clusters;
use tenet_mapper::{HostKey, Object, Side};

use super::*;

const HOST: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx, parameters: {kind: ConfigMap, name: secret-settings}}";

fn virt(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Virtual, KIND, "", "nginx")
}

#[test]
fn a_class_of_the_host_is_shown_without_its_parameters() {
    let mut clusters = Clusters::default().with(Side::Host, HOST);
    assert_eq!(clusters.converge(&mapper(), "", "nginx"), Ok(3), "the class, and a policy with its binding");
    let shown = virt(&clusters).unwrap();
    assert_eq!(shown.at("/spec"), Some(&json!({"controller": "k8s.io/ingress-nginx"})));
    assert_eq!(clusters.converge(&mapper(), "", "nginx"), Ok(0), "the second look writes nothing");
}

#[test]
fn a_class_goes_with_that_of_the_host() {
    let mut clusters = Clusters::default().with(Side::Host, HOST);
    clusters.converge(&mapper(), "", "nginx").unwrap();
    clusters.vanish(KIND, &HostKey::new("", "nginx"));
    assert_eq!(clusters.converge(&mapper(), "", "nginx"), Ok(1));
    assert_eq!(virt(&clusters), None);
}

#[test]
fn a_class_of_the_tenant_is_not_touched() {
    let own = HOST.replace("k8s.io/ingress-nginx", "example.com/own");
    let mut clusters = Clusters::default().with(Side::Virtual, &own);
    assert_eq!(clusters.converge(&mapper(), "", "nginx"), Ok(0));
    let mut clusters = clusters.with(Side::Host, HOST);
    let error = clusters.converge(&mapper(), "", "nginx").unwrap_err();
    assert_eq!(error.class(), "foreign");
    assert_eq!(virt(&clusters).unwrap().str_at("/spec/controller"), Some("example.com/own"));
}

#[test]
fn only_the_classes_that_tenants_may_use_are_shown_and_none_without_the_right_to_read_them() {
    let section = Ingresses { classes: vec!["traefik".to_owned()], ..Ingresses::default() };
    let mut clusters = Clusters::default().with(Side::Host, HOST).section(section);
    assert_eq!(clusters.converge(&mapper(), "", "nginx"), Ok(0));
    let mut clusters = Clusters::default().with(Side::Host, HOST).unreadable(Side::Host, KIND);
    assert_eq!(clusters.converge(&mapper(), "", "nginx"), Ok(0));
}

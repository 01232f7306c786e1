//! The nameserver of a pod, and the wait for it.

use serde_json::{Value, json};
use tenet_mapper::translate::ServiceRef;
use tenet_mapper::{Next, Side};

use super::lab::{Lab, NAME, NOW};
use crate::{CoreDns, Dns};

const SYSTEM: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}";

/// A fresh pod in a cluster whose CoreDNS has no address yet.
fn early(policy: &str) -> Lab {
    let mut lab = Lab::fresh().with(Side::Virtual, SYSTEM);
    lab.clusters.put(
        Side::Virtual,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {}}),
    );
    let mut pod = lab.virt().unwrap().value().clone();
    pod["spec"]["dnsPolicy"] = json!(policy);
    lab.clusters.put(Side::Virtual, pod);
    lab
}

fn nameservers(lab: &Lab) -> Value {
    lab.host().unwrap().value()["spec"]["dnsConfig"]["nameservers"].clone()
}

#[test]
fn a_fresh_pod_waits_for_the_address_of_the_dns_service() {
    let mut lab = early("ClusterFirst").at(NOW + 5);
    let outcome = lab.clusters.reconcile(&crate::PodMapper::new(), "shop", NAME).unwrap();
    assert!(outcome.effects().is_empty());
    assert_eq!((outcome.next, outcome.wait.len()), (Next::At(NOW + 30), 1));

    lab.clusters.put(
        Side::Virtual,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"},
               "spec": {"clusterIP": "10.96.0.10"}}),
    );
    lab.converge();
    assert_eq!(nameservers(&lab), json!(["10.96.0.10"]));
    assert!(lab.events.is_empty());
}

#[test]
fn it_starts_after_half_a_minute_and_an_event_says_which_dns_it_has() {
    let mut lab = early("ClusterFirst").at(NOW + 30);
    lab.converge();
    assert_eq!(nameservers(&lab), Value::Null);
    let [event] = &lab.events[..] else { panic!("{:?}", lab.events) };
    assert_eq!(
        event.message,
        "spec.dnsPolicy: the Service kube-system/kube-dns has no address, so the pod uses the DNS of its node"
    );
}

#[test]
fn a_pod_with_the_dns_of_its_node_never_waits() {
    let mut lab = early("Default").at(NOW + 1);
    lab.converge();
    assert!(lab.host().is_some() && lab.events.is_empty());
}

#[test]
fn without_a_dns_server_in_the_virtual_cluster_nothing_waits() {
    let off = CoreDns { enabled: false, ..CoreDns::default() };
    let absent = Dns { service: ServiceRef::new("kube-system", "absent"), ..Dns::default() };
    let mut lab = Lab::fresh().with(Side::Virtual, SYSTEM).section(off).section(absent).at(NOW + 1);
    lab.converge();
    assert_eq!(lab.host().unwrap().str_at("/spec/dnsPolicy"), Some("Default"));
    assert!(lab.events.is_empty());
}

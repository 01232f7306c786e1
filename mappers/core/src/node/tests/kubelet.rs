use tenet_mapper::Kubelets;
use tenet_mapper::translate::kubelets::{self, NodeAddresses};

use super::*;

fn with_kubelet(addresses: NodeAddresses) -> Clusters {
    with_pod().with(Side::Host, HOST).facts(|facts| {
        facts.kubelets = Kubelets { enabled: true, addresses, port: 10250 };
    })
}

fn host_key() -> HostKey {
    HostKey::new("team-a", "vc-1-node-worker-1")
}

fn service(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Host, kinds::SERVICE, host_key().namespace(), host_key().name())
}

fn addresses(clusters: &Clusters) -> Vec<String> {
    let shown = node(clusters).unwrap().list_at("/status/addresses");
    shown
        .iter()
        .map(|each| format!("{} {}", each["type"].as_str().unwrap(), each["address"].as_str().unwrap()))
        .collect()
}

/// The addresses of the real node, and that of its kubelet.
fn shown_with(kubelet: &(impl ToString + ?Sized)) -> Vec<String> {
    vec!["InternalIP 192.0.2.11".to_owned(), format!("Hostname {}", kubelet.to_string())]
}

/// Creates a Service as the host's API server does.
fn allocate(clusters: &mut Clusters, address: &str) {
    let mut given = service(clusters).unwrap().value().clone();
    given["spec"]["clusterIP"] = json!(address);
    clusters.put(Side::Host, given);
}

/// Another node with its Service.
fn another(clusters: &mut Clusters, name: &str, address: &str, port: u16) {
    let labels = json!({"tenet.sh/managed-by": "vc-1"});
    clusters.put(
        Side::Virtual,
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": "n", "labels": labels},
            "status": {"addresses": [{"type": "Hostname", "address": address}]},
        }),
    );
    clusters.put(
        Side::Host,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("vc-1-node-{name}"), "namespace": "team-a", "uid": "s"},
            "spec": {"clusterIP": address, "ports": [{"port": 10250, "targetPort": port}]},
        }),
    );
}

#[test]
fn on_loopback_each_kubelet_has_an_address_of_its_own() {
    let best = kubelets::loopbacks("vc-1", NODE).next().unwrap();
    let mut clusters = with_kubelet(NodeAddresses::Loopback);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(addresses(&clusters), shown_with(&best));
    assert_eq!(service(&clusters), None);

    let mut clusters = with_kubelet(NodeAddresses::Loopback);
    another(&mut clusters, "worker-2", &best.to_string(), 0);
    converge(&mut clusters);
    let second = kubelets::loopbacks("vc-1", NODE).nth(1).unwrap();
    assert_eq!(addresses(&clusters), shown_with(&second), "the best one is taken");
    another(&mut clusters, "worker-2", "127.64.9.9", 0);
    assert_eq!(converge(&mut clusters), 0, "an address that is shown stays");
}

#[test]
fn a_node_has_a_service_that_comes_and_goes_with_it() {
    let mut clusters = with_kubelet(NodeAddresses::Service);
    assert_eq!(converge(&mut clusters), 2, "the node, then its Service");
    assert_eq!(addresses(&clusters), Vec::<String>::new(), "no address yet");
    let made = service(&clusters).unwrap().value().clone();
    assert_eq!(made["spec"]["selector"], json!({"tenet.sh/control-plane": "vc-1"}));
    let port = kubelets::ports("vc-1", NODE).next().unwrap();
    assert_eq!(
        made["spec"]["ports"],
        json!([{"name": "kubelet", "protocol": "TCP", "port": 10250, "targetPort": port}])
    );
    assert_eq!(made["metadata"]["annotations"]["tenet.sh/uid"], node(&clusters).unwrap().uid());

    allocate(&mut clusters, "10.96.7.7");
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(addresses(&clusters), shown_with("10.96.7.7"));
    assert_eq!(node(&clusters).unwrap().at("/status/daemonEndpoints/kubeletEndpoint/Port"), Some(&json!(10250)));

    clusters.vanish(kinds::POD, &HostKey::new("team-a", "a-x-shop-x-vc-1"));
    assert_eq!(converge(&mut clusters), 2);
    assert_eq!((node(&clusters), service(&clusters)), (None, None));
}

#[test]
fn a_service_that_was_changed_or_deleted_comes_back() {
    let mut clusters = with_kubelet(NodeAddresses::Service);
    converge(&mut clusters);
    allocate(&mut clusters, "10.96.7.7");
    converge(&mut clusters);
    let mut changed = service(&clusters).unwrap().value().clone();
    changed["spec"]["selector"] = json!({"app": "other"});
    clusters.put(Side::Host, changed);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(service(&clusters).unwrap().at("/spec/selector"), Some(&json!({"tenet.sh/control-plane": "vc-1"})));
    assert_eq!(addresses(&clusters), shown_with("10.96.7.7"));

    clusters.vanish(kinds::SERVICE, &host_key());
    converge(&mut clusters);
    assert_eq!(addresses(&clusters), Vec::<String>::new(), "there is no way to it any more");
    allocate(&mut clusters, "10.96.7.8");
    converge(&mut clusters);
    assert_eq!(addresses(&clusters), shown_with("10.96.7.8"));
}

#[test]
fn two_nodes_never_share_a_port() {
    let mut all = kubelets::ports("vc-1", NODE);
    let (best, second) = (all.next().unwrap(), all.next().unwrap());
    let mut clusters = with_kubelet(NodeAddresses::Service);
    another(&mut clusters, "worker-2", "10.96.7.2", best);
    converge(&mut clusters);
    assert_eq!(service(&clusters).unwrap().at("/spec/ports/0/targetPort"), Some(&json!(second)));

    // The other one came at the same time, and is known already.
    let mut clusters = with_kubelet(NodeAddresses::Service);
    converge(&mut clusters);
    another(&mut clusters, "worker-2", "10.96.7.2", best);
    allocate(&mut clusters, "10.96.7.7");
    converge(&mut clusters);
    assert_eq!(service(&clusters).unwrap().at("/spec/ports/0/targetPort"), Some(&json!(second)));
    assert_eq!(addresses(&clusters), shown_with("10.96.7.7"));
}

#[test]
fn the_service_of_an_earlier_node_goes_first_and_a_foreign_one_stays() {
    let mut clusters = with_kubelet(NodeAddresses::Service);
    converge(&mut clusters);
    let mut earlier = service(&clusters).unwrap().value().clone();
    earlier["metadata"]["annotations"]["tenet.sh/uid"] = json!("earlier");
    earlier["metadata"]["annotations"]["tenet.sh/checksum"] = json!(null);
    earlier["metadata"]["uid"] = json!("earlier-service");
    clusters.put(Side::Host, earlier);
    let outcome = clusters.reconcile(&NodeMapper::new(), "", NODE).unwrap();
    assert!(matches!(&outcome.effects()[..], [_, Effect::Delete(deletion)] if deletion.uid() == "earlier-service"));

    let foreign = "apiVersion: v1\nkind: Service\nmetadata: {name: vc-1-node-worker-1, namespace: team-a, uid: f}";
    let mut clusters = with_kubelet(NodeAddresses::Service).with(Side::Host, foreign);
    converge(&mut clusters);
    assert!(node(&clusters).is_some(), "pods can still be bound to the node");
    let outcome = clusters.reconcile(&NodeMapper::new(), "", NODE).unwrap();
    assert!(matches!(&outcome.effects()[..], [_, Effect::Emit(event)] if event.message.contains("name of this node")));
}

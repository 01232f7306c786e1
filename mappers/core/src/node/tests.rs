use tenet_mapper::testing::Clusters;

use super::*;

const HOST: &str = include_str!("fixtures/real.host.yaml");
const REAL: &str = include_str!("fixtures/real.virtual.yaml");
const SYNTHETIC: &str = include_str!("fixtures/synthetic.virtual.yaml");
const NODE: &str = "worker-1";

/// A host pod of ours on the node.
fn pod(name: &str, created: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata:
  name: {name}-x-shop-x-vc-1
  namespace: team-a
  creationTimestamp: {created}
  labels: {{tenet.sh/managed-by: vc-1, tenet.sh/namespace: shop}}
  annotations:
    tenet.sh/cluster: 00000000-0000-0000-0000-00000000c1d0
    tenet.sh/host-name: team-a/{name}-x-shop-x-vc-1
    tenet.sh/kind: Pod
    tenet.sh/name: {name}
    tenet.sh/namespace: shop
    tenet.sh/uid: u
spec: {{nodeName: {NODE}}}
status: {{hostIP: 192.0.2.11, hostIPs: [{{ip: 192.0.2.11}}, {{ip: '2001:db8::b'}}]}}"
    )
}

fn with_pod() -> Clusters {
    let mut clusters = Clusters::default().with(Side::Host, &pod("a", "2026-11-22T06:00:00Z"));
    let (policy, _) = clusters.look(|cx| policy::keep(cx, false));
    for effect in policy {
        assert_eq!(clusters.perform(effect), 1);
    }
    clusters
}

fn unreadable() -> Clusters {
    let capacity = Capacity { memory: "8192Mi".parse().unwrap(), ..Capacity::default() };
    let nodes = Nodes { source: NodeSource::Auto, capacity, ..Nodes::default() };
    with_pod().unreadable(Side::Host, kinds::NODE).section(nodes)
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&NodeMapper::new(), "", NODE).unwrap()
}

fn node(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Virtual, kinds::NODE, "", NODE)
}

fn expected(yaml: &str) -> Value {
    node(&Clusters::default().with(Side::Virtual, yaml)).unwrap().value().clone()
}

fn forget_identity(mut node: Value) -> Value {
    for member in ["uid", "resourceVersion"] {
        node["metadata"].as_object_mut().unwrap().remove(member);
    }
    node
}

#[test]
fn the_hosts_own_node_is_shown_where_it_may_be_read() {
    let mut clusters = with_pod().with(Side::Host, HOST);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(forget_identity(node(&clusters).unwrap().value().clone()), forget_identity(expected(REAL)));
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn heartbeats_and_images_cause_no_write() {
    let mut clusters = with_pod().with(Side::Host, HOST);
    converge(&mut clusters);
    let beat = HOST.replace("2026-11-23T06:00:00Z", "2026-11-23T06:05:00Z").replace("others:1", "others:2");
    let mut clusters = clusters.with(Side::Host, &beat);
    assert_eq!(converge(&mut clusters), 0);
    let mut clusters = clusters.with(Side::Host, &HOST.replace("unschedulable: true", "unschedulable: false"));
    assert_eq!(converge(&mut clusters), 1);
}

#[test]
fn a_label_that_the_host_takes_off_goes_and_one_of_the_tenant_stays() {
    let mut clusters = with_pod().with(Side::Host, HOST);
    converge(&mut clusters);
    let mut labelled = node(&clusters).unwrap().value().clone();
    labelled["metadata"]["labels"]["mine"] = json!("x");
    clusters.put(Side::Virtual, labelled);
    let mut clusters = clusters.with(Side::Host, &HOST.replace("    topology.kubernetes.io/zone: a\n", ""));
    assert_eq!(converge(&mut clusters), 1);
    let node = node(&clusters).unwrap();
    assert_eq!((node.label("topology.kubernetes.io/zone"), node.label("mine")), (None, Some("x")));
}

#[test]
fn a_taint_that_the_virtual_api_server_adds_is_taken_off() {
    for mut clusters in [with_pod().with(Side::Host, HOST), unreadable()] {
        converge(&mut clusters);
        let untainted = node(&clusters).unwrap().value().clone();
        let mut tainted = untainted.clone();
        tainted["spec"]["taints"] = json!([{"effect": "NoSchedule", "key": "node.kubernetes.io/not-ready"}]);
        clusters.put(Side::Virtual, tainted);
        assert_eq!(converge(&mut clusters), 1);
        assert_eq!(node(&clusters).unwrap().at("/spec"), untainted.get("spec"));
    }
}

#[test]
fn without_the_right_a_node_is_made_from_the_pods_on_it() {
    let mut clusters = unreadable();
    assert_eq!(converge(&mut clusters), 1);
    let mut shown = node(&clusters).unwrap().value().clone();
    assert_eq!(shown["status"]["capacity"]["memory"], "8192Mi");
    for amounts in ["capacity", "allocatable"] {
        // The API server writes amounts in its own way.
        shown["status"][amounts]["memory"] = json!("8Gi");
    }
    assert_eq!(forget_identity(shown.clone()), forget_identity(expected(SYNTHETIC)));
    clusters.put(Side::Virtual, shown);
    assert_eq!(converge(&mut clusters), 0, "the same amount is no difference");
}

#[test]
fn a_made_node_stays_the_same_while_pods_come_and_go() {
    let mut clusters = unreadable();
    converge(&mut clusters);
    let mut clusters = clusters.with(Side::Host, &pod("b", "2026-11-20T06:00:00Z"));
    assert_eq!(converge(&mut clusters), 0, "an older pod");
    clusters.vanish(kinds::POD, &HostKey::new("team-a", "a-x-shop-x-vc-1"));
    assert_eq!(converge(&mut clusters), 0, "the first pod is gone");
    let mut clusters = clusters.with(Side::Host, &pod("b", "2026-11-20T06:00:00Z").replace("status:", "x:"));
    assert_eq!(converge(&mut clusters), 0, "no pod tells an address");
}

#[test]
fn any_pod_that_tells_an_address_will_do() {
    let silent = pod("a", "2026-11-22T06:00:00Z").replace("status:", "x:");
    let mut clusters = unreadable().with(Side::Host, &silent);
    converge(&mut clusters);
    let addresses = |clusters: &Clusters| node(clusters).unwrap().list_at("/status/addresses").len();
    assert_eq!(addresses(&clusters), 1, "the name alone");
    let mut clusters = clusters.with(Side::Host, &pod("b", "2026-11-22T06:00:00Z"));
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(addresses(&clusters), 3);
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn the_configuration_may_ask_for_one_kind_of_picture() {
    let asked = |source| Nodes { source, ..Nodes::default() };
    let mut made = with_pod().with(Side::Host, HOST).section(asked(NodeSource::Synthetic));
    converge(&mut made);
    assert_eq!(node(&made).unwrap().str_at("/status/nodeInfo/osImage"), Some("unknown"));
    let mut real = with_pod().unreadable(Side::Host, kinds::NODE).section(asked(NodeSource::Host));
    let error = real.reconcile(&NodeMapper::new(), "", NODE).unwrap_err();
    assert_eq!(error.class(), "transient", "{error}");
}

#[test]
fn a_host_node_that_is_away_is_waited_for() {
    let outcome = with_pod().reconcile(&NodeMapper::new(), "", NODE).unwrap();
    let node = Dependency::host(kinds::NODE, &HostKey::new("", NODE));
    assert!(outcome.stages.is_empty() && outcome.wait.contains(&node), "{outcome:?}");
    let mut shown = with_pod().with(Side::Host, HOST);
    converge(&mut shown);
    shown.vanish(kinds::NODE, &HostKey::new("", NODE));
    assert_eq!(converge(&mut shown), 0, "the last clusters stays while pods are bound to the node");
}

#[test]
fn a_picture_goes_with_the_last_pod() {
    let mut clusters = with_pod().with(Side::Host, HOST);
    converge(&mut clusters);
    clusters.vanish(kinds::POD, &HostKey::new("team-a", "a-x-shop-x-vc-1"));
    assert_eq!(converge(&mut clusters), 1);
    assert!(node(&clusters).is_none());
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn a_pod_that_is_not_ours_needs_no_node() {
    let foreign = pod("a", "2026-11-22T06:00:00Z").replace("00000000c1d0", "00000000beef");
    let mut clusters = Clusters::default().with(Side::Host, HOST).with(Side::Host, &foreign);
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn a_node_of_the_tenant_is_left_alone() {
    let own = "apiVersion: v1\nkind: Node\nmetadata: {name: worker-1}";
    assert_eq!(converge(&mut Clusters::default().with(Side::Virtual, own)), 0, "nobody needs its name");
    let mut taken = with_pod().with(Side::Host, HOST).with(Side::Virtual, own);
    let error = taken.reconcile(&NodeMapper::new(), "", NODE).unwrap_err();
    assert!(matches!(error, MapError::Foreign { .. }), "{error}");
}

mod always;
mod kubelet;
mod tenant;

/// Otherwise it would keep its node for ever, and the node would keep it.
#[test]
fn a_pod_of_a_daemon_set_keeps_no_node() {
    let virt = |kind: &str| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  uid: u
  ownerReferences: [{{apiVersion: apps/v1, kind: {kind}, name: o, uid: o, controller: true}}]"
        )
    };
    let mut clusters = with_pod().with(Side::Host, HOST).with(Side::Virtual, &virt("ReplicaSet"));
    converge(&mut clusters);
    assert!(node(&clusters).is_some());
    let mut clusters = clusters.with(Side::Virtual, &virt("DaemonSet"));
    converge(&mut clusters);
    assert!(node(&clusters).is_none());
    let mut clusters = clusters.with(Side::Host, &pod("b", "2026-11-22T06:00:00Z"));
    converge(&mut clusters);
    assert!(node(&clusters).is_some(), "another pod is there");
}

//! Labels, taints and cordons of the tenant, and the policy that refuses them.

use super::*;
use crate::picture_policy::{BINDING, POLICY};

fn honoured() -> Clusters {
    with_pod().with(Side::Host, HOST).section(Nodes { tenant_scheduling: true, ..Nodes::default() })
}

fn edited(clusters: &mut Clusters, edit: impl FnOnce(&mut Value)) {
    let mut found = node(clusters).unwrap().value().clone();
    edit(&mut found);
    clusters.put(Side::Virtual, found);
}

#[test]
fn what_the_tenant_adds_to_a_node_stays_and_what_the_host_says_follows_the_host() {
    let mut clusters = honoured();
    converge(&mut clusters);
    let host_taints = node(&clusters).unwrap().list_at("/spec/taints").to_vec();
    let own = json!({"key": "team", "value": "a", "effect": "NoSchedule"});
    edited(&mut clusters, |node| {
        let mut all = host_taints.clone();
        all.push(own.clone());
        all.push(json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}));
        node["spec"]["taints"] = json!(all);
    });
    assert_eq!(converge(&mut clusters), 1, "the taint for the condition is the host's to set");
    assert_eq!(node(&clusters).unwrap().list_at("/spec/taints"), [&host_taints[..], &[own]].concat());
    assert_eq!(converge(&mut clusters), 0);

    // The host uncordons the node, and the tenant cordons it.
    let mut clusters = clusters.with(Side::Host, &HOST.replace("unschedulable: true", "unschedulable: false"));
    converge(&mut clusters);
    assert_ne!(node(&clusters).unwrap().at("/spec/unschedulable"), Some(&json!(true)), "the cordon was the host's");
    edited(&mut clusters, |node| node["spec"]["unschedulable"] = json!(true));
    assert_eq!(converge(&mut clusters), 0);
    assert_eq!(node(&clusters).unwrap().at("/spec/unschedulable"), Some(&json!(true)));
}

#[test]
fn the_policy_is_there_with_the_first_node_and_comes_back() {
    for section in [Nodes::default(), Nodes { tenant_scheduling: true, ..Nodes::default() }] {
        let mut clusters = with_pod().with(Side::Host, HOST).section(section);
        converge(&mut clusters);
        let stored = |clusters: &Clusters| clusters.object(Side::Virtual, POLICY, "", "tenet-nodes").cloned();
        let found = stored(&clusters).unwrap();
        assert!(clusters.object(Side::Virtual, BINDING, "", "tenet-nodes").is_some());
        let mut open = found.value().clone();
        open["spec"]["validations"] = json!([]);
        clusters.put(Side::Virtual, open);
        assert_eq!(converge(&mut clusters), 1);
        assert_eq!(stored(&clusters).unwrap().at("/spec"), found.at("/spec"));
    }
}

#[test]
fn a_node_that_was_drained_inside_stays_as_long_as_the_host_has_it() {
    let mut clusters = honoured().with(Side::Host, &HOST.replace("unschedulable: true", "unschedulable: false"));
    converge(&mut clusters);
    edited(&mut clusters, |node| node["spec"]["unschedulable"] = json!(true));
    clusters.vanish(kinds::POD, &HostKey::new("team-a", "a-x-shop-x-vc-1"));
    assert_eq!(converge(&mut clusters), 0);
    assert!(node(&clusters).is_some());
    clusters.vanish(kinds::NODE, &HostKey::new("", NODE));
    assert_eq!(converge(&mut clusters), 1);
    assert!(node(&clusters).is_none());
}

//! Nodes that are shown without pods.

use std::num::NonZeroU16;

use super::super::Always;
use super::*;

fn host_node(name: &str, pool: &str) -> String {
    format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{pool: {pool}}}}}, spec: {{}}}}")
}

fn clusters(limit: u16) -> Clusters {
    let labels = [("pool".to_owned(), "tenants".to_owned())].into();
    let always = Always { labels, limit: NonZeroU16::new(limit).unwrap() };
    let nodes = [("a", "tenants"), ("b", "others"), ("c", "tenants"), ("d", "tenants")];
    let clusters = Clusters::default().section(Nodes { always: Some(always), ..Nodes::default() });
    nodes.iter().fold(clusters, |clusters, (name, pool)| clusters.with(Side::Host, &host_node(name, pool)))
}

/// The Nodes inside, after a reconcile of each.
fn shown(clusters: &mut Clusters) -> Vec<&'static str> {
    let names = ["a", "aa", "b", "c", "d"];
    for name in names {
        clusters.converge(&NodeMapper::new(), "", name).unwrap();
    }
    names.into_iter().filter(|name| clusters.object(Side::Virtual, kinds::NODE, "", name).is_some()).collect()
}

#[test]
fn the_first_nodes_with_the_labels_are_shown_without_pods() {
    assert_eq!(shown(&mut clusters(100)), ["a", "c", "d"]);
    let mut clusters = clusters(2);
    assert_eq!(shown(&mut clusters), ["a", "c"]);
    let outcome = clusters.reconcile(&NodeMapper::new(), "", "a").unwrap();
    assert!(!outcome.all, "nothing is new");

    clusters = clusters.with(Side::Host, &host_node("aa", "tenants"));
    let outcome = clusters.reconcile(&NodeMapper::new(), "", "aa").unwrap();
    assert!(outcome.all, "another may have to go");
    assert_eq!(shown(&mut clusters), ["a", "aa"]);
    clusters.vanish(kinds::NODE, &HostKey::new("", "a"));
    assert_eq!(shown(&mut clusters), ["aa", "c"]);
}

#[test]
fn a_node_that_goes_wakes_the_next_one_that_fits_the_limit() {
    let mut clusters = clusters(2);
    assert_eq!(shown(&mut clusters), ["a", "c"]);
    let woken = |clusters: &mut Clusters| {
        let outcome = clusters.reconcile(&NodeMapper::new(), "nodes", "all").unwrap();
        assert!(outcome.stages.is_empty());
        outcome.wake.iter().map(|key| key.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(woken(&mut clusters), [""; 0], "all that fit are shown");
    clusters.vanish(kinds::NODE, &HostKey::new("", "a"));
    assert_eq!(woken(&mut clusters), ["d"]);
    assert_eq!(shown(&mut clusters), ["c", "d"]);
    assert_eq!(woken(&mut clusters), [""; 0]);

    clusters = clusters.with(Side::Host, &host_node("c", "others")).with(Side::Host, &host_node("e", "tenants"));
    assert_eq!(woken(&mut clusters), ["e"], "another one has lost the labels");
    assert_eq!(woken(&mut clusters.section(Nodes::default())), [""; 0], "none is shown without pods");
}

#[test]
fn without_the_right_to_read_nodes_only_those_with_pods_are_shown() {
    assert_eq!(shown(&mut clusters(100).unreadable(Side::Host, kinds::NODE)), [""; 0]);
}

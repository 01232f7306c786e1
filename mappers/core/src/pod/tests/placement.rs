//! The node, the scheduler, and affinities to pods of other namespaces.

use serde_json::{Value, json};
use tenet_mapper::{Dependency, Side, VirtualKey, kinds};

use super::lab::Lab;
use crate::pod::Pods;

fn told(lab: &Lab) -> Vec<String> {
    lab.events.iter().map(|event| format!("{} {}", event.reason.as_str(), event.message)).collect()
}

#[test]
fn a_scheduler_that_the_host_may_not_have_is_left_out_and_told() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/schedulerName", json!("team-scheduler"));
    lab.converge();
    assert!(lab.host().unwrap().at("/spec/schedulerName").is_none());
    assert_eq!(
        told(&lab),
        [
            "SyncDegraded spec.schedulerName: team-scheduler is not among the schedulers of pods.schedulers, so the default \
          scheduler of the host places the pod"
        ]
    );
    let mut lab = Lab::fresh().section(Pods { schedulers: vec!["volcano".to_owned()], ..Pods::default() });
    lab.edit("/spec/schedulerName", json!("volcano"));
    lab.converge();
    assert_eq!(lab.host().unwrap().str_at("/spec/schedulerName"), Some("volcano"));
    assert!(lab.events.is_empty());
}

#[test]
fn a_pod_that_comes_with_a_node_is_placed_there_by_an_affinity() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/nodeName", json!("node-1"));
    assert_eq!(lab.converge(), ["mint Secret", "apply Pod"]);
    let spec = &lab.host().unwrap().value()["spec"];
    let on_node = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]);
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(required["nodeSelectorTerms"], on_node);
    assert!(spec.get("nodeName").is_none(), "the host's scheduler looks at taints and room");
    lab.runs();
    assert_eq!(lab.converge(), ["patch virtual status"]);
}

#[test]
fn a_pod_for_a_node_that_is_not_shown_waits_for_it() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/nodeName", json!("node-9"));
    let outcome = lab.reconcile().unwrap();
    assert!(outcome.stages.is_empty() && outcome.refused.len() == 1);
    assert_eq!(outcome.wait, [Dependency::virt(kinds::NODE, &VirtualKey::new("", "node-9"))].into());
    let mut lab = lab.with(Side::Virtual, "{apiVersion: v1, kind: Node, metadata: {name: node-9}}");
    assert_eq!(lab.converge(), ["mint Secret", "apply Pod"]);
}

fn namespace(name: &str, team: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, uid: ns-{name}, \
         labels: {{kubernetes.io/metadata.name: {name}, team: {team}}}}}}}"
    )
}

fn with_affinity(selector: &Value) -> Lab {
    let mut lab = Lab::fresh()
        .with(Side::Virtual, &namespace("ns-a", "red"))
        .with(Side::Virtual, &namespace("ns-b", "red"))
        .with(Side::Virtual, &namespace("ns-c", "blue"));
    let term =
        json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "db"}}, "namespaceSelector": selector});
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
    let preferred =
        json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]});
    lab.edit("/spec/affinity", json!({"podAntiAffinity": required, "podAffinity": preferred}));
    lab
}

/// Values of the requirement on our namespace label, in both terms; null without it.
fn namespaces(lab: &Lab) -> Value {
    let affinity = lab.host().unwrap().at("/spec/affinity").unwrap().clone();
    let values = |term: &Value| {
        assert!(term.get("namespaceSelector").is_none() && term.get("namespaces").is_none(), "{term}");
        let requirements = term["labelSelector"]["matchExpressions"].as_array().cloned().unwrap_or_default();
        let ours = requirements.into_iter().find(|one| one["key"] == "tenet.sh/namespace");
        ours.map(|one| one["values"].clone()).unwrap_or_default()
    };
    let required = values(&affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]);
    let preferred = &affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
    assert_eq!(required, values(preferred));
    required
}

#[test]
fn a_selector_of_namespaces_becomes_those_that_it_selects() {
    let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    let name = "kubernetes.io/metadata.name";
    for (selector, expected) in [
        (json!({}), Value::Null),
        (json!({"matchLabels": {"team": "red"}}), json!(["ns-a", "ns-b"])),
        (json!({"matchLabels": {"team": "green"}}), json!([""])),
        (json!({"matchLabels": {name: "not-yet"}}), json!(["not-yet"])),
        (expression(name, "In", json!(["ns-c", "ns-a"])), json!(["ns-a", "ns-c"])),
        (expression("team", "NotIn", json!(["red", "blue"])), json!(["default", "shop"])),
    ] {
        let mut lab = with_affinity(&selector);
        lab.converge();
        assert_eq!(namespaces(&lab), expected, "{selector}");
        assert!(lab.events.is_empty());
    }
}

#[test]
fn listed_namespaces_are_added_to_the_selected_ones() {
    let mut lab = with_affinity(&json!({"matchLabels": {"team": "blue"}}));
    for term in [
        "podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0",
        "podAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm",
    ] {
        lab.edit(&format!("/spec/affinity/{term}/namespaces"), json!(["shop"]));
    }
    lab.converge();
    assert_eq!(namespaces(&lab), json!(["ns-c", "shop"]));
}

#[test]
fn the_tenant_is_told_once_when_other_namespaces_are_selected_later() {
    let mut lab = with_affinity(&json!({"matchLabels": {"team": "red"}}));
    lab.converge();
    lab.runs();
    lab.converge();
    let any = Dependency::Any(Side::Virtual, kinds::NAMESPACE);
    assert!(lab.reconcile().unwrap().wait.contains(&any), "a change of a namespace wakes the pod");
    let mut lab = lab.with(Side::Virtual, &namespace("ns-c", "red"));
    assert_eq!(lab.converge(), ["patch host pod", "SyncDegraded"]);
    assert!(told(&lab)[0].contains("the namespaces that a namespaceSelector selects have changed"), "{:?}", told(&lab));
    assert_eq!(namespaces(&lab), json!(["ns-a", "ns-b"]), "the API lets nobody change an affinity");
    assert_eq!(lab.converge(), [""; 0], "it is told once");

    // Names do not change, so such a pod waits for nothing.
    let mut lab = with_affinity(&json!({"matchLabels": {"kubernetes.io/metadata.name": "ns-a"}}));
    lab.converge();
    assert!(!lab.reconcile().unwrap().wait.contains(&any));
}

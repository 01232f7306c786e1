//! Labels, taints and cordons of the tenant on Nodes.

use serde_json::{Value, json};
use tenet_mapper::keys::CROSSED;
use tenet_mapper::{Dependency, Side, kinds};

use super::lab::Lab;
use crate::Nodes;

const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// A Node on which the host has said only `zone`.
fn node(name: &str, labels: &Value, spec: &Value) -> Value {
    let mut labels = labels.clone();
    labels["tenet.sh/managed-by"] = json!("vc-1");
    labels["zone"] = json!("z");
    json!({"apiVersion": "v1", "kind": "Node", "spec": spec,
           "metadata": {"name": name, "labels": labels, "annotations": {(CROSSED): "l:zone"}}})
}

fn lab(nodes: &[Value]) -> Lab {
    let mut lab = Lab::fresh().section(Nodes { tenant_scheduling: true, ..Nodes::default() });
    for node in nodes {
        lab.clusters.put(Side::Virtual, node.clone());
    }
    lab
}

fn named(operator: &str, node: &str) -> Value {
    json!({"key": "metadata.name", "operator": operator, "values": [node]})
}

fn terms(lab: &mut Lab) -> Value {
    lab.converge();
    lab.host().unwrap().at(REQUIRED).cloned().unwrap_or_default()
}

#[test]
fn a_pod_stays_away_from_nodes_that_the_tenant_has_cordoned_or_tainted() {
    let taint = |effect: &str| json!({"taints": [{"key": "team", "value": "b", "effect": effect}]});
    let nodes = [
        node("a", &json!({}), &json!({"unschedulable": true})),
        node("b", &json!({}), &taint("NoExecute")),
        node("c", &json!({}), &taint("PreferNoSchedule")),
        node("d", &json!({}), &json!({})),
    ];
    let away = json!([{"matchFields": [named("NotIn", "a"), named("NotIn", "b")]}]);
    assert_eq!(terms(&mut lab(&nodes)), away);

    let mut tolerant = lab(&nodes);
    tolerant.edit("/spec/tolerations", json!([{"key": "team", "operator": "Exists"}]));
    assert_eq!(terms(&mut tolerant), json!([{"matchFields": [named("NotIn", "a")]}]));

    let mut strict = Lab::fresh();
    for node in &nodes {
        strict.clusters.put(Side::Virtual, node.clone());
    }
    assert_eq!(terms(&mut strict), Value::Null, "by default nothing of it counts");
}

#[test]
fn a_pod_prefers_nodes_without_a_taint_that_says_so() {
    const PREFERRED: &str = "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution";
    let taint = |key: &str| json!({"taints": [{"key": key, "effect": "PreferNoSchedule"}]});
    let nodes = [
        node("a", &json!({}), &taint("old")),
        node("b", &json!({}), &taint("slow")),
        node("c", &json!({}), &json!({})),
    ];
    let own = json!({"weight": 5, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}});
    let mut lab = lab(&nodes);
    lab.edit(PREFERRED, json!([own]));
    lab.edit("/spec/tolerations", json!([{"key": "slow", "operator": "Exists"}]));
    assert_eq!(terms(&mut lab), Value::Null, "it may still run there");
    let away = json!({"weight": 100, "preference": {"matchFields": [named("NotIn", "a")]}});
    assert_eq!(lab.host().unwrap().at(PREFERRED), Some(&json!([own, away])));
}

#[test]
fn a_topology_of_the_tenants_labels_is_told() {
    let term = |key: &str| json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}});
    let spread = |key: &str| json!([{"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]);
    let mut lab = lab(&[node("a", &json!({"rack": "1"}), &json!({}))]);
    lab.edit("/spec/topologySpreadConstraints", spread("rack"));
    let preferred = json!([{"weight": 1, "podAffinityTerm": term("rack")}]);
    lab.edit("/spec/affinity/podAntiAffinity", json!({"preferredDuringSchedulingIgnoredDuringExecution": preferred}));
    lab.edit("/spec/affinity/podAffinity", json!({"requiredDuringSchedulingIgnoredDuringExecution": [term("zone")]}));
    lab.converge();
    let told: Vec<_> = lab.events.iter().map(|event| event.message.split(':').next().unwrap()).collect();
    let weighted = "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm";
    assert_eq!(told, ["spec.topologySpreadConstraints[0].topologyKey", &format!("{weighted}.topologyKey")]);
}

#[test]
fn labels_of_the_tenant_become_names_of_nodes() {
    let nodes = [
        node("a", &json!({"team": "red"}), &json!({})),
        node("b", &json!({"team": "blue"}), &json!({})),
        node("c", &json!({"team": "red"}), &json!({"unschedulable": true})),
    ];
    let mut selected = lab(&nodes);
    selected.edit("/spec/nodeSelector", json!({"team": "red", "zone": "z"}));
    assert_eq!(terms(&mut selected), json!([{"matchFields": [named("In", "a"), named("NotIn", "c")]}]));
    assert_eq!(selected.host().unwrap().at("/spec/nodeSelector"), Some(&json!({"zone": "z"})));

    let expression = |operator: &str, values: Value| {
        let mut one = json!({"key": "team", "operator": operator});
        if !values.is_null() {
            one["values"] = values;
        }
        one
    };
    let zone = json!({"key": "zone", "operator": "Exists"});
    for (own, expected) in [
        (
            expression("Exists", Value::Null),
            json!([
                {"matchExpressions": [zone], "matchFields": [named("In", "a"), named("NotIn", "c")]},
                {"matchExpressions": [zone], "matchFields": [named("In", "b"), named("NotIn", "c")]},
            ]),
        ),
        (
            expression("NotIn", json!(["red"])),
            json!([{"matchExpressions": [zone],
                    "matchFields": [named("NotIn", "a"), named("NotIn", "c")]}]),
        ),
        (
            expression("In", json!(["green"])),
            json!([{"matchExpressions": [expression("In", json!(["green"])), zone], "matchFields": [named("NotIn", "c")]}]),
        ),
    ] {
        let mut lab = lab(&nodes);
        lab.edit(REQUIRED, json!([{"matchExpressions": [own, zone]}, {}]));
        let mut expected = expected.as_array().unwrap().clone();
        expected.push(json!({}));
        assert_eq!(terms(&mut lab), Value::Array(expected), "{own}");
    }
}

#[test]
fn a_host_pod_without_a_node_is_made_anew_when_the_nodes_inside_change() {
    let mut lab = lab(&[node("a", &json!({}), &json!({"unschedulable": true}))]);
    assert_eq!(terms(&mut lab), json!([{"matchFields": [named("NotIn", "a")]}]));
    let any = Dependency::Any(Side::Virtual, kinds::NODE);
    assert!(lab.reconcile().unwrap().wait.contains(&any));
    lab.clusters.put(Side::Virtual, node("a", &json!({}), &json!({})));
    let uid = lab.virt().unwrap().uid().to_owned();
    assert_eq!(lab.planned(), ["delete host Pod"]);
    lab.vanish();
    assert_eq!(terms(&mut lab), Value::Null);
    assert_eq!(lab.virt().unwrap().uid(), uid, "the pod inside is the same");

    lab.runs();
    lab.converge();
    lab.clusters.put(Side::Virtual, node("a", &json!({}), &json!({"unschedulable": true})));
    assert_eq!(lab.planned(), Vec::<String>::new(), "a pod that has a node keeps it");
}

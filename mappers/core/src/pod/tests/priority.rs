//! Priority classes and runtime classes of pods.

use serde_json::json;
use tenet_mapper::{EventReason, Side, kinds};

use super::lab::Lab;
use crate::pod::Pods;

fn priority_class(is_default: bool) -> String {
    format!(
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {{name: gold}}\nvalue: 9\nglobalDefault: {is_default}"
    )
}

/// A `PriorityClass` with `globalDefault` that is made later is in no learnt default.
#[test]
fn a_class_that_nobody_asked_for_is_left_out_whenever_it_became_the_default() {
    let mut lab = Lab::fresh().with(Side::Virtual, &priority_class(true));
    lab.edit("/spec/priorityClassName", json!("gold"));
    lab.edit("/spec/preemptionPolicy", json!("Never"));
    lab.converge();
    let spec = &lab.host().unwrap().value()["spec"];
    assert!(spec.get("priorityClassName").is_none() && spec.get("preemptionPolicy").is_none());
    assert!(lab.events.is_empty());

    // It is the default no longer, and this pod still has it.
    let mut lab = Lab::fresh().with(Side::Virtual, &priority_class(false));
    lab.edit("/spec/priorityClassName", json!("gold"));
    lab.converge();
    assert!(lab.host().unwrap().at("/spec/priorityClassName").is_none());
    assert_eq!(lab.events[0].reason, EventReason::Degraded);
}

/// Charts of `CoreDNS`, metrics-server and others name these classes, which every cluster has.
#[test]
fn a_class_that_is_not_listed_is_left_out_and_told() {
    for name in ["system-cluster-critical", "system-node-critical", "gold"] {
        let mut lab = Lab::fresh();
        lab.edit("/spec/priorityClassName", json!(name));
        lab.edit("/spec/priority", json!(2_000_000_000));
        lab.edit("/spec/preemptionPolicy", json!("Never"));
        lab.converge();
        let spec = &lab.host().unwrap().value()["spec"];
        for field in ["priorityClassName", "priority", "preemptionPolicy"] {
            assert!(spec.get(field).is_none(), "{field} of {name}");
        }
        let told: Vec<_> = lab.events.iter().map(|event| (event.reason, event.message.as_str())).collect();
        let expected = format!(
            "spec.priorityClassName: {name} is not among the classes of pods.priorityClasses, so the pod has the default \
             priority of the host"
        );
        assert_eq!(told, [(EventReason::Degraded, expected.as_str())]);
    }
}

#[test]
fn an_installation_permits_every_class_by_the_path() {
    let mut lab = Lab::fresh().facts(|facts| facts.policies.permit(kinds::POD, "spec.priorityClassName"));
    lab.edit("/spec/priorityClassName", json!("system-node-critical"));
    lab.converge();
    assert_eq!(lab.host().unwrap().str_at("/spec/priorityClassName"), Some("system-node-critical"));
    assert!(lab.events.is_empty());
}

#[test]
fn a_listed_runtime_class_crosses() {
    let mut lab = Lab::fresh().section(Pods { runtime_classes: vec!["gvisor".to_owned()], ..Pods::default() });
    lab.edit("/spec/runtimeClassName", json!("gvisor"));
    lab.edit("/spec/overhead", json!({"cpu": "250m"}));
    lab.converge();
    let spec = &lab.host().unwrap().value()["spec"];
    assert_eq!(spec["runtimeClassName"], "gvisor");
    assert!(spec.get("overhead").is_none(), "the host computes it from the class");
}

#[test]
fn a_class_of_the_tenant_crosses_as_the_class_of_the_host_for_its_handler() {
    let section = || Pods { runtime_handlers: [("runsc".to_owned(), "gvisor".to_owned())].into(), ..Pods::default() };
    let class = |handler: &str| {
        format!("apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {{name: sandbox}}\nhandler: {handler}")
    };
    let mut lab = Lab::fresh().section(section()).with(Side::Virtual, &class("runsc"));
    lab.edit("/spec/runtimeClassName", json!("sandbox"));
    lab.converge();
    assert_eq!(lab.host().unwrap().str_at("/spec/runtimeClassName"), Some("gvisor"));

    let mut lab = Lab::fresh().section(section()).with(Side::Virtual, &class("kata"));
    lab.edit("/spec/runtimeClassName", json!("sandbox"));
    let refused = lab.reconcile().unwrap_err().to_string();
    assert!(refused.contains("spec.runtimeClassName: sandbox is not among"), "{refused}");
}

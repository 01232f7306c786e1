//! Priority classes that the virtual cluster gives to pods.

use serde_json::{Value, json};
use tenet_mapper::{EventReason, Side};

use super::lab::Lab;

fn priority_class(is_default: bool) -> String {
    format!(
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {{name: gold}}\nvalue: 9\nglobalDefault: {is_default}"
    )
}

fn managed(fields: &Value) -> Value {
    json!([{"manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}}])
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
    lab.edit("/metadata/managedFields", managed(&json!({"f:containers": {}})));
    lab.converge();
    assert!(lab.host().unwrap().at("/spec/priorityClassName").is_none());
    assert_eq!(lab.events[0].reason, EventReason::Degraded);

    let mut lab = Lab::fresh().with(Side::Virtual, &priority_class(false));
    lab.edit("/spec/priorityClassName", json!("gold"));
    lab.edit("/metadata/managedFields", managed(&json!({"f:priorityClassName": {}})));
    let error = lab.reconcile().unwrap_err();
    assert!(error.to_string().contains("spec.priorityClassName"), "a client asked for it: {error}");
}

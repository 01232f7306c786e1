//! Patches: of metadata, of content, valid and not.

use serde_json::{Value, json};

use super::{MERGE, PATCH, STRATEGIC, Subject, dry};
use crate::random::Random;
use crate::script::Step;

/// Preconditions of a patch: none, true ones, false ones.
pub(super) fn preconditions(random: &mut Random, body: &mut Value) {
    match random.below(8) {
        0 => body["metadata"]["uid"] = json!("$uid"),
        1 => body["metadata"]["uid"] = json!("$old-uid"),
        2 => body["metadata"]["uid"] = json!("wrong"),
        3 => body["metadata"]["resourceVersion"] = json!("$version"),
        4 => body["metadata"]["resourceVersion"] = json!("$old-version"),
        _ => {}
    }
}

pub(super) fn metadata_patch(random: &mut Random, subject: &Subject) -> Step {
    let mut body = match random.below(7) {
        0 => json!({"metadata": {"labels": {"mark": "off"}}}),
        1 => json!({"metadata": {"labels": {"mark": null}}}),
        2 => json!({"metadata": {"annotations": {"note": "x"}}}),
        3 => json!({"metadata": {"finalizers": ["script.test/wait"]}}),
        4 => json!({"metadata": {"finalizers": null}}),
        5 => json!({"metadata": {"finalizers": ["script.test/wait", "script.test/more"]}}),
        _ => json!({"metadata": {"labels": {"mark": "on"}, "creationTimestamp": null}}),
    };
    preconditions(random, &mut body);
    let rest = if random.once(6) && matches!(subject.kind, "Pod" | "Service" | "Node" | "Namespace") {
        "/status"
    } else {
        dry(random)
    };
    subject.patch(random.pick(&[MERGE, MERGE, STRATEGIC]), rest, body)
}

pub(super) fn content_patch(random: &mut Random, subject: &Subject) -> Step {
    let mut rest = dry(random);
    let mut body = match subject.kind {
        "Pod" => {
            let (body, is_status) = pod_change(random);
            if is_status {
                rest = "/status";
            }
            body
        }
        "Service" => service_change(random),
        "ConfigMap" => random_value(
            random,
            &[
                json!({"data": {"x": "3"}}),
                json!({"data": {"y": "4"}}),
                json!({"immutable": true}),
                json!({"data": null}),
            ],
        ),
        "Secret" => random_value(
            random,
            &[
                json!({"data": {"x": "eHl6"}}),
                json!({"stringData": {"z": "text"}}),
                json!({"type": "other"}),
                json!({"immutable": true}),
            ],
        ),
        "Lease" => json!({"spec": {"holderIdentity": random.pick(&["one", "three"])}}),
        "Node" if random.once(2) => json!({"spec": {"unschedulable": true}}),
        "Node" => {
            rest = "/status";
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}, "spec": {"unschedulable": true}})
        }
        "Namespace" => json!({"status": {"phase": "Terminating"}}),
        "Event" => json!({"message": "another message"}),
        "Endpoints" => json!({"subsets": null}),
        _ => json!({"automountServiceAccountToken": true}),
    };
    preconditions(random, &mut body);
    let mime = if body.to_string().contains("$patch") {
        STRATEGIC
    } else if matches!(subject.kind, "Pod" | "Node") {
        random.pick(&[MERGE, STRATEGIC])
    } else {
        MERGE
    };
    subject.patch(mime, rest, body)
}

fn random_value(random: &mut Random, choices: &[Value]) -> Value {
    choices[random.below(choices.len())].clone()
}

fn pod_change(random: &mut Random) -> (Value, bool) {
    let time = "2026-01-01T00:00:00Z";
    match random.below(14) {
        0 => (json!({"spec": {"nodeName": "elsewhere"}}), false),
        1 => (json!({"spec": {"activeDeadlineSeconds": 100}}), false),
        2 => (json!({"spec": {"schedulingGates": null}}), false),
        3 => (json!({"spec": {"containers": [{"name": "c", "image": "other:2"}]}}), false),
        4 => (json!({"status": {"phase": "Failed"}}), false),
        5 => (json!({"status": {"phase": "Running", "podIP": "192.0.2.7"}, "spec": {"nodeName": "elsewhere"}}), true),
        6 => (json!({"status": {"phase": "Succeeded"}}), true),
        7 => {
            (json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}]}}), true)
        }
        8 => (
            json!({"status": {"conditions": [{"type": "Own", "status": "True"}, {"type": "PodScheduled", "status": "False"}]}}),
            true,
        ),
        9 => (json!({"status": {"conditions": [{"type": "Ready", "$patch": "delete"}]}}), true),
        10 => (json!({"status": {"phase": "Failed", "reason": "Tested"}}), true),
        11 => (json!({"status": {"qosClass": null, "message": "told"}}), true),
        12 => (json!({"spec": {"terminationGracePeriodSeconds": 5}}), false),
        _ => (json!({"spec": {"hostname": "x"}}), false),
    }
}

fn service_change(random: &mut Random) -> Value {
    random_value(
        random,
        &[
            json!({"spec": {"selector": {"app": "b"}}}),
            json!({"spec": {"clusterIP": "10.96.0.250"}}),
            json!({"spec": {"clusterIP": "10.96.0.250", "clusterIPs": ["10.96.0.250"]}}),
            external_name(),
            json!({"spec": {"type": "ClusterIP", "externalName": null, "ports": [{"port": 80}],
                "externalTrafficPolicy": null, "allocateLoadBalancerNodePorts": null}}),
            json!({"spec": {"type": "NodePort"}}),
            json!({"spec": {"type": "LoadBalancer"}}),
            json!({"spec": {"ports": [{"port": 8080}]}}),
            json!({"spec": {"ports": []}}),
            json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}}),
        ],
    )
}

/// Turns a Service into a name. It says itself which fields go: what the server drops stays in the managed fields,
/// which the model does not have, until the next update, which then writes.
fn external_name() -> Value {
    let gone = ["internalTrafficPolicy", "externalTrafficPolicy", "allocateLoadBalancerNodePorts"];
    let mut spec = json!({"type": "ExternalName", "externalName": "example.com"});
    for member in gone {
        spec[member] = Value::Null;
    }
    json!({"spec": spec})
}

pub(super) fn json_patch(random: &mut Random, subject: &Subject) -> Step {
    let replace =
        |member: &str, value: &str| json!({"op": "replace", "path": format!("/metadata/{member}"), "value": value});
    let label = json!({"op": "add", "path": "/metadata/labels/patched", "value": "yes"});
    let operations = match random.below(11) {
        0 => json!([replace("uid", "$uid"), replace("resourceVersion", "$version"), label]),
        1 => json!([replace("uid", "$uid"), replace("resourceVersion", "$old-version"), label]),
        2 => json!([replace("uid", "$old-uid"), label]),
        3 => json!([{"op": "test", "path": "/metadata/uid", "value": "wrong"}, label]),
        4 => json!([{"op": "test", "path": "/metadata/name", "value": subject.name}, label]),
        5 => json!([{"op": "remove", "path": "/metadata/labels/mark"}]),
        6 => json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]),
        7 => json!([{"op": "remove", "path": "/metadata/finalizers"}]),
        8 => json!([{"op": "add", "path": "/none/such/x", "value": "1"}]),
        9 => json!([{"op": "replace", "path": "/metadata/labels", "value": {"by": "script"}}]),
        _ => json!([]),
    };
    subject.patch(PATCH, dry(random), operations)
}

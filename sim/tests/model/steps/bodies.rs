//! Bodies of new objects.

use serde_json::{Value, json};

use super::Subject;
use crate::random::Random;
use crate::script::Names;

pub(super) fn body(random: &mut Random, names: &Names, subject: &Subject) -> Value {
    let mut body = json!({"metadata": {"name": subject.name}});
    match subject.kind {
        "Pod" => body["spec"] = pod_spec(random, names),
        "Service" => body["spec"] = service_spec(random, names),
        "ConfigMap" => {
            body["data"] = json!({"x": random.pick(&["1", "2"])});
            if random.once(6) {
                body["immutable"] = json!(true);
            }
        }
        "Secret" => match random.below(3) {
            0 => body["stringData"] = json!({"x": "plain"}),
            1 => body["data"] = json!({"x": "YWJj"}),
            _ => body["type"] = json!("example.com/kind"),
        },
        "ServiceAccount" if random.once(3) => body["automountServiceAccountToken"] = json!(false),
        "Lease" => body["spec"] = json!({"holderIdentity": random.pick(&["one", "two"])}),
        "Node" if random.once(2) => body["spec"] = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]}),
        "Node" => {
            body["status"] = json!({"capacity": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": "True"}]});
        }
        "Event" => {
            body["involvedObject"] = json!({"kind": "Pod", "name": "a", "namespace": names.namespace});
            body["reason"] = json!("Tested");
            body["message"] = json!("a message");
            body["type"] = json!("Normal");
        }
        "Endpoints" => {
            body["subsets"] = json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80, "protocol": "TCP"}]}]);
        }
        _ => {}
    }
    body
}

pub(super) fn pod_spec(random: &mut Random, names: &Names) -> Value {
    let mut container =
        json!({"name": "c", "image": random.pick(&["image", "image:1", "a.b/c@sha256:00", "x:latest"])});
    match random.below(6) {
        0 => container["ports"] = json!([{"containerPort": 80}]),
        1 => container["resources"] = json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
        2 => {
            container["env"] = json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "B", "value": "x"}]);
        }
        3 => container["readinessProbe"] = json!({"httpGet": {"port": 80}}),
        4 => container["resources"] = json!({"requests": {"cpu": "100m"}}),
        _ => {}
    }
    let mut spec = json!({"containers": [container]});
    match random.below(14) {
        0 => spec["nodeName"] = json!(format!("n-{}-a", names.seed)),
        1 => {
            spec["volumes"] =
                json!([{"name": "s", "secret": {"secretName": "a"}}, {"name": "e", "emptyDir": {}}, {"name": "n"}]);
        }
        2 => spec["serviceAccountName"] = json!(random.pick(&["a", "b"])),
        3 => spec["schedulingGates"] = json!([{"name": "script.test/gate"}]),
        4 => spec["terminationGracePeriodSeconds"] = json!(0),
        5 => spec["tolerations"] = json!([{"operator": "Exists"}]),
        6 => spec["automountServiceAccountToken"] = json!(false),
        7 => spec["initContainers"] = json!([{"name": "i", "image": "image:2"}]),
        8 => spec["containers"] = json!([]),
        9 => {
            spec["volumes"] = json!([{"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "a"}}]}}]);
        }
        _ => {}
    }
    spec
}

pub(super) fn service_spec(random: &mut Random, names: &Names) -> Value {
    let mut spec = json!({"ports": [{"port": 80}], "selector": {"app": "a"}});
    match random.below(12) {
        0 => spec["type"] = json!("NodePort"),
        1 => spec["type"] = json!("LoadBalancer"),
        2 => spec["clusterIP"] = json!("None"),
        3 => {
            spec["clusterIP"] = json!("None");
            spec["selector"] = Value::Null;
        }
        4 => spec = json!({"type": "ExternalName", "externalName": "example.com"}),
        5 => spec["ports"] = json!([{"port": 80}, {"port": 81}]),
        6 => {
            spec["ports"] =
                json!([{"port": 80, "name": "a", "targetPort": "web"}, {"port": 53, "name": "b", "protocol": "UDP"}]);
        }
        7 => spec["sessionAffinity"] = json!("ClientIP"),
        8 => spec["ports"] = json!([]),
        9 | 10 => spec["clusterIP"] = json!(address(names, random.below(2))),
        _ => {}
    }
    spec
}

/// An address below those that the server gives by itself; scripts that run at the same time have different ones.
pub(super) fn address(names: &Names, number: usize) -> String {
    format!("10.96.0.{}", 10 + (names.seed % 100) * 2 + number)
}

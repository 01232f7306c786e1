//! Pods from which the defaults of the virtual API server are learnt: every field that has
//! defaults below it is used once.

use serde_json::{Value, json};

/// One pod with what every supported version knows, and one with what came later: a server
/// that refuses the second still teaches by the first.
pub(super) fn samples() -> [Value; 2] {
    [sample(&container(), &volumes()), sample(&json!({"name": "c", "image": "i"}), &later_volumes())]
}

fn sample(container: &Value, volumes: &Value) -> Value {
    let mut init = container.clone();
    init["name"] = json!("init");
    init["restartPolicy"] = json!("Always");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tenet-defaults"},
        "spec": {
            // Without this, the token volume of the default account would count as a default.
            "automountServiceAccountToken": false,
            "initContainers": [init],
            "containers": [container],
            "volumes": volumes,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["h"]}],
            "affinity": {
                "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": {"matchExpressions": [{"key": "k", "operator": "Exists"}]}}]},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"topologyKey": "k", "labelSelector": {}}}]},
            },
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}],
        },
    })
}

fn container() -> Value {
    json!({
        "name": "c", "image": "i",
        "ports": [{"containerPort": 80}],
        "env": [
            {"name": "A", "value": "v"},
            {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "D", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
        "resources": {"limits": {"cpu": "1"}},
        "startupProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "h", "value": "v"}]}},
        "livenessProbe": {"grpc": {"port": 80}},
        "readinessProbe": {"tcpSocket": {"port": 80}},
        "lifecycle": {"postStart": {"exec": {"command": ["c"]}}, "preStop": {"httpGet": {"port": 80}}},
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    })
}

fn volumes() -> Value {
    let keys = |path: &str| json!([{"key": "k", "path": path}]);
    let fields = json!([
        {"path": "f", "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "r", "resourceFieldRef": {"resource": "limits.cpu", "containerName": "c"}},
    ]);
    json!([
        {"name": "scratch", "emptyDir": {}},
        {"name": "config", "configMap": {"name": "c", "items": keys("c")}},
        {"name": "secret", "secret": {"secretName": "s", "items": keys("s")}},
        {"name": "fields", "downwardAPI": {"items": fields}},
        {"name": "projected", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}},
            {"configMap": {"name": "c", "items": keys("c")}},
            {"secret": {"name": "s", "items": keys("s")}},
            {"downwardAPI": {"items": fields}},
        ]}},
    ])
}

fn later_volumes() -> Value {
    json!([{"name": "image", "image": {"reference": "i"}}])
}

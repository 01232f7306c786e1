//! Steps: random requests, most of them sensible, many of them wrong in one way.

use serde_json::{Value, json};

use crate::random::Random;
use crate::script::{LABEL, METADATA, METADATA_LIST, Names, Step};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const PATCH: &str = "application/json-patch+json";

/// One kind of object in scripts.
struct Subject {
    kind: &'static str,
    collection: String,
    name: String,
}

impl Subject {
    fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }

    fn object(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    fn step(&self, method: &'static str, rest: &str, body: Value) -> Step {
        Step::new(method, self.path() + rest, self.object(), body)
    }

    fn patch(&self, mime: &'static str, rest: &str, body: Value) -> Step {
        Step { mime, ..self.step("PATCH", rest, body) }
    }
}

fn subject(random: &mut Random, names: &Names) -> Subject {
    let kinds = [
        "Pod",
        "Pod",
        "Pod",
        "Pod",
        "Service",
        "Service",
        "ConfigMap",
        "ConfigMap",
        "Secret",
        "ServiceAccount",
        "Lease",
        "Node",
        "Namespace",
        "Endpoints",
        "Event",
    ];
    let kind = kinds[random.below(kinds.len())];
    of_kind(random, names, kind)
}

fn of_kind(random: &mut Random, names: &Names, kind: &'static str) -> Subject {
    let core = format!("/api/v1/namespaces/{}", names.namespace);
    let name = (*random.pick(&["a", "a", "b"])).to_owned();
    let (collection, name) = match kind {
        "Lease" => (format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", names.namespace), name),
        "Node" => ("/api/v1/nodes".to_owned(), format!("n-{}-{name}", names.seed)),
        "Namespace" => ("/api/v1/namespaces".to_owned(), format!("t-{}-{name}", names.seed)),
        "ServiceAccount" => (format!("{core}/serviceaccounts"), name),
        "Endpoints" => (format!("{core}/endpoints"), name),
        _ => (format!("{core}/{}s", kind.to_lowercase()), name),
    };
    Subject { kind, collection, name }
}

/// One random step.
pub fn any(random: &mut Random, names: &Names, number: usize) -> Step {
    let subject = subject(random, names);
    match random.below(30) {
        0..9 => create(random, names, &subject, number),
        9..12 => read(random, names, &subject),
        12..15 => metadata_patch(random, &subject),
        15..19 => content_patch(random, &subject),
        19..21 => json_patch(random, &subject),
        21..23 => replace(random, &subject),
        23..27 => delete(random, &subject),
        27..29 => subresource(random, names),
        _ => nonsense(random, names, &subject),
    }
}

fn dry(random: &mut Random) -> &'static str {
    if random.once(8) { "?dryRun=All" } else { "" }
}

fn create(random: &mut Random, names: &Names, subject: &Subject, number: usize) -> Step {
    let mut body = body(random, names, subject);
    let metadata = &mut body["metadata"];
    metadata["labels"] = json!({"by": "script", "mark": random.pick(&["on", "off"])});
    match random.below(16) {
        0 => metadata["finalizers"] = json!(["script.test/wait"]),
        1 => metadata["annotations"] = json!({"a": "b"}),
        2 if subject.kind != "Node" && subject.kind != "Namespace" => {
            metadata["generateName"] = json!(format!("gen{number}-"));
            metadata.as_object_mut().expect("an object").remove("name");
        }
        3 => metadata["uid"] = json!("11111111-2222-3333-4444-555555555555"),
        4 => metadata["namespace"] = json!("elsewhere"),
        5 => metadata["resourceVersion"] = json!("1"),
        6 => metadata["labels"] = json!({}),
        7 => {
            let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "$uid:ConfigMap/a"});
            metadata["ownerReferences"] = json!([owner]);
        }
        _ => {}
    }
    Step::new("POST", subject.collection.clone() + dry(random), subject.object(), body)
}

fn body(random: &mut Random, names: &Names, subject: &Subject) -> Value {
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

fn pod_spec(random: &mut Random, names: &Names) -> Value {
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

fn service_spec(random: &mut Random, names: &Names) -> Value {
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
fn address(names: &Names, number: usize) -> String {
    format!("10.96.0.{}", 10 + (names.seed % 100) * 2 + number)
}

fn read(random: &mut Random, names: &Names, subject: &Subject) -> Step {
    match random.below(9) {
        0..3 => subject.step("GET", "", Value::Null),
        3 => Step { accept: METADATA, ..subject.step("GET", "", Value::Null) },
        4 => Step::new("GET", "/api/v1/namespaces/nowhere", "", Value::Null),
        _ => list(random, names),
    }
}

fn list(random: &mut Random, names: &Names) -> Step {
    let kind = ["Pod", "Service", "ConfigMap", "Secret", "Pod"][random.below(5)];
    let subject = of_kind(random, names, kind);
    let query = match random.below(13) {
        0 => "?limit=1".to_owned(),
        1 => "?limit=1&continue=$token".to_owned(),
        2 => "?labelSelector=mark%3Don".to_owned(),
        3 => "?labelSelector=mark!%3Don,by".to_owned(),
        4 => "?labelSelector=mark+in+(on,off)".to_owned(),
        5 => "?fieldSelector=metadata.name%3Da".to_owned(),
        6 if kind == "Pod" => format!("?fieldSelector=spec.nodeName%3D{}", random.pick(&["", "n"])),
        7 if kind == "Pod" => "?fieldSelector=status.phase!%3DRunning".to_owned(),
        9 | 10 => format!("?resourceVersion=99999999{}", random.pick(&["", "&resourceVersionMatch=Exact"])),
        11 | 12 => format!("?resourceVersionMatch={}", random.pick(&["Exact", "NotOlderThan"])),
        8 => format!("?fieldSelector={}", random.pick(&["spec.nothing%3D1", "metadata.name!%3Db"])),
        _ => String::new(),
    };
    let accept = if random.once(3) { METADATA_LIST } else { crate::script::JSON };
    Step { accept, ..Step::new("GET", subject.collection + &query, "", Value::Null) }
}

/// Preconditions of a patch: none, true ones, false ones.
fn preconditions(random: &mut Random, body: &mut Value) {
    match random.below(8) {
        0 => body["metadata"]["uid"] = json!("$uid"),
        1 => body["metadata"]["uid"] = json!("$old-uid"),
        2 => body["metadata"]["uid"] = json!("wrong"),
        3 => body["metadata"]["resourceVersion"] = json!("$version"),
        4 => body["metadata"]["resourceVersion"] = json!("$old-version"),
        _ => {}
    }
}

fn metadata_patch(random: &mut Random, subject: &Subject) -> Step {
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

fn content_patch(random: &mut Random, subject: &Subject) -> Step {
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

fn json_patch(random: &mut Random, subject: &Subject) -> Step {
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

fn replace(random: &mut Random, subject: &Subject) -> Step {
    let mut change = match random.below(6) {
        0 => json!({"metadata": {"labels": {"mark": "on"}}}),
        1 => json!({"metadata": {"labels": {"mark": "off"}, "resourceVersion": null}}),
        2 => json!({"metadata": {"resourceVersion": "$old-version"}}),
        3 => json!({"metadata": {"uid": null, "annotations": {"put": "x"}}}),
        4 => json!({"metadata": {"finalizers": null}}),
        _ => json!({"metadata": {"name": "other"}}),
    };
    if change["metadata"]["name"].is_null() {
        change["metadata"]["name"] = json!(subject.name);
    }
    Step { on_last: true, ..subject.step("PUT", dry(random), change) }
}

fn delete(random: &mut Random, subject: &Subject) -> Step {
    let mut options = json!({});
    match random.below(12) {
        0 => options["preconditions"] = json!({"uid": "$uid"}),
        1 => options["preconditions"] = json!({"uid": "$old-uid"}),
        2 => options["preconditions"] = json!({"uid": "$uid", "resourceVersion": "$version"}),
        3 => options["preconditions"] = json!({"resourceVersion": "$old-version"}),
        4 => options["gracePeriodSeconds"] = json!(0),
        5 => options["gracePeriodSeconds"] = json!(100),
        6 => options["gracePeriodSeconds"] = json!(1000),
        7 => options["propagationPolicy"] = json!("Background"),
        8 => options["propagationPolicy"] = json!("Foreground"),
        9 => options["propagationPolicy"] = json!("Orphan"),
        10 => options["dryRun"] = json!(["All"]),
        _ => {}
    }
    if random.once(20) && matches!(subject.kind, "Pod" | "ConfigMap" | "Secret") {
        return Step::new("DELETE", format!("{}?labelSelector=mark%3Don", subject.collection), "", json!({}));
    }
    subject.step("DELETE", "", options)
}

fn subresource(random: &mut Random, names: &Names) -> Step {
    let pod = of_kind(random, names, "Pod");
    match random.below(12) {
        0..4 => {
            let mut body = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod.name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": format!("n-{}-a", names.seed)},
            });
            match random.below(5) {
                0 => body["metadata"]["uid"] = json!("$uid"),
                1 => body["metadata"]["uid"] = json!("$old-uid"),
                2 => body["metadata"]["uid"] = json!("wrong"),
                _ => {}
            }
            pod.step("POST", "/binding", body)
        }
        4..7 => {
            let account = random.pick(&["default", "a", "b"]);
            let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", names.namespace);
            let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": random.pick(&["$uid", "wrong", "$old-uid"])});
            let mut spec = json!({"expirationSeconds": random.pick(&["3600", "700", "60"]).parse::<u32>().expect("a number"), "audiences": []});
            if !random.once(3) {
                spec["boundObjectRef"] = bound;
            }
            if random.once(2) {
                spec["audiences"] = json!(["vault"]);
            }
            let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
            Step::new("POST", path, pod.object(), body)
        }
        7 => pod.step("POST", "/eviction", json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.name, "namespace": names.namespace}})),
        8 | 9 => {
            let containers = json!([{"name": random.pick(&["debug", "other"]), "image": random.pick(&["tool", "tool:2"])}]);
            pod.patch(STRATEGIC, "/ephemeralcontainers", json!({"spec": {"ephemeralContainers": containers}}))
        }
        10 => {
            let requests = json!({"cpu": random.pick(&["100m", "200m"])});
            let container = json!({"name": "c", "resources": {"requests": requests}});
            pod.patch(STRATEGIC, "/resize", json!({"spec": {"containers": [container]}}))
        }
        _ => {
            let namespace = of_kind(random, names, "Namespace");
            let body = json!({"metadata": {"name": namespace.name}, "spec": {"finalizers": []}});
            namespace.step("PUT", "/finalize", body)
        }
    }
}

fn nonsense(random: &mut Random, names: &Names, subject: &Subject) -> Step {
    let core = format!("/api/v1/namespaces/{}", names.namespace);
    match random.below(8) {
        0 => Step::new("GET", format!("{core}/nothings"), "", Value::Null),
        1 => Step::new("GET", "/apis/example.com/v1/things", "", Value::Null),
        2 => subject.patch("text/plain", "", json!({})),
        3 => Step::new("POST", "/api/v1/namespaces/nowhere/configmaps", "", json!({"metadata": {"name": "x"}})),
        4 => Step::new("POST", format!("{core}/configmaps"), "", json!({"metadata": {}})),
        5 => Step::new("POST", format!("{core}/secrets"), "", json!({"metadata": {"name": "UPPER"}})),
        6 => Step::new("DELETE", "/api/v1/namespaces/kube-system", "", json!({})),
        _ => Step::new("GET", format!("{core}/pods?labelSelector=a%3D%3D%3D"), "", Value::Null),
    }
}

/// Requests that free what later scripts may want.
pub fn clean_up(names: &Names) -> Vec<Step> {
    let core = format!("/api/v1/namespaces/{}", names.namespace);
    let mut steps = Vec::new();
    for name in ["a", "b"] {
        let finalizers = json!({"metadata": {"finalizers": null}});
        let path = format!("{core}/services/{name}");
        steps.push(Step { mime: MERGE, ..Step::new("PATCH", path.as_str(), "", finalizers) });
        steps.push(Step::new("DELETE", path, "", json!({"propagationPolicy": "Background"})));
    }
    steps.push(Step::new(
        "DELETE",
        format!("{core}/services?labelSelector={}", LABEL.replace('=', "%3D")),
        "",
        json!({}),
    ));
    steps
}

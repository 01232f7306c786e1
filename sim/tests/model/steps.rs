//! Steps: random requests, most of them sensible, many of them wrong in one way.

mod bodies;
mod patches;

use serde_json::{Value, json};

use crate::random::Random;
use crate::script::{LABEL, METADATA, METADATA_LIST, Names, Step};
use bodies::body;
use patches::{content_patch, json_patch, metadata_patch};

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

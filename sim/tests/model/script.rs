//! Scripts: requests that refer to objects by symbols, so that they mean the same on both sides.

use std::fmt;

use serde_json::{Value, json};

use crate::random::Random;
use crate::steps;

pub const JSON: &str = "application/json";
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Starts of a watch: the begin of the script, or the objects that exist.
const SINCE: &str = "&resourceVersion=$since";
const INITIAL: &str = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

/// The label of every object that a script makes.
pub const LABEL: &str = "by=script";

/// One request.
#[derive(Clone, Debug)]
pub struct Step {
    pub method: &'static str,
    pub path: String,
    pub mime: &'static str,
    pub accept: &'static str,
    pub body: Value,
    /// The object that it is about, as `kind/name`.
    pub object: String,
    /// True if the body is merged into the last state that was seen.
    pub on_last: bool,
}

/// A watch of everything that a script does to one resource.
#[derive(Debug)]
pub struct Watch {
    pub kind: String,
    pub path: String,
    pub accept: &'static str,
    /// The name of the last object.
    pub last: String,
}

/// A sequence of requests.
#[derive(Debug)]
pub struct Script {
    pub seed: usize,
    pub steps: Vec<Step>,
    pub watches: Vec<Watch>,
    /// Requests that clean up, whose answers do not matter.
    pub end: Vec<Step>,
}

/// Names of one script.
pub struct Names {
    pub seed: usize,
    pub namespace: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let merged = if self.on_last { " on the last state" } else { "" };
        write!(f, "{} {} ({}) {}{merged}", self.method, self.path, self.mime, self.body)
    }
}

impl Step {
    pub fn new(method: &'static str, path: impl Into<String>, object: impl Into<String>, body: Value) -> Self {
        let (path, object) = (path.into(), object.into());
        Self { method, path, mime: JSON, accept: JSON, body, object, on_last: false }
    }
}

/// Resources that a script watches: kind, path of the collection, body of its last object.
fn watched(names: &Names) -> Vec<(&'static str, String, Value)> {
    let core = format!("/api/v1/namespaces/{}", names.namespace);
    let labels = json!({"by": "script"});
    let last = json!({"metadata": {"name": "zz-last", "labels": labels}});
    let mut pod = last.clone();
    pod["spec"] = json!({"containers": [{"name": "c", "image": "i"}]});
    let mut service = last.clone();
    service["spec"] = json!({"ports": [{"port": 1}]});
    vec![
        ("ConfigMap", format!("{core}/configmaps"), last.clone()),
        ("Secret", format!("{core}/secrets"), last),
        ("Pod", format!("{core}/pods"), pod),
        ("Service", format!("{core}/services"), service),
    ]
}

impl Script {
    pub fn new(seed: usize) -> Self {
        let mut random = Random::new(seed as u64);
        let names = Names { seed, namespace: format!("s-{seed}") };
        let account = json!({"metadata": {"name": "default"}});
        let root = json!({"metadata": {"name": &names.namespace}});
        let core = format!("/api/v1/namespaces/{}", names.namespace);
        let mut script = vec![
            Step::new("POST", "/api/v1/namespaces", format!("Namespace/{}", names.namespace), root),
            Step::new("POST", format!("{core}/serviceaccounts"), "ServiceAccount/default", account),
        ];
        for (_, path, _) in watched(&names) {
            script.push(Step::new("GET", path, "", Value::Null));
        }
        for number in 0..20 + random.below(20) {
            script.push(steps::any(&mut random, &names, number));
        }
        let mut watches = Vec::new();
        for (kind, path, last) in watched(&names) {
            script.push(Step::new("POST", path.as_str(), format!("{kind}/zz-last"), last));
            let mut selectors = vec!["", "&labelSelector=by%3Dscript", "&labelSelector=by%3Dscript,mark!%3Don"];
            if kind == "Pod" {
                selectors.extend(["&fieldSelector=status.phase%3DPending", "&fieldSelector=spec.nodeName%3D"]);
            }
            let selector = random.pick(&selectors);
            let from = random.pick(&[SINCE, SINCE, INITIAL]);
            let accept = random.pick(&[JSON, JSON, METADATA]);
            let path = format!("{path}?watch=true&timeoutSeconds=60&allowWatchBookmarks=true{selector}{from}");
            watches.push(Watch { kind: kind.to_owned(), path, accept, last: "zz-last".to_owned() });
        }
        let end = steps::clean_up(&names);
        Self { seed, steps: script, watches, end }
    }
}

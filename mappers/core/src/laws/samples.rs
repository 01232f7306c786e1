//! Objects on which the laws are shown: those of `tests/corpus`, and some of kinds that it does not have.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

/// Namespace of the objects.
pub(crate) const NAMESPACE: &str = "shop";

/// Objects of kinds that are off by default, which the corpus lacks.
const OPTIONAL: &str = include_str!("samples.yaml");

/// All objects.
static ALL: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
    let parse = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
    let mut objects: Vec<_> = OPTIONAL.split("\n---").map(parse).collect();
    for entry in fs::read_dir(folder).unwrap() {
        let file = parse(&fs::read_to_string(entry.unwrap().path()).unwrap());
        objects.extend(file["apply"].as_array().unwrap().iter().cloned());
    }
    objects.sort_by_key(ToString::to_string);
    objects
});

/// Returns the objects of a kind; for pods also those that the templates of workloads make.
pub(crate) fn samples(kind: &str) -> Vec<Value> {
    let mut objects: Vec<_> = ALL.iter().filter_map(|object| of_kind(object, kind)).collect();
    objects.iter_mut().for_each(stored);
    objects
}

fn of_kind(object: &Value, kind: &str) -> Option<Value> {
    if object["kind"] == kind {
        return Some(object.clone());
    }
    let mut pod = object.pointer("/spec/template").filter(|_| kind == "Pod")?.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = object["metadata"]["name"].clone();
    Some(pod)
}

/// Makes an object what an API server has stored, as far as the mappers read it.
fn stored(object: &mut Value) {
    object["metadata"]["namespace"] = json!(NAMESPACE);
    object["metadata"]["uid"] = json!("u-1");
    if let Some(texts) = object.as_object_mut().and_then(|members| members.remove("stringData")) {
        object["data"] = texts;
    }
    if object["kind"] == "PodDisruptionBudget" {
        object["status"] = json!({"desiredHealthy": 2, "observedGeneration": 1});
        object["metadata"]["generation"] = json!(1);
    }
}

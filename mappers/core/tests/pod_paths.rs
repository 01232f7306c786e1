//! Writes the list of all fields of a Pod, anew for each Kubernetes version:
//!
//! ```text
//! OPENAPI=kubernetes/api/openapi-spec/v3/api__v1_openapi.json \
//!     cargo test -p tenet-core-mappers --test pod_paths -- --ignored
//! ```

use std::collections::BTreeSet;

use serde_json::Value;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pod-paths-1.37.txt");

#[test]
#[ignore = "writes the fixture, from a file that OPENAPI names"]
fn write_the_fixture() {
    let file = std::env::var("OPENAPI").expect("OPENAPI names the OpenAPI document of v1");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut paths = BTreeSet::new();
    let schemas = &document["components"]["schemas"];
    descend(schemas, "io.k8s.api.core.v1.Pod", "", &mut Vec::new(), &mut paths);
    let lines: Vec<_> = paths.iter().map(|path| format!("{path}\n")).collect();
    std::fs::write(FIXTURE, lines.concat()).unwrap();
}

fn descend(schemas: &Value, name: &str, path: &str, within: &mut Vec<String>, paths: &mut BTreeSet<String>) {
    // A schema that contains itself ends here.
    if within.iter().any(|outer| outer == name) {
        paths.insert(path.to_owned());
        return;
    }
    within.push(name.to_owned());
    visit(schemas, &schemas[name], path, within, paths);
    within.pop();
}

fn visit(schemas: &Value, schema: &Value, path: &str, within: &mut Vec<String>, paths: &mut BTreeSet<String>) {
    // A reference with a default is wrapped in a list of one.
    let schema = schema["allOf"].get(0).unwrap_or(schema);
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/components/schemas/");
        descend(schemas, name, path, within, paths);
    } else if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            visit(schemas, property, &path, within, paths);
        }
    } else if schema["items"].is_object() {
        visit(schemas, &schema["items"], &format!("{path}[]"), within, paths);
    } else if schema["additionalProperties"].is_object() {
        visit(schemas, &schema["additionalProperties"], &format!("{path}{{}}"), within, paths);
    } else {
        paths.insert(path.to_owned());
    }
}

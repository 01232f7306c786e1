//! Every field that the running API server knows has a rule.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;
use tenet_mapper::Kind;
use tenet_mapper::rules::Coverage;

use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_every_kind_has_a_rule() -> Result<()> {
    let harness = Harness::shared().await?;
    let mut missing = Vec::new();
    let mut walked = 0;
    for mapper in tenet_core_mappers::all() {
        let spec = mapper.spec();
        let Some(table) = &spec.table else { continue };
        let kind = spec.kind;
        let group = if kind.group.is_empty() { "api".to_owned() } else { format!("apis/{}", kind.group) };
        let document = harness.virt.get(&format!("/openapi/v3/{group}/{}", kind.version)).await?;
        let document = document.with_context(|| format!("the OpenAPI document of {kind}"))?;
        let paths = leaves(&document, kind)?;
        assert!(paths.len() > 5, "{}: only {} paths in the schema", spec.kind, paths.len());
        walked += paths.len();
        let lost = paths.iter().filter(|path| table.coverage(path) != Coverage::Ruled);
        missing.extend(lost.map(|path| format!("{}: {path}", spec.kind)));
    }
    assert!(walked > 900, "a Pod alone has more leaves than the {walked} that were walked");
    assert!(missing.is_empty(), "no rule for:\n{}", missing.join("\n"));
    Ok(())
}

/// Returns the paths of all leaves of a kind, in the notation of rules.
fn leaves(document: &Value, kind: Kind) -> Result<BTreeSet<String>> {
    let group = if kind.group.is_empty() { "core" } else { kind.group.split('.').next().unwrap_or_default() };
    let name = format!("io.k8s.api.{group}.{}.{}", kind.version, kind.kind);
    let schema = document["components"]["schemas"].get(&name).with_context(|| format!("no schema {name}"))?;
    let mut found = BTreeSet::new();
    descend(document, schema, "", &mut Vec::new(), &mut found);
    for header in ["apiVersion", "kind"] {
        found.remove(header);
    }
    Ok(found)
}

fn descend(document: &Value, schema: &Value, path: &str, within: &mut Vec<String>, found: &mut BTreeSet<String>) {
    // A reference with a default or a description is wrapped in a list of one element.
    let schema = schema["allOf"].get(0).unwrap_or(schema);
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/components/schemas/");
        if within.iter().any(|outer| outer == name) {
            found.insert(path.to_owned());
            return;
        }
        within.push(name.to_owned());
        descend(document, &document["components"]["schemas"][name], path, within, found);
        within.pop();
        return;
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            descend(document, property, &path, within, found);
        }
    } else if schema["items"].is_object() {
        descend(document, &schema["items"], &format!("{path}[]"), within, found);
    } else if schema["additionalProperties"].is_object() {
        descend(document, &schema["additionalProperties"], &format!("{path}{{}}"), within, found);
    } else {
        found.insert(path.to_owned());
    }
}

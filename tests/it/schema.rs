//! Every field that the running API server knows has a rule.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;
use tenet_mapper::Kind;
use tenet_mapper::rules::Coverage;

use crate::harness::Harness;
use crate::storage::snapshots;

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_every_kind_has_a_rule() -> Result<()> {
    let harness = Harness::shared().await?;
    snapshots::install(&harness.virt).await?;
    let mut missing = Vec::new();
    let mut walked = 0;
    for mapper in tenet_core_mappers::all() {
        let spec = mapper.spec();
        let Some(table) = &spec.table else { continue };
        let kind = spec.kind;
        let group = if kind.group.is_empty() { "api".to_owned() } else { format!("apis/{}", kind.group) };
        let document = format!("/openapi/v3/{group}/{}", kind.version);
        let has_kind = |document: &Value| schema(document, kind).is_some();
        let document = harness.virt.until(&document, "with the schema of the kind", has_kind).await?;
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

/// Returns the schema of the objects of a kind.
fn schema(document: &Value, kind: Kind) -> Option<&Value> {
    let is_of_kind = |id: &Value| id["group"] == kind.group && id["version"] == kind.version && id["kind"] == kind.kind;
    let mut schemas = document["components"]["schemas"].as_object().into_iter().flatten().map(|(_, schema)| schema);
    schemas.find(|schema| {
        let mut kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
        schema["properties"]["metadata"].is_object() && kinds.any(is_of_kind)
    })
}

/// Returns the paths of all leaves of a kind, in the notation of rules.
fn leaves(document: &Value, kind: Kind) -> Result<BTreeSet<String>> {
    let schema = schema(document, kind).with_context(|| format!("no schema of {kind}"))?;
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

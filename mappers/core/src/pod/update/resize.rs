use serde_json::{Value, json};
use tenet_mapper::Object;

use super::Record;
use super::named;

/// The resources that the tenant has changed, as a strategic merge patch for `resize`. What
/// the host filled in by itself stays.
///
/// What the host does not have yet is not recorded as crossed, so that it is tried again.
pub(super) fn change(virt: &Object, host: &Object, before: &Record, now: &mut Record) -> Option<Value> {
    let mut body = json!({});
    for list in ["initContainers", "containers"] {
        let mut resized = Vec::new();
        for container in virt.list_at(&format!("/spec/{list}")) {
            let twin = named(host, list, &container["name"]);
            let name = container["name"].as_str().unwrap_or_default();
            if is_due(name, &container["resources"], twin.map(|twin| &twin["resources"]), before, now) {
                resized.push(json!({"name": name, "resources": wanted(&container["resources"])}));
            }
        }
        if !resized.is_empty() {
            body["spec"][list] = Value::Array(resized);
        }
    }
    let whole = virt.at("/spec/resources").unwrap_or(&Value::Null);
    if is_due("", whole, host.at("/spec/resources").or(Some(&Value::Null)), before, now) {
        body["spec"]["resources"] = wanted(whole);
    }
    (body != json!({})).then_some(body)
}

fn is_due(name: &str, wanted: &Value, found: Option<&Value>, before: &Record, now: &mut Record) -> bool {
    if before.resources.get(name) == now.resources.get(name) || found.is_none_or(|found| has(found, wanted)) {
        return false;
    }
    match before.resources.get(name) {
        Some(crossed) => now.resources.insert(name.to_owned(), crossed.clone()),
        None => now.resources.remove(name),
    };
    true
}

/// Whether the host has every amount that the tenant wants.
fn has(found: &Value, wanted: &Value) -> bool {
    ["requests", "limits"].iter().all(|part| {
        let amounts = wanted[*part].as_object().into_iter().flatten();
        amounts.into_iter().all(|(name, amount)| found[*part].get(name) == Some(amount))
    })
}

fn wanted(resources: &Value) -> Value {
    let parts = ["requests", "limits"].into_iter().filter(|part| resources[*part].is_object());
    parts.map(|part| (part.to_owned(), resources[part].clone())).collect()
}

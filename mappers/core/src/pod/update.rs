//! What follows to a host pod after its creation.

use serde_json::{Map, Value, json};
use tenet_mapper::rules::Table;
use tenet_mapper::translate::digest::digest;
use tenet_mapper::{Context, Effect, HostPatch, MapError, Object, PatchFormat, VirtualKey, crossed, kinds, patch};

use super::fields::Fields;
use super::{create, security::put};

/// The annotation with a digest of what follows, as it crossed last. A host that changes an image
/// by a webhook is not fought: only a change inside is carried over.
pub const FOLLOWED: &str = "tenet.sh/followed";

/// A digest of all fields of a virtual pod that follow after creation.
pub fn followed(virt: &Object) -> String {
    let spec = &virt.value()["spec"];
    let of = |list: &str| {
        let containers = spec[list].as_array().into_iter().flatten();
        containers.map(|c| json!([c["name"], c["image"], c["resources"]])).collect::<Vec<_>>()
    };
    let members = ["activeDeadlineSeconds", "schedulingGates", "tolerations", "ephemeralContainers"];
    let rest: Vec<_> = members.iter().map(|member| spec[*member].clone()).collect();
    digest(&json!([of("containers"), of("initContainers"), rest]))
}

/// The writes that bring a host pod up to date.
pub async fn down(
    cx: &Context<'_>,
    table: &Table,
    key: &VirtualKey,
    virt: &Object,
    host: &Object,
) -> Result<Vec<Effect>, MapError> {
    let write = |subresource, format, body| {
        Effect::PatchHost(HostPatch {
            kind: kinds::POD,
            key: cx.host_key(kinds::POD, key),
            owner: cx.owner(kinds::POD, virt),
            subresource,
            format,
            body,
        })
    };
    let mut effects = Vec::new();
    let followed = followed(virt);
    if host.annotation(FOLLOWED) != Some(&followed) {
        let made = create::host_pod(cx, table, key, virt).await?;
        if let Some(body) = ephemeral(&made.pod, host) {
            effects.push(write(Some("ephemeralcontainers"), PatchFormat::Strategic, body));
        }
        if let Some(body) = resources(virt, host) {
            effects.push(write(Some("resize"), PatchFormat::Strategic, body));
        }
        if let Some(body) = spec(virt, host) {
            effects.push(write(None, PatchFormat::Strategic, body));
        }
    }
    if let Some(body) = metadata(cx, virt, host, &followed)? {
        effects.push(write(None, PatchFormat::Merge, body));
    }
    Ok(effects)
}

/// Containers to debug with, which are only ever added.
fn ephemeral(made: &Value, host: &Object) -> Option<Value> {
    let known = host.list_at("/spec/ephemeralContainers");
    let is_new = |container: &&Value| !known.iter().any(|other| other["name"] == container["name"]);
    let new: Vec<_> = made["spec"]["ephemeralContainers"].as_array()?.iter().filter(is_new).cloned().collect();
    (!new.is_empty()).then(|| json!({"spec": {"ephemeralContainers": new}}))
}

/// Resources that the tenant set and that the host has otherwise; what the host filled in is its own.
fn resources(virt: &Object, host: &Object) -> Option<Value> {
    let mut body = json!({});
    for list in ["containers", "initContainers"] {
        let changed = virt.list_at(&format!("/spec/{list}")).iter().filter(|container| {
            let twin = host.list_at(&format!("/spec/{list}")).iter().find(|twin| twin["name"] == container["name"]);
            twin.is_some_and(|twin| {
                let merged = merged(&twin["resources"], &container["resources"]);
                !patch::same(&merged, &twin["resources"])
            })
        });
        let changed: Vec<_> = changed.map(|c| json!({"name": c["name"], "resources": c["resources"]})).collect();
        if !changed.is_empty() {
            put(&mut body, &format!("/spec/{list}"), Value::Array(changed));
        }
    }
    (body != json!({})).then_some(body)
}

fn merged(base: &Value, over: &Value) -> Value {
    let mut merged = base.clone();
    for (part, values) in over.as_object().into_iter().flatten() {
        for (name, value) in values.as_object().into_iter().flatten() {
            merged[part][name] = value.clone();
        }
    }
    merged
}

/// Images, the deadline, gates that were opened and tolerations that were added.
fn spec(virt: &Object, host: &Object) -> Option<Value> {
    let mut spec = Map::new();
    for list in ["containers", "initContainers"] {
        let twins = host.list_at(&format!("/spec/{list}"));
        let differs = |container: &&Value| {
            twins.iter().any(|twin| twin["name"] == container["name"] && twin["image"] != container["image"])
        };
        let changed = virt.list_at(&format!("/spec/{list}")).iter().filter(differs);
        let changed: Vec<_> = changed.map(|c| json!({"name": c["name"], "image": c["image"]})).collect();
        if !changed.is_empty() {
            spec.insert(list.to_owned(), Value::Array(changed));
        }
    }
    let deadline = virt.at("/spec/activeDeadlineSeconds");
    if deadline.is_some() && deadline != host.at("/spec/activeDeadlineSeconds") {
        spec.insert("activeDeadlineSeconds".to_owned(), json!(deadline));
    }
    let gates = virt.list_at("/spec/schedulingGates");
    let opened: Vec<_> = host
        .list_at("/spec/schedulingGates")
        .iter()
        .filter(|gate| !gates.contains(gate))
        .map(|gate| &gate["name"])
        .collect();
    if !opened.is_empty() {
        let delete = opened.iter().map(|name| json!({"$patch": "delete", "name": name})).collect();
        spec.insert("schedulingGates".to_owned(), Value::Array(delete));
    }
    let known = host.list_at("/spec/tolerations");
    let added: Vec<_> = virt.list_at("/spec/tolerations").iter().filter(|one| !known.contains(one)).cloned().collect();
    if !added.is_empty() {
        spec.insert("tolerations".to_owned(), json!([known, &added].concat()));
    }
    (!spec.is_empty()).then(|| json!({"spec": spec}))
}

/// Labels and annotations that the tenant changed, and the values that the downward API shows.
fn metadata(cx: &Context<'_>, virt: &Object, host: &Object, followed: &str) -> Result<Option<Value>, MapError> {
    let key = VirtualKey::new(virt.namespace(), virt.name());
    let mut wanted = cx.metadata(kinds::POD, virt, &cx.host_key(kinds::POD, &key));
    for (annotation, value) in Fields::of(cx, virt)?.annotations {
        wanted["annotations"][annotation] = json!(value);
    }
    wanted["annotations"][FOLLOWED] = json!(followed);
    let mut body = json!({});
    for (map, mark) in [("labels", 'l'), ("annotations", 'a')] {
        let found = &host.value()["metadata"][map];
        for (key, value) in wanted[map].as_object().into_iter().flatten() {
            if found.get(key) != Some(value) {
                body["metadata"][map][key] = value.clone();
            }
        }
        for key in crossed::before(host.value(), mark) {
            if found.get(&key).is_some() && wanted[map].get(&key).is_none() {
                body["metadata"][map][&key] = Value::Null;
            }
        }
    }
    Ok((body != json!({})).then_some(body))
}

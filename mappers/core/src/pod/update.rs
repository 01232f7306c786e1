//! Updates of a host pod after its creation.
//!
//! The host pod records the tenant's mutable fields as of their last crossing. Only
//! a field that has changed inside since then is written, so changes that the host itself makes
//! to an image, to resources or tolerations stay.

mod record;

use serde_json::{Map, Value, json};
use tenet_mapper::keys::{CROSSED, FOLLOWED, GATES};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Effect, EventReason, Object, PatchFormat, crossed, patch};

pub(super) use record::Record;

use super::config::Pods;
use super::downward::Fields;
use super::tolerations::{self, Crossing};
use super::{Subject, exposure, namespaces, status};

/// The writes that bring a host pod up to date, and why its labels or the conditions of its gates may not follow.
pub(super) fn effects(pod: &Subject<'_, '_>, host: &Object) -> (Vec<Effect>, Vec<Refusal>) {
    let (before, mut now) = (Record::on(host), Record::of(pod.virt).with_namespaces(pod));
    // The API allows no change of it.
    now.placement.clone_from(&before.placement);
    let resized = resize(pod.virt, host, &before, &mut now);
    let mut wanted = Fields::of(pod).metadata(pod);
    let gates = status::gates(pod, host);
    let refusals: Vec<_> = labels(pod, host, &mut wanted).into_iter().chain(gates.refusals).collect();
    if let Some(record) = gates.record {
        wanted["annotations"][GATES] = json!(record);
    }
    let mut body = metadata(wanted, host, &now);
    let tolerated = (before.tolerations != now.tolerations)
        .then(|| tolerations::cross(pod.virt, &pod.cx.section::<Pods>().tolerations));
    if now != before
        && let Some(change) = spec(pod.virt, host, &before, &now, tolerated.as_ref())
    {
        body["spec"] = change;
    }
    let mut effects = Vec::new();
    if !patch::same(&body, &json!({})) {
        effects.push(pod.patch_host(None, PatchFormat::Strategic, body));
    }
    let remark = tolerated.and_then(|crossing| crossing.remark);
    effects.extend(remark.map(|remark| pod.event(EventReason::Degraded, &remark)));
    if before.namespaces != now.namespaces {
        effects.push(pod.event(EventReason::Degraded, namespaces::CHANGED));
    }
    effects.extend(gates.write);
    effects.extend(resized.map(|body| pod.patch_host(Some("resize"), PatchFormat::Strategic, body)));
    (effects, refusals)
}

/// Refuses labels with which the host pod is selected as a workload of the host. New ones do not cross, and those that
/// it has stay: a Service that comes later takes no label from a running pod.
fn labels(pod: &Subject<'_, '_>, host: &Object, wanted: &mut Value) -> Option<Refusal> {
    let found = host.value()["metadata"].get("labels").cloned().unwrap_or_default();
    let is_new = |(key, value): (&String, &Value)| found.get(key) != Some(value);
    if !wanted["labels"].as_object().into_iter().flatten().any(is_new) {
        return if pod.is_finished() { None } else { exposure::refusal_of_running(pod, &wanted["labels"]) };
    }
    let refusal = exposure::refusal(pod, &wanted["labels"])?;
    let marked = |object: &Value, mark: char| {
        crossed::before(object, mark).into_iter().map(move |key| format!("{mark}:{key}")).collect::<Vec<_>>()
    };
    let crossed = [marked(host.value(), 'l'), marked(&json!({"metadata": wanted}), 'a')].concat();
    wanted["annotations"][CROSSED] = json!(crossed.join(","));
    wanted["labels"] = found;
    Some(refusal)
}

/// Returns true if the host has all changes of the tenant.
pub(super) fn is_followed(virt: &Object, host: &Object) -> bool {
    // A pod keeps the namespaces that its affinity selected first, and its placement: the API allows no change of them.
    let before = Record { namespaces: String::new(), placement: String::new(), ..Record::on(host) };
    before == Record::of(virt)
}

/// The element of a list with this name.
fn named<'o>(object: &'o Object, list: &str, name: &Value) -> Option<&'o Value> {
    object.list_at(&format!("/spec/{list}")).iter().find(|element| element["name"] == *name)
}

/// Labels and annotations that have changed, the values of the downward API among them, as a
/// merge patch of the pod.
fn metadata(mut wanted: Value, host: &Object, now: &Record) -> Value {
    wanted["annotations"][FOLLOWED] = json!(now.text());
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
    body
}

/// Images, tolerations and the deadline, as a strategic merge patch of `spec`.
fn spec(virt: &Object, host: &Object, before: &Record, now: &Record, tolerated: Option<&Crossing>) -> Option<Value> {
    let mut spec = Map::new();
    for list in ["initContainers", "containers"] {
        let images = images(virt, host, list, before);
        if !images.is_empty() {
            spec.insert(list.to_owned(), Value::Array(images));
        }
    }
    if let Some(tolerations) = tolerated.and_then(|crossing| tolerations(&crossing.tolerations, host)) {
        spec.insert("tolerations".to_owned(), tolerations);
    }
    if let Some(deadline) = deadline(host, before, now) {
        spec.insert("activeDeadlineSeconds".to_owned(), json!(deadline));
    }
    (!spec.is_empty()).then_some(Value::Object(spec))
}

fn images(virt: &Object, host: &Object, list: &str, before: &Record) -> Vec<Value> {
    let is_changed = |container: &&Value| {
        let (name, image) = (&container["name"], &container["image"]);
        let crossed = name.as_str().and_then(|name| before.images.get(name));
        crossed.is_none_or(|crossed| image != crossed)
            && named(host, list, name).is_some_and(|twin| twin["image"] != *image)
    };
    let changed = virt.list_at(&format!("/spec/{list}")).iter().filter(is_changed);
    changed.map(|container| json!({"name": container["name"], "image": container["image"]})).collect()
}

/// Returns the host's tolerations with those that the tenant has added or given another time, as far as they cross.
/// Tolerations that the host has added stay: the API does not allow their removal.
fn tolerations(crossing: &[Value], host: &Object) -> Option<Value> {
    let found = host.list_at("/spec/tolerations");
    let mut wanted = found.to_vec();
    for toleration in crossing {
        match wanted.iter_mut().find(|other| tolerations::is_same(other, toleration)) {
            Some(other) => other.clone_from(toleration),
            None => wanted.push(toleration.clone()),
        }
    }
    let (found, wanted) = (Value::from(found), Value::Array(wanted));
    (!patch::same(&found, &wanted)).then_some(wanted)
}

/// Returns the new deadline. The API only accepts an earlier one.
fn deadline(host: &Object, before: &Record, now: &Record) -> Option<i64> {
    let found = host.at("/spec/activeDeadlineSeconds").and_then(Value::as_i64);
    now.deadline.filter(|_| now.deadline != before.deadline).filter(|wanted| found.is_none_or(|found| *wanted < found))
}

/// Returns the resources that the tenant has changed, as a strategic merge patch for `resize`. Values that
/// the host has defaulted stay.
///
/// A value that the host does not have yet is not recorded as crossed, so that it is tried again.
fn resize(virt: &Object, host: &Object, before: &Record, now: &mut Record) -> Option<Value> {
    let mut body = json!({});
    for list in ["initContainers", "containers"] {
        let mut resized = Vec::new();
        for container in virt.list_at(&format!("/spec/{list}")) {
            let twin = named(host, list, &container["name"]);
            let name = container["name"].as_str().unwrap_or_default();
            if is_resize_due(name, &container["resources"], twin.map(|twin| &twin["resources"]), before, now) {
                resized.push(json!({"name": name, "resources": amounts(&container["resources"])}));
            }
        }
        if !resized.is_empty() {
            body["spec"][list] = Value::Array(resized);
        }
    }
    let whole = virt.at("/spec/resources").unwrap_or(&Value::Null);
    if is_resize_due("", whole, host.at("/spec/resources").or(Some(&Value::Null)), before, now) {
        body["spec"]["resources"] = amounts(whole);
    }
    (body != json!({})).then_some(body)
}

fn is_resize_due(name: &str, wanted: &Value, found: Option<&Value>, before: &Record, now: &mut Record) -> bool {
    if before.resources.get(name) == now.resources.get(name) || found.is_none_or(|found| has_amounts(found, wanted)) {
        return false;
    }
    match before.resources.get(name) {
        Some(crossed) => now.resources.insert(name.to_owned(), crossed.clone()),
        None => now.resources.remove(name),
    };
    true
}

/// Returns true if the host has every amount that the tenant wants.
fn has_amounts(found: &Value, wanted: &Value) -> bool {
    ["requests", "limits"].iter().all(|part| {
        let amounts = wanted[*part].as_object().into_iter().flatten();
        amounts.into_iter().all(|(name, amount)| found[*part].get(name) == Some(amount))
    })
}

fn amounts(resources: &Value) -> Value {
    let parts = ["requests", "limits"].into_iter().filter(|part| resources[*part].is_object());
    parts.map(|part| (part.to_owned(), resources[part].clone())).collect()
}

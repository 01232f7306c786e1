//! Differences between the actual and the desired state, as the smallest patch.

use serde_json::{Map, Value, json};
use tenet_translate::keys::{APPLIED, PENDING, PENDING_OVER};
use tenet_translate::pointer::{self, escape};
pub use tenet_translate::rules::same;
use tenet_translate::rules::{Table, lacks};

use crate::{Projection, crossed};

/// The RFC 7386 patch that makes `to` of `from`; `None` when they are equal. Lists are
/// replaced. A null stands for an absent member.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::patch::merge_diff;
///
/// let patch = merge_diff(&json!({"a": 1, "b": 2}), &json!({"b": 3}));
/// assert_eq!(patch, Some(json!({"a": null, "b": 3})));
/// ```
pub fn merge_diff(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let mut patch = Map::new();
            for (name, wanted) in to.iter().filter(|(_, wanted)| !wanted.is_null()) {
                let change = match from.get(name) {
                    Some(found) => merge_diff(found, wanted),
                    None => Some(wanted.clone()),
                };
                if let Some(change) = change {
                    patch.insert(name.clone(), change);
                }
            }
            for (name, _) in from.iter().filter(|(_, found)| !found.is_null()) {
                if to.get(name).is_none_or(Value::is_null) {
                    patch.insert(name.clone(), Value::Null);
                }
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        _ => (!same(from, to)).then(|| to.clone()),
    }
}

/// The change that brings a host object up to its desired state, as JSON Patch
/// operations; none when nothing differs.
///
/// Only labels, annotations and owner record that are ours, and the fields that follow by the
/// table, are touched; what was a reservation is none afterwards. `actual` is a cached object, cut by `projection`.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::Projection;
/// use tenet_mapper::patch::host_ops;
///
/// let (desired, actual) = (json!({"metadata": {"labels": {"app": "b"}}}), json!({"metadata": {"labels": {"app": "a"}}}));
/// let ops = host_ops(&desired, &actual, None, &Projection::Whole);
/// assert_eq!(ops, [json!({"op": "add", "path": "/metadata/labels/app", "value": "b"})]);
/// ```
pub fn host_ops(desired: &Value, actual: &Value, table: Option<&Table>, projection: &Projection) -> Vec<Value> {
    let mut ops = Vec::new();
    metadata_ops(desired, actual, "labels", 'l', &mut ops);
    metadata_ops(desired, actual, "annotations", 'a', &mut ops);
    for mark in [PENDING, PENDING_OVER] {
        let has = |object: &Value| object["metadata"]["annotations"].get(mark).is_some();
        if has(actual) && !has(desired) {
            ops.push(json!({"op": "remove", "path": format!("/metadata/annotations/{}", escape(mark))}));
        }
    }
    let (applied, now) = (record(actual), record(desired));
    if let Some(table) = table {
        ops.extend(table.follow(desired, actual, applied.as_ref(), &|name, value| projection.hide(name, value)));
    }
    // The record is a reason to write by itself only when it would miss what the tenant has set.
    let is_note = |op: &Value| op["path"] == format!("/metadata/annotations/{}", escape(APPLIED));
    let (note, mut ops): (Vec<_>, Vec<_>) = ops.into_iter().partition(is_note);
    if !ops.is_empty() || applied.zip(now).is_some_and(|(applied, now)| lacks(&applied, &now)) {
        ops.extend(note);
    }
    ops
}

/// The record of what was applied, on a host object.
fn record(host: &Value) -> Option<Value> {
    let text = pointer::get(host, "/metadata/annotations")?.get(APPLIED)?.as_str()?;
    serde_json::from_str(text).ok()
}

/// Records in a host object which of its fields were applied, so that a later update can tell what
/// the tenant removes from what the host has filled in.
pub fn note_applied(desired: &mut Value, table: &Table, projection: &Projection) {
    if let Some(applied) = table.applied(desired, &|name, value| projection.hide(name, value)) {
        desired["metadata"]["annotations"][APPLIED] = Value::String(applied.to_string());
    }
}

/// Keys of labels or annotations: those in `desired` are set, those that crossed before
/// and are not wanted any more are removed, all others are somebody else's.
fn metadata_ops(desired: &Value, actual: &Value, map: &str, mark: char, ops: &mut Vec<Value>) {
    let of = |object: &Value| object.get("metadata").and_then(|m| m.get(map)).and_then(Value::as_object).cloned();
    let base = format!("/metadata/{map}");
    let wanted = of(desired).unwrap_or_default();
    let Some(found) = of(actual) else {
        if !wanted.is_empty() {
            ops.push(json!({"op": "add", "path": base, "value": wanted}));
        }
        return;
    };
    for (key, value) in wanted.iter().filter(|(key, value)| found.get(*key) != Some(*value)) {
        ops.push(json!({"op": "add", "path": format!("{base}/{}", escape(key)), "value": value}));
    }
    for key in crossed::before(actual, mark) {
        if found.contains_key(&key) && !wanted.contains_key(&key) {
            ops.push(json!({"op": "remove", "path": format!("{base}/{}", escape(&key))}));
        }
    }
}

#[cfg(test)]
mod tests {
    use tenet_translate::keys::CROSSED;
    use tenet_translate::rules::copy;

    use super::*;

    #[test]
    fn a_merge_patch_is_the_smallest_change() {
        let cases = [
            (json!({"a": 1, "b": {"c": 2}}), json!({"a": 1, "b": {"c": 2}}), None),
            (json!({"a": 1, "b": {"c": 2}}), json!({"b": {"c": 3}}), Some(json!({"a": null, "b": {"c": 3}}))),
            (json!({"l": [1, 2]}), json!({"l": [1]}), Some(json!({"l": [1]}))),
            (json!({"a": null}), json!({}), None),
            (json!({"l": [{"t": null, "k": 1}]}), json!({"l": [{"k": 1}]}), None),
        ];
        for (from, to, want) in cases {
            assert_eq!(merge_diff(&from, &to), want, "{from} -> {to}");
        }
    }

    #[test]
    fn only_kept_fields_and_our_own_keys_are_touched() {
        let table =
            Table::new(&[("", &[copy("data").whole().kept(), copy("spec.image").kept(), copy("spec.once")])]).unwrap();
        let desired = json!({
            "metadata": {"labels": {"app": "b"}, "annotations": {CROSSED: "l:app"}},
            "data": {"k": "v2"}, "spec": {"image": "i2", "once": 2}});
        let actual = json!({
            "metadata": {"labels": {"app": "a", "old": "x", "foreign": "y"},
                         "annotations": {CROSSED: "l:app,l:old"}},
            "data": {"k": "v1", "gone": "x"}, "spec": {"image": "i1", "once": 1, "host": 1}});
        assert_eq!(
            host_ops(&desired, &actual, Some(&table), &Projection::Whole),
            vec![
                json!({"op": "add", "path": "/metadata/labels/app", "value": "b"}),
                json!({"op": "remove", "path": "/metadata/labels/old"}),
                json!({"op": "add", "path": format!("/metadata/annotations/{}", escape(CROSSED)), "value": "l:app"}),
                json!({"op": "add", "path": "/data/k", "value": "v2"}),
                json!({"op": "remove", "path": "/data/gone"}),
                json!({"op": "add", "path": "/spec/image", "value": "i2"}),
            ]
        );
        assert_eq!(host_ops(&desired, &desired, Some(&table), &Projection::Whole), Vec::<Value>::new());
    }

    #[test]
    fn content_that_is_only_known_by_digest_is_replaced_whole() {
        let table = Table::new(&[("", &[copy("data").whole().kept()])]).unwrap();
        let digest = Projection::Digest(&["data"]);
        let desired = json!({"data": {"k": "v2"}});
        let old = digest.cut(json!({"data": {"k": "v1"}}));
        assert_eq!(
            host_ops(&desired, &old, Some(&table), &digest),
            vec![json!({"op": "add", "path": "/data", "value": {"k": "v2"}})]
        );
        let current = digest.cut(desired.clone());
        assert_eq!(host_ops(&desired, &current, Some(&table), &digest), Vec::<Value>::new());
    }
}

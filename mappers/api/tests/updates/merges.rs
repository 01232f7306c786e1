//! Merge patches of virtual objects: afterwards they show what was wanted, and nothing else has changed.

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::patch::same;
use tenet_mapper::plan::is_as_written;
use tenet_mapper::{ApplyVirtual, Effect, MapError, Object, VirtualKey, VirtualPatch, pointer};

use super::server::Server;
use super::{KIND, planned};

/// Any JSON of a few members, lists and nulls among them.
fn values() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(json!(null)), Just(json!(0)), Just(json!("x")), Just(json!(["x"])), Just(json!([{"a": 1}]))];
    leaf.prop_recursive(3, 12, 3, |inner| btree_map("[abc]", inner, 0..4).prop_map(|members| json!(members)))
}

fn objects() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("[abc]", values(), 0..4).prop_map(|members| members.into_iter().collect())
}

/// A virtual object of the tenant, or a picture of ours.
fn object(spec: &Map<String, Value>, status: Option<&Map<String, Value>>, is_ours: bool) -> Value {
    let labels = if is_ours { json!({MANAGED_BY: "vc-1", "theirs": "1"}) } else { json!({"theirs": "1"}) };
    let mut object = json!({"metadata": {"namespace": "shop", "name": "a", "uid": "uid", "resourceVersion": "7",
                                         "labels": labels}, "spec": spec});
    if let Some(status) = status {
        object["status"] = json!(status);
    }
    object
}

/// The object after the requests of an effect. The answer to each shows what was written.
fn performed(effect: &Effect, object: &Value) -> Value {
    let mut stored = object.clone();
    for write in planned(effect, Some(object)).expect("it is ours") {
        let before = Object::new(stored.clone());
        stored = Server::default().perform(Some(&stored), &write);
        assert!(is_as_written(&write, &before, &Object::new(stored.clone())), "{write:?} on {before:?} gives {stored}");
        let mut news = stored.clone();
        news["news"] = json!(1);
        assert!(!is_as_written(&write, &before, &Object::new(news)));
    }
    stored
}

fn without_version(mut object: Value) -> Value {
    object["metadata"]["resourceVersion"] = Value::Null;
    object
}

proptest! {
    #[test]
    fn a_patch_makes_its_values_true_and_leaves_the_rest(
        (spec, status, values) in (objects(), option::of(objects()), btree_map("[abc]", values(), 0..3)),
        is_status in any::<bool>(),
    ) {
        let object = object(&spec, status.as_ref(), false);
        let (subresource, part) = if is_status { (Some("status"), "status") } else { (None, "spec") };
        let values: Vec<_> = values.into_iter().map(|(name, value)| (format!("/{part}/{name}"), value)).collect();
        let effect = |object: &Value| {
            Effect::PatchVirtual(VirtualPatch::new(KIND, &Object::new(object.clone()), subresource, values.clone()))
        };
        let mut expected = object.clone();
        for (pointer, value) in &values {
            pointer::set(&mut expected, pointer, value.clone());
        }
        let after = performed(&effect(&object), &object);
        prop_assert!(same(&without_version(after.clone()), &without_version(expected.clone())) || is_bare(&expected, &after),
            "{object} with {values:?}: {after}");
        prop_assert_eq!(planned(&effect(&after), Some(&after)).unwrap(), [], "at rest nothing is written");

        let mut replaced = object.clone();
        replaced["metadata"]["uid"] = json!("another");
        prop_assert!(matches!(planned(&effect(&object), Some(&replaced)), Err(MapError::Conflict(_))));
        prop_assert!(matches!(planned(&effect(&object), None), Err(MapError::Conflict(_))));
    }

    #[test]
    fn a_picture_shows_what_is_wanted_and_keeps_the_labels_of_others(
        (spec, status) in (objects(), option::of(objects())),
        (wanted, shown) in (objects(), option::of(objects())),
        (is_ours, adopt) in (any::<bool>(), any::<bool>()),
    ) {
        let found = object(&spec, status.as_ref(), is_ours);
        let mut desired = object(&wanted, shown.as_ref(), true);
        desired["metadata"]["labels"] = json!({"app": "x"});
        let key = VirtualKey::new("shop", "a");
        let effect = Effect::ApplyVirtual(ApplyVirtual { kind: KIND, key, desired: desired.clone(), adopt });
        if !is_ours && !adopt {
            let is_refused = matches!(planned(&effect, Some(&found)), Err(MapError::Foreign { .. }));
            prop_assert!(is_refused);
            return Ok(());
        }
        let after = performed(&effect, &found);
        for part in ["spec", "status"].iter().filter(|part| desired.get(**part).is_some()) {
            let after = after.get(*part).unwrap_or(&Value::Null);
            prop_assert!(same(after, &desired[*part]) || is_bare(&desired[*part], after), "{part} of {after}");
        }
        prop_assert_eq!(&after["metadata"]["labels"], &json!({MANAGED_BY: "vc-1", "theirs": "1", "app": "x"}));
        prop_assert_eq!(planned(&effect, Some(&after)).unwrap(), [], "at rest nothing is written");
    }
}

/// Returns true if two values differ only in objects without content: a merge patch writes no empty object over none.
fn is_bare(wanted: &Value, found: &Value) -> bool {
    same(&bare(wanted), &bare(found))
}

fn bare(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().map(|(name, value)| (name, bare(value)));
            kept.filter(|(name, value)| *name != "resourceVersion" && !value.is_null() && *value != json!({}))
                .map(|(name, value)| (name.clone(), value))
                .collect()
        }
        value => value.clone(),
    }
}

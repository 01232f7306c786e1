use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::server::Server;
use super::tables::{DEFAULT, KEY, Shape, shapes};
use super::{synced, writes};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_host_object_is_what_a_creation_from_the_last_state_gives(
        (shape, states) in shapes().prop_flat_map(|shape| (Just(shape.clone()), vec(shape.values(), 2..6))),
        omits_empty in any::<bool>(),
    ) {
        let mut defaults = Vec::new();
        shape.defaults(&["spec".to_owned()], &mut defaults);
        let (server, table) = (Server { defaults, omits_empty }, shape.table());
        let mut states = states.into_iter().map(|spec| json!({ "spec": spec }));
        let mut host = synced(&server, &table, &states.next().unwrap(), None);
        for virt in states {
            let before = host.clone();
            host = synced(&server, &table, &virt, Some(&before));
            let created = synced(&server, &table, &virt, None);
            prop_assert!(
                agrees(&shape, created.get("spec"), host.get("spec")),
                "virtual {virt}\nbefore  {before}\nhost    {host}\ncreated {created}\npatch {:?}", writes(&table, &virt, Some(&before))
            );
            prop_assert!(
                stays(&shape, before.get("spec"), host.get("spec")),
                "a field that does not follow changed: {before} -> {host}"
            );
            prop_assert_eq!(writes(&table, &virt, Some(&host)), [], "at rest nothing is written: {}", host);
        }
    }
}

/// Returns true if two host objects are equal in every field that follows. A struct that is there only for the sake of
/// fields that do not follow is as good as none.
fn agrees(shape: &Shape, created: Option<&Value>, host: Option<&Value>) -> bool {
    if !shape.follows() {
        return true;
    }
    match (shape, created, host) {
        (Shape::Scalar { .. } | Shape::Opaque { .. }, created, host) => created == host,
        (Shape::List(each), Some(Value::Array(created)), Some(Value::Array(host))) => {
            created.len() == host.len() && created.iter().zip(host).all(|(a, b)| agrees(each, Some(a), Some(b)))
        }
        (Shape::Keyed(fields), Some(Value::Array(created)), Some(Value::Array(host))) => {
            let element = Shape::Struct(fields.clone());
            created.len() == host.len()
                && created.iter().zip(host).all(|(a, b)| a[KEY] == b[KEY] && agrees(&element, Some(a), Some(b)))
        }
        (Shape::Struct(_) | Shape::Map(_), Some(Value::Object(_)), Some(Value::Object(_))) => {
            names(created, host).iter().all(|name| {
                let member = |object: Option<&Value>| object.and_then(|object| object.get(name)).cloned();
                member_shape(shape, name)
                    .is_none_or(|shape| agrees(shape, member(created).as_ref(), member(host).as_ref()))
            })
        }
        // The server fills in its defaults wherever the struct is.
        (Shape::Struct(fields), None, Some(Value::Object(host))) => {
            !host.is_empty()
                && fields.iter().all(|(name, shape)| {
                    host.get(*name) == Some(&json!(DEFAULT)) || agrees(shape, None, host.get(*name))
                })
        }
        (_, created, host) => created.is_none() && host.is_none(),
    }
}

/// Returns true if the fields that do not follow are what they were, wherever their struct still is.
fn stays(shape: &Shape, before: Option<&Value>, after: Option<&Value>) -> bool {
    match (shape, before, after) {
        (Shape::Scalar { follows: false, .. } | Shape::Opaque { follows: false } | Shape::Host, before, after) => {
            before.is_none() || before == after
        }
        (Shape::Struct(_), Some(Value::Object(_)), Some(Value::Object(_))) => names(before, after).iter().all(|name| {
            let member = |object: Option<&Value>| object.and_then(|object| object.get(name)).cloned();
            member_shape(shape, name).is_none_or(|shape| stays(shape, member(before).as_ref(), member(after).as_ref()))
        }),
        // A struct goes only when nothing is in it but what follows.
        (Shape::Struct(fields), Some(Value::Object(before)), None) => {
            fields.iter().all(|(name, shape)| stays(shape, before.get(*name), None))
        }
        (Shape::Keyed(fields), Some(Value::Array(before)), Some(Value::Array(after))) => {
            let element = Shape::Struct(fields.clone());
            after.iter().all(|after| {
                let twin = before.iter().find(|before| before[KEY] == after[KEY]);
                twin.is_none_or(|before| stays(&element, Some(before), Some(after)))
            })
        }
        (shape, before, after) if !shape.follows() => before == after,
        _ => true,
    }
}

fn names(a: Option<&Value>, b: Option<&Value>) -> Vec<String> {
    let of = |object: Option<&Value>| object.and_then(Value::as_object).cloned().unwrap_or_default();
    of(a).into_iter().chain(of(b)).map(|(name, _)| name).collect()
}

fn member_shape<'s>(shape: &'s Shape, name: &str) -> Option<&'s Shape> {
    match shape {
        Shape::Struct(fields) => fields.get(name),
        Shape::Map(each) => Some(each),
        _ => None,
    }
}

//! Changes that a hostile tenant makes to an object.

use proptest::prelude::*;
use serde_json::{Value, json};
use tenet_mapper::keys::PREFIX;
use tenet_mapper::rules::Table;

use super::FORGED;

/// Change that a hostile tenant makes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Sets a label of this key.
    Label(String),
    /// Sets an annotation of this key.
    Annotation(String),
    /// Gives the objects that the object refers to other names.
    Names(String),
    /// Replaces one of the texts, chosen by a number.
    Text(usize, String),
}

/// Returns some changes.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let key = prop_oneof![
        Just("app".to_owned()),
        Just(format!("{PREFIX}/uid")),
        Just(format!("{PREFIX}/managed-by")),
        Just(format!("{PREFIX}/namespace")),
        Just(format!("{PREFIX}/crossed")),
        Just(format!("x.{}/a", PREFIX.to_uppercase())),
        "[a-z]{1,8}\\.example\\.com/[a-z]{1,8}",
    ];
    let name = "[a-z][a-z0-9-]{0,60}[a-z0-9]";
    let change = prop_oneof![
        key.clone().prop_map(Change::Label),
        key.prop_map(Change::Annotation),
        name.prop_map(Change::Names),
        (any::<usize>(), ".{0,20}").prop_map(|(at, text)| Change::Text(at, text)),
    ];
    prop::collection::vec(change, 0..6)
}

/// Applies changes to an object.
pub(crate) fn changed(object: &Value, table: &Table, changes: &[Change]) -> Value {
    let mut object = object.clone();
    for (index, change) in changes.iter().enumerate() {
        match change {
            Change::Label(key) => object["metadata"]["labels"][key] = json!(FORGED),
            Change::Annotation(key) => object["metadata"]["annotations"][key] = json!(FORGED),
            Change::Names(name) => {
                for (number, reference) in table.references(&object).into_iter().enumerate() {
                    rename(&mut object, &reference.name, &format!("{name}-{index}-{number}"));
                }
            }
            Change::Text(at, text) => replace(&mut object, *at, text),
        }
    }
    object
}

/// Replaces a text of the content. The identity of the object stays.
fn replace(object: &mut Value, at: usize, text: &str) {
    let members = object.as_object_mut().into_iter().flatten();
    let content = members.filter(|(member, _)| ["data", "endpoints", "ports", "spec"].contains(&member.as_str()));
    let texts: Vec<_> = content.flat_map(|(_, value)| texts_of(value)).collect();
    let count = texts.len().max(1);
    if let Some(found) = texts.into_iter().nth(at % count) {
        text.clone_into(found);
    }
}

fn texts_of(value: &mut Value) -> Vec<&mut String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter_mut().flat_map(texts_of).collect(),
        Value::Object(members) => members.values_mut().flat_map(texts_of).collect(),
        _ => Vec::new(),
    }
}

fn rename(object: &mut Value, from: &str, to: &str) {
    let Some(spec) = object.get_mut("spec") else { return };
    for text in texts_of(spec) {
        if text == from {
            to.clone_into(text);
        }
    }
}

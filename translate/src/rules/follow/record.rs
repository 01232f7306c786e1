use serde_json::{Map, Value, json};

use super::Hide;
use crate::digest::digest;
use crate::rules::table::Node;

/// Long enough to tell one value of a list from the next.
const DIGEST: usize = 12;

/// Record on a host object about one field.
#[derive(Clone, Copy)]
pub(super) enum Applied<'r> {
    /// There is no record: every field counts as applied.
    Unknown,
    /// The mark of the field, if it was applied.
    Mark(Option<&'r Value>),
}

impl<'r> Applied<'r> {
    /// The record of a whole object.
    pub(super) fn of(record: Option<&'r Value>) -> Self {
        record.map_or(Self::Unknown, |record| Self::Mark(Some(record)))
    }

    pub(super) fn member(self, name: &str) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Mark(mark) => Self::Mark(mark.and_then(|mark| mark.get(name))),
        }
    }

    pub(super) fn is_applied(self) -> bool {
        matches!(self, Self::Unknown | Self::Mark(Some(_)))
    }

    /// Returns true if exactly this was applied.
    pub(super) fn is(self, mark: &Value) -> bool {
        matches!(self, Self::Mark(Some(applied)) if applied == mark)
    }
}

/// The marks of the members of an object that follow.
pub(super) fn members(node: &Node, members: &Map<String, Value>, hide: Hide<'_>) -> Value {
    let marked = members.iter().filter_map(|(name, value)| {
        let child = node.member(name).filter(|child| child.follows && !value.is_null())?;
        // Of content that is kept out of the cache, the record tells no digest.
        Some((name.clone(), if hide(name, value).is_some() { json!(1) } else { mark(child, value) }))
    });
    Value::Object(marked.collect())
}

/// The mark of a field: for a scalar 1, or 0 for a zero value; a digest for a list and for opaque content; the marks of
/// its members for a struct.
pub(super) fn mark(node: &Node, value: &Value) -> Value {
    match value {
        Value::Object(inner) if !node.is_value(value) => members(node, inner, &|_, _| None),
        Value::Object(_) | Value::Array(_) => {
            let mut text = digest(&part(node, value).unwrap_or_default());
            text.truncate(DIGEST);
            json!(text)
        }
        scalar => json!(u8::from(!is_zero(scalar))),
    }
}

/// Returns true if a record misses a field that another one has. A digest that differs is no loss: a list that is equal
/// to the wanted one needs none, and one that is not is written.
pub fn lacks(record: &Value, other: &Value) -> bool {
    let members = other.as_object().into_iter().flatten();
    members.into_iter().any(|(name, other)| record.get(name).is_none_or(|record| lacks(record, other)))
}

/// The part of a value that follows; `None` when nothing does. That a struct is there follows, and so does the position
/// of an element in its list.
pub(super) fn part(node: &Node, value: &Value) -> Option<Value> {
    if node.is_value(value) {
        return node.is_kept().then(|| value.clone());
    }
    match value {
        Value::Object(members) => {
            let found = members.iter().filter_map(|(name, value)| {
                let child = node.member(name).filter(|child| child.follows && !value.is_null())?;
                Some((name.clone(), part(child, value)?))
            });
            Some(Value::Object(found.collect()))
        }
        Value::Array(items) => {
            let each = node.each()?;
            Some(items.iter().map(|item| element(node, each, item)).collect())
        }
        _ => None,
    }
}

/// The part of an element that follows, and the key that it is known by.
fn element(list: &Node, each: &Node, item: &Value) -> Value {
    let Some(members) = item.as_object() else { return part(each, item).unwrap_or_else(|| item.clone()) };
    let mut found = part(each, item).unwrap_or_else(|| json!({}));
    for key in &list.keys {
        if let (Some(found), Some(value)) = (found.as_object_mut(), members.get(key).filter(|value| !value.is_null())) {
            found.insert(key.clone(), value.clone());
        }
    }
    found
}

/// Returns true if two values mean the same to the API server: null members are absent ones.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let within = |x: &Map<String, Value>, y: &Map<String, Value>| {
                x.iter().all(|(name, value)| value.is_null() || y.get(name).is_some_and(|other| same(value, other)))
            };
            within(a, b) && within(b, a)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

/// Returns true if `found` is `wanted` with members that the server has filled in, and without zero values that it
/// leaves out.
pub(super) fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| found.get(name).map_or_else(|| is_zero(wanted), |found| covers(found, wanted))),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| covers(found, wanted))
        }
        _ => found == wanted,
    }
}

/// Returns true if a server whose types have `omitempty` leaves the value out.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_zero),
    }
}

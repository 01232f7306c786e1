//! Hashes of the part of an object that a projection shows: a reader need not look again while
//! that part stays the same.

use std::hash::Hasher;

use serde_json::{Map, Value};

use super::Projection;

/// Members of the metadata that say nothing about the object itself. A write reads the resource
/// version from the cache at that time, so a mapper need not run for a new one alone.
const NOISE: [&str; 3] = ["managedFields", "resourceVersion", "selfLink"];

impl Projection {
    /// Feeds what the projection shows of an object that was [cut](Self::cut) into `state`. The
    /// resource version counts only for [`Self::Metadata`], where it stands for the content.
    pub fn hash(&self, object: &Value, state: &mut impl Hasher) {
        let Value::Object(members) = object else { return value(object, state) };
        let metadata = members.get("metadata").and_then(Value::as_object);
        let noise: &[&str] = if *self == Self::Metadata { &[] } else { &NOISE };
        map(metadata.unwrap_or(&Map::new()), noise, state);
        match self {
            Self::Metadata => {}
            Self::Whole | Self::Digest(_) => map(members, &["metadata"], state),
            Self::Fields(paths) => paths.iter().for_each(|path| at(object, path, state)),
        }
    }
}

fn map(members: &Map<String, Value>, without: &[&str], state: &mut impl Hasher) {
    state.write_u8(b'o');
    for (name, member) in members.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        text(name, state);
        value(member, state);
    }
    state.write_u8(b'.');
}

fn value(of: &Value, state: &mut impl Hasher) {
    match of {
        Value::Null => state.write_u8(b'0'),
        Value::Bool(flag) => state.write_u8(if *flag { b't' } else { b'f' }),
        Value::Number(number) => {
            state.write_u8(b'n');
            text(&number.to_string(), state);
        }
        Value::String(string) => {
            state.write_u8(b's');
            text(string, state);
        }
        Value::Array(items) => {
            state.write_u8(b'a');
            state.write_usize(items.len());
            for item in items {
                value(item, state);
            }
        }
        Value::Object(members) => map(members, &[], state),
    }
}

fn text(text: &str, state: &mut impl Hasher) {
    state.write_usize(text.len());
    state.write(text.as_bytes());
}

/// Feeds the values at a field path; an absent value differs from every other.
fn at(object: &Value, path: &str, state: &mut impl Hasher) {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (name, each) = head.strip_suffix("[]").map_or((head, false), |name| (name, true));
    let Some(found) = object.get(name) else { return state.write_u8(b'-') };
    match (rest, found) {
        (None, found) => value(found, state),
        (Some(rest), Value::Array(items)) if each => {
            state.write_usize(items.len());
            for item in items {
                at(item, rest, state);
            }
        }
        (Some(rest), found) => at(found, rest, state),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use serde_json::json;

    use super::*;

    fn hash(projection: &Projection, object: &Value) -> u64 {
        let mut state = DefaultHasher::new();
        projection.hash(&projection.cut(object.clone()), &mut state);
        state.finish()
    }

    fn pod() -> Value {
        json!({
            "metadata": {"name": "p", "uid": "u", "resourceVersion": "1", "labels": {"a": "b"}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]},
            "status": {"phase": "Pending", "hostIP": null},
        })
    }

    #[test]
    fn a_reader_sees_a_change_of_what_its_projection_shows_and_no_other() {
        const FIELDS: Projection = Projection::Fields(&["spec.nodeName", "spec.containers[].image", "status.hostIP"]);
        let (old, whole) = (pod(), Projection::Whole);
        for (pointer, new, fields, metadata) in [
            ("/metadata/resourceVersion", json!("2"), false, true),
            ("/metadata/labels", json!({}), true, true),
            ("/metadata/labels/a", json!("c"), true, true),
            ("/metadata/uid", json!("v"), true, true),
            ("/spec/nodeName", json!("m"), true, false),
            ("/spec/containers/1/image", json!("k"), true, false),
            ("/spec/containers/1/name", json!("e"), false, false),
            ("/spec/containers", json!([]), true, false),
            ("/status/hostIP", json!("10.0.0.1"), true, false),
            ("/status/phase", json!("Running"), false, false),
        ] {
            let mut changed = old.clone();
            *changed.pointer_mut(pointer).unwrap() = new;
            let seen = |projection: &Projection| hash(projection, &old) != hash(projection, &changed);
            assert_eq!(seen(&FIELDS), fields, "fields, {pointer}");
            assert_eq!(seen(&Projection::Metadata), metadata, "metadata, {pointer}");
            assert_eq!(seen(&whole), pointer != "/metadata/resourceVersion", "whole, {pointer}");
        }
    }

    #[test]
    fn a_field_that_is_absent_is_not_one_that_is_null_or_stands_elsewhere() {
        let projection = Projection::Fields(&["spec.a", "spec.b"]);
        let objects =
            [json!({}), json!({"spec": {"a": null}}), json!({"spec": {"b": null}}), json!({"spec": {"a": "-"}})];
        let hashes: std::collections::BTreeSet<_> = objects.iter().map(|object| hash(&projection, object)).collect();
        assert_eq!(hashes.len(), objects.len());
    }

    #[test]
    fn content_that_is_kept_as_a_digest_counts() {
        let projection = Projection::Digest(&["data"]);
        let secret = |data: &str, version: &str| json!({"metadata": {"resourceVersion": version}, "data": {"k": data}});
        assert_eq!(hash(&projection, &secret("a", "1")), hash(&projection, &secret("a", "2")));
        assert_ne!(hash(&projection, &secret("a", "1")), hash(&projection, &secret("b", "1")));
    }
}

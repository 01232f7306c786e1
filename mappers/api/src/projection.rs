mod hash;

use serde_json::{Map, Value, json};
use tenet_translate::digest::digest;
use tenet_translate::keys::DIGEST;

/// Part of an object that a cache keeps. Managed fields and the last-applied configuration
/// are never kept. Lists that come from the configuration are
/// [interned](tenet_translate::intern::intern_all).
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::Projection;
///
/// let pod = json!({"metadata": {"name": "web"}, "spec": {"nodeName": "node-1", "hostname": "web"}});
/// let kept = Projection::Fields(&["spec.nodeName"]).cut(pod);
/// assert_eq!(kept, json!({"metadata": {"name": "web"}, "spec": {"nodeName": "node-1"}}));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Projection {
    /// Everything.
    #[default]
    Whole,
    /// The metadata only; the API server sends no more.
    Metadata,
    /// The metadata, and the values at these field paths (`spec.containers[].name`). Without a path it is the metadata
    /// alone, and a new resource version by itself is no change of it.
    Fields(&'static [&'static str]),
    /// Everything, but of these members of the object only a digest: the content of
    /// Secrets is compared, not kept.
    Digest(&'static [&'static str]),
}

impl Projection {
    /// Cuts an object down to what is kept of it.
    pub fn cut(&self, mut object: Value) -> Value {
        drop_bulk(&mut object);
        match self {
            Self::Whole => object,
            Self::Metadata => pick(object, &["apiVersion", "kind"]),
            Self::Fields(paths) => pick(object, paths),
            Self::Digest(members) => {
                for member in *members {
                    if let Some(content) = object.get_mut(*member)
                        && content.as_object().is_none_or(|content| !content.contains_key(DIGEST))
                    {
                        *content = json!({ DIGEST: digest(content) });
                    }
                }
                object
            }
        }
    }

    /// Returns the bytes of an object's content of which only a digest is kept.
    pub fn content(&self, object: &Value) -> u64 {
        let Self::Digest(members) = self else { return 0 };
        let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
        let of = |member: &&str| {
            object.get(*member).and_then(Value::as_object).into_iter().flatten().map(size).sum::<usize>()
        };
        members.iter().map(of).sum::<usize>() as u64
    }

    /// A member of an object as the cache keeps it, where only a digest of it is kept.
    pub fn hide(&self, member: &str, value: &Value) -> Option<Value> {
        match self {
            Self::Digest(members) if members.contains(&member) => Some(json!({ DIGEST: digest(value) })),
            _ => None,
        }
    }

    /// Returns true if the cache keeps the value at a field path, if only as a digest.
    pub fn shows(&self, path: &str) -> bool {
        match self {
            Self::Whole | Self::Digest(_) => true,
            Self::Metadata => covers(&["metadata"], &[path]),
            Self::Fields(paths) => covers(paths, &[path]) || covers(&["metadata"], &[path]),
        }
    }

    /// Returns true if the API server need send no more than the metadata.
    ///
    /// ```
    /// use tenet_mapper::Projection;
    ///
    /// assert!(Projection::Metadata.is_metadata() && Projection::Fields(&[]).is_metadata());
    /// ```
    pub fn is_metadata(&self) -> bool {
        matches!(self, Self::Metadata | Self::Fields([]))
    }

    /// The projection that serves both readers.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (a, b) if a == b => *a,
            (Self::Metadata, b) if b.is_metadata() => Self::Metadata,
            (Self::Metadata, b) => *b,
            (a, Self::Metadata) if a.is_metadata() => Self::Metadata,
            (a, Self::Metadata) => *a,
            // A digest is asked for to keep content out of memory: it wins.
            (Self::Digest(members), _) | (_, Self::Digest(members)) => Self::Digest(members),
            (Self::Fields(a), Self::Fields(b)) if covers(a, b) => Self::Fields(a),
            (Self::Fields(a), Self::Fields(b)) if covers(b, a) => Self::Fields(b),
            _ => Self::Whole,
        }
    }
}

/// Returns true if `paths` keep all that `others` ask for.
fn covers(paths: &[&str], others: &[&str]) -> bool {
    let within =
        |other: &str, path: &str| other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    others.iter().all(|other| paths.iter().any(|path| within(other, path)))
}

fn drop_bulk(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    metadata.remove("selfLink");
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// Moves the metadata and the values at these paths out of an object.
fn pick(mut object: Value, paths: &[&str]) -> Value {
    let mut kept = Value::Object(Map::new());
    for path in ["metadata"].iter().chain(paths) {
        graft(&mut object, &mut kept, path);
    }
    kept
}

/// Moves the values at `path` from `from` to `to`, and keeps the shape of lists.
fn graft(from: &mut Value, to: &mut Value, path: &str) {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (name, each) = head.strip_suffix("[]").map_or((head, false), |name| (name, true));
    let (Some(value), Value::Object(members)) = (from.get_mut(name), to) else { return };
    let Some(rest) = rest else {
        match members.get_mut(name) {
            None => drop(members.insert(name.to_owned(), value.take())),
            Some(kept) => join(value.take(), kept),
        }
        return;
    };
    if !each {
        let child = members.entry(name.to_owned()).or_insert_with(|| json!({}));
        graft(value, child, rest);
        return;
    }
    let Some(items) = value.as_array_mut() else { return };
    let kept = members.entry(name.to_owned()).or_insert_with(|| Value::Array(vec![json!({}); items.len()]));
    let Some(kept) = kept.as_array_mut() else { return };
    for (item, kept) in items.iter_mut().zip(kept) {
        graft(item, kept, rest);
    }
}

/// Adds what is left of a value to the parts of it that paths inside of it have moved already.
fn join(left: Value, kept: &mut Value) {
    match (left, kept) {
        (Value::Object(left), Value::Object(kept)) => {
            for (name, left) in left {
                match kept.get_mut(&name) {
                    None => drop(kept.insert(name, left)),
                    Some(kept) => join(left, kept),
                }
            }
        }
        (Value::Array(left), Value::Array(kept)) => {
            for (left, kept) in left.into_iter().zip(kept) {
                join(left, kept);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_keeps_what_its_readers_need() {
        let object = json!({
            "metadata": {"name": "n", "managedFields": [{}],
                         "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {"nodeName": "a", "containers": [{"name": "c", "image": "i", "env": []}, {"name": "d"}]},
            "status": {"phase": "Running"}, "data": {"k": "v"}
        });
        assert_eq!(
            Projection::Fields(&["spec.nodeName", "spec.containers[].name", "spec.containers[].image", "status"])
                .cut(object.clone()),
            json!({"metadata": {"name": "n"},
                   "spec": {"nodeName": "a", "containers": [{"name": "c", "image": "i"}, {"name": "d"}]},
                   "status": {"phase": "Running"}})
        );
        assert_eq!(Projection::Digest(&["data"]).content(&object), 2);
        assert_eq!(Projection::Whole.content(&object), 0, "it is kept");
        let cut = Projection::Digest(&["data"]).cut(object);
        assert!(cut["data"][DIGEST].is_string());
        assert_eq!(Projection::Digest(&["data"]).cut(cut.clone()), cut, "cutting twice changes nothing");
    }

    #[test]
    fn a_field_is_kept_whole_whatever_paths_lead_into_it() {
        let object =
            json!({"metadata": {"name": "n"}, "spec": {"a": {"b": 1, "c": null}, "list": [{"d": 1, "e": 2}, {}]}});
        for paths in [
            &["spec"] as &[&str],
            &["spec", "spec.a.b"],
            &["spec.a.b", "spec"],
            &["spec.list[].d", "spec.a", "spec"],
            &["spec.a.c", "spec.list[].d", "spec.list", "spec"],
        ] {
            let projection = Projection::Fields(tenet_translate::intern::intern_all(paths.iter().copied()));
            assert_eq!(projection.cut(object.clone()), object, "{paths:?}");
        }
    }

    #[test]
    fn two_readers_share_the_wider_projection() {
        let (few, many) =
            (Projection::Fields(&["spec.nodeName", "status.hostIP"]), Projection::Fields(&["spec", "status"]));
        assert_eq!(few.union(&many), many);
        assert_eq!(many.union(&few), many);
        assert_eq!(few.union(&Projection::Fields(&["spec.node"])), Projection::Whole);
        assert_eq!(few.union(&Projection::Metadata), few);
        assert_eq!(Projection::Fields(&[]).union(&Projection::Metadata), Projection::Metadata);
        assert_eq!(Projection::Metadata.union(&Projection::Fields(&[])), Projection::Metadata);
        assert_eq!(Projection::Fields(&[]).union(&few), few);
    }
}

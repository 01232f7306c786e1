//! Updates of host objects: the fields whose rule says `kept` follow the virtual object after creation.
//!
//! The host object shall equal, in every field that follows, what a creation from the present virtual object gives.
//! An absent field is the difficulty: the host may have filled it in, and then it stays; or the tenant had set it
//! before, and then it goes and the API server fills in its default again. Only a record of what was applied tells the
//! two apart. It is kept on the host object, beside the owner record, and holds no values: names of fields, and digests
//! of lists and of opaque content.
//!
//! - A struct or map is followed member by member, as server-side apply does: a member that was never applied is the
//!   host's.
//! - A list, and opaque content, is followed as one value. While the tenant's value is the one that was applied, what
//!   the host added to its elements stays; its length and order are the tenant's. When it changes, every element is
//!   what a creation gives: without the fields that follow and are not wanted any more, so that the API server fills in
//!   its defaults anew.

mod list;
mod record;

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::table::{Node, Table};
use crate::pointer::escape;
use record::{Applied, covers, is_zero, mark, part};
pub use record::{lacks, same};

/// Shows a member of an object as the cache keeps it, where that is not the member itself.
pub type Hide<'h> = &'h dyn Fn(&str, &Value) -> Option<Value>;

impl Table {
    /// The record of what a write of `desired` applies; `None` when nothing of the kind follows.
    pub fn applied(&self, desired: &Value, hide: Hide<'_>) -> Option<Value> {
        let (root, members) = (self.root(), desired.as_object()?);
        root.follows.then(|| record::members(root, members, hide))
    }

    /// The JSON patch that makes `host` equal to `desired` in every field that follows. `applied` is the record on the
    /// host object; without one, every field that follows counts as applied.
    pub fn follow(&self, desired: &Value, host: &Value, applied: Option<&Value>, hide: Hide<'_>) -> Vec<Value> {
        let (Some(desired), Some(host)) = (desired.as_object(), host.as_object()) else { return Vec::new() };
        let (mut follow, applied) = (Follow::default(), Applied::of(applied));
        let mut shown = (Cow::Borrowed(desired), Cow::Borrowed(host));
        for (name, _) in &self.root().fields {
            let (Some(want), have) = (desired.get(name), host.get(name)) else { continue };
            let Some(hidden) = hide(name, want) else { continue };
            // Only a digest of the content is known: it is replaced whole.
            if self.root().field(name).is_some_and(|child| child.follows) {
                if have.is_none_or(|have| !same(have, &hidden)) {
                    follow.add(&pointer("", name), want);
                }
                shown.0.to_mut().remove(name);
                shown.1.to_mut().remove(name);
            }
        }
        follow.members(self.root(), "", &shown.0, &shown.1, applied);
        follow.ops
    }
}

/// The operations found so far.
#[derive(Default)]
struct Follow {
    ops: Vec<Value>,
}

impl Follow {
    fn members(
        &mut self,
        node: &Node,
        at: &str,
        want: &Map<String, Value>,
        have: &Map<String, Value>,
        applied: Applied<'_>,
    ) {
        let gone = have.keys().filter(|name| !want.contains_key(*name));
        for name in want.keys().chain(gone) {
            let Some(child) = node.member(name).filter(|child| child.follows) else { continue };
            let (want, have) = (present(want, name), present(have, name));
            self.member(child, &pointer(at, name), want, have, applied.member(name));
        }
    }

    fn member(&mut self, node: &Node, at: &str, want: Option<&Value>, have: Option<&Value>, applied: Applied<'_>) {
        match (want, have) {
            (None, Some(have)) if applied.is_applied() => self.remove(node, at, have),
            (None, _) => {}
            (Some(want), None) => {
                // A zero value that was applied and is not there was left out by the server. Anything else comes
                // whole, as a creation has it.
                if part(node, want).is_some_and(|value| !is_zero(&value) || !applied.is(&mark(node, want))) {
                    self.add(at, want);
                }
            }
            (Some(want), Some(have)) => self.value(node, at, want, have, applied),
        }
    }

    fn value(&mut self, node: &Node, at: &str, want: &Value, have: &Value, applied: Applied<'_>) {
        if let (false, Value::Object(want), Value::Object(have)) = (node.is_value(want), want, have) {
            return self.members(node, at, want, have, applied);
        }
        let (Some(wanted), found) = (part(node, want), part(node, have).unwrap_or_default()) else { return };
        if same(&wanted, &found) || (applied.is(&mark(node, want)) && covers(&found, &wanted)) {
            return;
        }
        match (node.each(), want, have) {
            (Some(each), Value::Array(want), Value::Array(have)) if !node.is_value(&wanted) && each.rests => {
                self.list(node, each, at, want, have);
            }
            _ => self.replace(at, want, have),
        }
    }

    /// Makes a value exactly what is wanted, by the smallest change.
    fn replace(&mut self, at: &str, want: &Value, have: &Value) {
        let (Value::Object(wanted), Value::Object(found)) = (want, have) else {
            if !same(want, have) {
                self.add(at, want);
            }
            return;
        };
        for (name, want) in wanted.iter().filter(|(_, want)| !want.is_null()) {
            match found.get(name) {
                Some(have) => self.replace(&pointer(at, name), want, have),
                None => self.add(&pointer(at, name), want),
            }
        }
        for name in found.keys().filter(|name| wanted.get(*name).is_none_or(Value::is_null)) {
            self.ops.push(json!({"op": "remove", "path": pointer(at, name)}));
        }
    }

    /// Removes the values that were applied. Values of the same struct that do not follow stay.
    fn remove(&mut self, node: &Node, at: &str, have: &Value) {
        if goes(node, have) {
            return self.ops.push(json!({"op": "remove", "path": at}));
        }
        for (name, have) in have.as_object().into_iter().flatten() {
            if let Some(child) = node.member(name).filter(|child| child.follows) {
                self.remove(child, &pointer(at, name), have);
            }
        }
    }

    fn add(&mut self, at: &str, value: &Value) {
        self.ops.push(json!({"op": "add", "path": at, "value": value}));
    }
}

/// Returns a member; none when it is null.
fn present<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// Returns true if a value goes whole: nothing in it is ruled by a line that does not follow.
fn goes(node: &Node, have: &Value) -> bool {
    match have {
        Value::Object(members) if !node.is_value(have) => {
            members.iter().all(|(name, have)| node.member(name).is_none_or(|child| child.follows && goes(child, have)))
        }
        _ => true,
    }
}

fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", escape(name))
}

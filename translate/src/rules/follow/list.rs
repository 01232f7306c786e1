use serde_json::{Value, json};

use super::record::{Applied, same};
use super::{Follow, Node};

impl Follow {
    /// Brings a list up to date in which something does not follow: each element keeps that. A new element comes whole,
    /// as the creation has it.
    pub(super) fn list(&mut self, node: &Node, each: &Node, at: &str, want: &[Value], have: &[Value]) {
        let twins = pair(&node.keys, want, have);
        // The positions of the host's elements while the operations are performed; a new one has none.
        let mut places: Vec<_> = (0..have.len()).map(Some).collect();
        for gone in (0..have.len()).rev().filter(|index| !twins.contains(&Some(*index))) {
            self.ops.push(json!({"op": "remove", "path": format!("{at}/{gone}")}));
            places.remove(gone);
        }
        for (index, (want, twin)) in want.iter().zip(&twins).enumerate() {
            match places.iter().position(|position| position.is_some() && position == twin) {
                Some(position) if position == index => {}
                Some(position) => {
                    self.ops.push(
                        json!({"op": "move", "from": format!("{at}/{position}"), "path": format!("{at}/{index}")}),
                    );
                    let moved = places.remove(position);
                    places.insert(index, moved);
                }
                None => {
                    self.add(&format!("{at}/{index}"), want);
                    places.insert(index, None);
                }
            }
        }
        for (index, (want, twin)) in want.iter().zip(&twins).enumerate() {
            if let Some(have) = twin.and_then(|twin| have.get(twin)) {
                self.element(each, &format!("{at}/{index}"), want, have);
            }
        }
    }

    fn element(&mut self, each: &Node, at: &str, want: &Value, have: &Value) {
        match (want, have) {
            (Value::Object(want), Value::Object(have)) => self.members(each, at, want, have, Applied::Unknown),
            (want, have) if same(want, have) => {}
            _ => self.ops.push(json!({"op": "replace", "path": at, "value": want})),
        }
    }
}

/// For each wanted element, the index of its twin on the host.
fn pair(keys: &[String], want: &[Value], have: &[Value]) -> Vec<Option<usize>> {
    if keys.is_empty() {
        return (0..want.len()).map(|index| (index < have.len()).then_some(index)).collect();
    }
    let mut free: Vec<_> = (0..have.len()).collect();
    let mut twin = |want: &Value| {
        let found = free.iter().position(|index| is_twin(keys, want, &have[*index]))?;
        Some(free.remove(found))
    };
    want.iter().map(&mut twin).collect()
}

/// A key that the tenant leaves out is the server's to fill in: any value of it will do.
fn is_twin(keys: &[String], want: &Value, have: &Value) -> bool {
    keys.iter().all(|key| want.get(key).is_none_or(|value| value.is_null() || have.get(key) == Some(value)))
}

use std::collections::HashMap;

use super::{Kind, Node};
use crate::problem::{Place, Problem};

/// No configuration is as deep as this or has as many values; an alias in an alias can make a small file so.
const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 10_000;

/// The values that aliases can repeat, and how large the document may still grow.
#[derive(Default)]
pub(super) struct Anchors {
    complete: HashMap<usize, Node>,
    nodes: usize,
}

impl Anchors {
    /// Counts a value at a depth.
    pub fn count(&mut self, place: Place, depth: usize) -> Result<(), Problem> {
        self.grow(place, 1, depth)
    }

    /// Remembers a value with all that is in it.
    pub fn define(&mut self, id: usize, node: &Node) {
        self.complete.insert(id, node.clone());
    }

    /// The value that an alias at a depth stands for. It keeps the place of its anchor: there a mistake is mended.
    pub fn follow(&mut self, id: usize, place: Place, depth: usize) -> Result<Node, Problem> {
        let Some(node) = self.complete.get(&id).cloned() else {
            let message = "an alias inside the value that it stands for";
            return Err(Problem::new(place, "", message));
        };
        let (nodes, height) = size(&node);
        self.grow(place, nodes, depth + height)?;
        Ok(node)
    }

    fn grow(&mut self, place: Place, nodes: usize, depth: usize) -> Result<(), Problem> {
        self.nodes += nodes;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            let message = "too deep or too large for a configuration";
            return Err(Problem::new(place, "", message));
        }
        Ok(())
    }
}

/// How many values a value holds, itself included, and how deep they go.
fn size(node: &Node) -> (usize, usize) {
    let sizes: Vec<_> = match &node.kind {
        Kind::Null | Kind::Scalar(_) => return (1, 0),
        Kind::List(items) => items.iter().map(size).collect(),
        Kind::Map(entries) => entries.iter().map(|entry| size(&entry.value)).collect(),
    };
    let nodes: usize = sizes.iter().map(|(nodes, _)| nodes).sum();
    let height = sizes.iter().map(|(_, height)| height + 1).max();
    (nodes + 1, height.unwrap_or(0))
}

//! Keys of one lane, in the order in which they are served.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tenet_mapper::MapperId;

use super::state::Key;

/// Keys of one lane. Mappers take turns, and within a mapper the virtual namespaces.
#[derive(Debug, Default)]
pub(super) struct Row {
    rings: Turns<MapperId, Ring>,
}

/// Keys of one mapper. Positions only grow, so the lowest one is the oldest; a key or a namespace leaves from
/// the middle without a walk.
#[derive(Debug, Default)]
struct Ring {
    lines: Turns<Arc<str>, BTreeMap<u64, Key>>,
    next: u64,
}

/// Items that take turns.
#[derive(Debug)]
struct Turns<K, V> {
    order: BTreeMap<u64, K>,
    items: HashMap<K, (u64, V)>,
    next: u64,
}

impl<K, V> Default for Turns<K, V> {
    fn default() -> Self {
        Self { order: BTreeMap::new(), items: HashMap::new(), next: 0 }
    }
}

impl<K: Clone + Eq + std::hash::Hash, V: Default> Turns<K, V> {
    /// Returns the item of a name; a new one gets the last turn.
    fn entry(&mut self, name: K) -> &mut V {
        let Self { order, items, next } = self;
        let (_, item) = items.entry(name).or_insert_with_key(|name| {
            let turn = *next;
            *next += 1;
            order.insert(turn, name.clone());
            (turn, V::default())
        });
        item
    }

    /// Moves an item to the end.
    fn pass(&mut self, name: &K) {
        if let Some((turn, _)) = self.items.get_mut(name) {
            self.order.remove(turn);
            *turn = self.next;
            self.order.insert(self.next, name.clone());
            self.next += 1;
        }
    }

    fn remove(&mut self, name: &K) {
        if let Some((turn, _)) = self.items.remove(name) {
            self.order.remove(&turn);
        }
    }
}

impl Row {
    /// Adds a key at the end of its namespace. Returns its position.
    pub(super) fn push(&mut self, key: Key) -> u64 {
        let ring = self.rings.entry(key.mapper);
        let position = ring.next;
        ring.next += 1;
        ring.lines.entry(Arc::from(key.object.namespace())).insert(position, key);
        position
    }

    /// Returns true if a mapper that `admits` has a key.
    pub(super) fn has(&self, admits: impl Fn(MapperId) -> bool) -> bool {
        self.rings.order.values().any(|mapper| admits(*mapper))
    }

    /// Takes the first key of the first mapper that `admits` and has its turn.
    pub(super) fn pop(&mut self, admits: impl Fn(MapperId) -> bool) -> Option<Key> {
        let mapper = *self.rings.order.values().find(|mapper| admits(**mapper))?;
        let (_, ring) = self.rings.items.get_mut(&mapper)?;
        let namespace = Arc::clone(ring.lines.order.values().next()?);
        let (_, line) = ring.lines.items.get_mut(&namespace)?;
        let (_, key) = line.pop_first()?;
        if line.is_empty() {
            ring.lines.remove(&namespace);
        } else {
            ring.lines.pass(&namespace);
        }
        if ring.lines.order.is_empty() {
            self.rings.remove(&mapper);
        } else {
            self.rings.pass(&mapper);
        }
        Some(key)
    }

    /// Takes a key out that [`Self::push`] has put at `position`.
    pub(super) fn remove(&mut self, key: &Key, position: u64) {
        let Some((_, ring)) = self.rings.items.get_mut(&key.mapper) else { return };
        let namespace: Arc<str> = Arc::from(key.object.namespace());
        let Some((_, line)) = ring.lines.items.get_mut(&namespace) else { return };
        line.remove(&position);
        if line.is_empty() {
            ring.lines.remove(&namespace);
        }
        if ring.lines.order.is_empty() {
            self.rings.remove(&key.mapper);
        }
    }
}

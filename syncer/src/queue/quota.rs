//! Keys that a quota of the host keeps waiting.
//!
//! A backoff of each key would leave room unused for minutes, and a short delay for each would ask the API server all
//! the time. So the keys wait in one line for each quota: the first one is tried every few seconds, and each key that
//! finds room lets two others try.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tenet_mapper::MapperId;

use super::state::Key;

/// Name of a quota of the host.
pub type Quota = Arc<str>;

/// Time between two probes of a quota.
const PROBE: Duration = Duration::from_secs(5);
/// Keys that may try when one has found room.
const GROWTH: usize = 2;

/// The lines of all quotas.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    lines: BTreeMap<(MapperId, Quota), Line>,
}

/// Keys that wait for one quota, in order; never empty.
#[derive(Debug)]
struct Line {
    keys: BTreeMap<u64, Key>,
    next: u64,
    probe: Duration,
}

impl Quotas {
    /// Adds a key at the end of a line. Returns its position.
    pub(super) fn join(&mut self, key: &Key, quota: &Quota, now: Duration) -> u64 {
        let line = self.lines.entry((key.mapper, Arc::clone(quota))).or_insert_with(|| Line {
            keys: BTreeMap::new(),
            next: 0,
            probe: now + PROBE,
        });
        let position = line.next;
        line.next += 1;
        line.keys.insert(position, key.clone());
        position
    }

    /// Removes a key that has joined at `position`.
    pub(super) fn leave(&mut self, mapper: MapperId, quota: &Quota, position: u64) {
        let id = (mapper, Arc::clone(quota));
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.keys.remove(&position);
        if line.keys.is_empty() {
            self.lines.remove(&id);
        }
    }

    /// Takes the keys that may try because another one has found room.
    pub(super) fn found_room(&mut self, mapper: MapperId, quota: &Quota) -> Vec<Key> {
        let id = (mapper, Arc::clone(quota));
        let Some(line) = self.lines.get_mut(&id) else { return Vec::new() };
        let keys = std::iter::from_fn(|| line.keys.pop_first()).map(|(_, key)| key).take(GROWTH).collect();
        if line.keys.is_empty() {
            self.lines.remove(&id);
        }
        keys
    }

    /// Takes the keys that are due as probes.
    pub(super) fn probes(&mut self, now: Duration) -> Vec<Key> {
        let mut due = Vec::new();
        self.lines.retain(|_, line| {
            if line.probe <= now {
                line.probe = now + PROBE;
                due.extend(line.keys.pop_first().map(|(_, key)| key));
            }
            !line.keys.is_empty()
        });
        due
    }

    /// Returns the time of the next probe.
    pub(super) fn next_probe(&self) -> Option<Duration> {
        self.lines.values().map(|line| line.probe).min()
    }
}

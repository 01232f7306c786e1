//! Queue of keys to reconcile.

mod quota;
mod ring;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tenet_mapper::MapperId;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use state::{Again, Key, Lane, Ticket};

/// The lanes with their names in metrics.
pub const LANES: [(Lane, &str); 3] = [(Lane::Urgent, "urgent"), (Lane::Change, "change"), (Lane::Patrol, "patrol")];

/// Queue that the worker serves.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<state::State>,
    changed: Notify,
    started: Instant,
}

impl Default for Queue {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Queue {
    /// Creates a queue in which each mapper has at most `cap` keys at work, so that slow reconciles of one kind
    /// delay no other.
    pub fn new(cap: usize) -> Self {
        Self { state: Mutex::new(state::State::new(cap)), changed: Notify::new(), started: Instant::now() }
    }

    /// Sets the time that changed keys of a mapper wait, so that a burst of changes is one reconcile.
    pub fn settle(&self, mapper: MapperId, delay: Duration) {
        self.state.lock().settle(mapper, delay);
    }

    /// Enqueues a key. Never blocks and never loses one.
    pub fn add(&self, key: Key, lane: Lane) {
        self.state.lock().add(key, lane, self.now());
        self.changed.notify_one();
    }

    /// Returns the next key, and waits for one.
    pub async fn pop(&self) -> Ticket {
        loop {
            let changed = self.changed.notified();
            let timer = {
                let mut state = self.state.lock();
                if let Some(ticket) = state.pop(self.now()) {
                    // Other keys may be ready, and one notification may stand for several keys.
                    self.changed.notify_one();
                    return ticket;
                }
                state.next_timer()
            };
            match timer {
                Some(until) => drop(tokio::time::timeout_at(self.started + until, changed).await),
                None => changed.await,
            }
        }
    }

    /// Returns a key after its reconcile.
    pub fn done(&self, key: &Key, again: Again) {
        self.state.lock().done(key, again, self.now());
        self.changed.notify_one();
    }

    /// Returns true if a key at work was enqueued since its reconcile began.
    pub fn is_overtaken(&self, key: &Key) -> bool {
        self.state.lock().is_overtaken(key)
    }

    /// Drops the keys of a mapper, except those at work.
    pub fn stop(&self, mapper: MapperId) {
        self.state.lock().drop_keys(mapper);
    }

    /// Returns how long ago the key of a ticket was first enqueued.
    pub fn age(&self, ticket: &Ticket) -> Duration {
        self.now().saturating_sub(ticket.since)
    }

    /// Returns the number of keys: ready, waiting and at work.
    pub fn len(&self) -> usize {
        self.state.lock().len()
    }

    /// Returns true if there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees memory that is no longer needed.
    pub fn compact(&self) {
        self.state.lock().compact();
    }

    /// Returns the number of ready keys, by mapper and lane.
    pub fn depth(&self) -> BTreeMap<(MapperId, Lane), usize> {
        self.state.lock().depth()
    }

    /// The age of the oldest ready key of each mapper.
    pub fn oldest(&self) -> BTreeMap<MapperId, Duration> {
        let now = self.now();
        self.state.lock().oldest().into_iter().map(|(mapper, since)| (mapper, now.saturating_sub(since))).collect()
    }

    /// Returns how many keys of each mapper wait after a failure.
    pub fn failing(&self) -> BTreeMap<MapperId, usize> {
        self.state.lock().failing()
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

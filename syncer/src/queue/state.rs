//! The queue as a state machine: no clock, no threads, no async.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tenet_mapper::{MapperId, VirtualKey};

/// A key of one mapper.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The mapper.
    pub mapper: MapperId,
    /// The virtual object.
    pub object: VirtualKey,
}

/// Urgency of a key. Lower lanes are served first, but none starves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Deletes and status changes, which somebody waits for.
    Urgent,
    /// Changes by users.
    Change,
    /// The patrol.
    Patrol,
}

/// Key for a worker, with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The key.
    pub key: Key,
    /// The lane that it came from.
    pub lane: Lane,
    /// First time it was enqueued, on the caller's clock.
    pub since: Duration,
    /// Number of failures in a row.
    pub failures: u32,
}

/// Time of the next reconcile of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// When something changes.
    No,
    /// After a delay; a change comes first.
    After(Duration),
    /// It failed; after a delay, which a change may cut short once.
    Failed(Duration),
}

const LANES: [Lane; 3] = [Lane::Urgent, Lane::Change, Lane::Patrol];
/// Keys that a lane may take in a row before a lower one gets a turn.
const SHARE: [u32; 3] = [16, 4, 1];

#[derive(Debug)]
enum Status {
    Queued {
        lane: Lane,
        since: Duration,
        /// The position in the ring of the lane.
        position: u64,
    },
    Running {
        dirty: Option<(Lane, Duration)>,
    },
    /// Waits for its time. A `patient` key has failed, and its wait was cut short already.
    Waiting {
        until: Duration,
        lane: Lane,
        patient: bool,
    },
}

#[derive(Debug)]
struct Entry {
    status: Status,
    failures: u32,
}

/// Keys by namespace, served in turn. Positions only grow, so the lowest one is the oldest;
/// a key or a namespace leaves from the middle without a walk.
#[derive(Debug, Default)]
struct Ring {
    turns: BTreeMap<u64, Arc<str>>,
    lines: HashMap<Arc<str>, Line>,
    next: u64,
}

/// The keys of one namespace by their positions; never empty.
#[derive(Debug)]
struct Line {
    /// The position of the namespace among the turns.
    turn: u64,
    keys: BTreeMap<u64, Key>,
}

impl Ring {
    /// Adds a key at the end of its namespace. Returns its position.
    fn push(&mut self, key: Key) -> u64 {
        let position = self.next;
        self.next += 1;
        if let Some(line) = self.lines.get_mut(key.object.namespace()) {
            line.keys.insert(position, key);
            return position;
        }
        let namespace: Arc<str> = Arc::from(key.object.namespace());
        self.turns.insert(position, Arc::clone(&namespace));
        self.lines.insert(namespace, Line { turn: position, keys: BTreeMap::from([(position, key)]) });
        position
    }

    /// Takes the first key of the namespace whose turn it is.
    fn pop(&mut self) -> Option<Key> {
        let (_, namespace) = self.turns.pop_first()?;
        let line = self.lines.get_mut(&namespace)?;
        let (_, key) = line.keys.pop_first()?;
        if line.keys.is_empty() {
            self.lines.remove(&namespace);
        } else {
            line.turn = self.next;
            self.turns.insert(self.next, namespace);
            self.next += 1;
        }
        Some(key)
    }

    /// Takes a key out that [`Self::push`] has put at `position`.
    fn remove(&mut self, namespace: &str, position: u64) {
        let Some(line) = self.lines.get_mut(namespace) else { return };
        line.keys.remove(&position);
        if line.keys.is_empty() {
            self.turns.remove(&line.turn);
            self.lines.remove(namespace);
        }
    }

    fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

/// Keys that wait for a reconcile. A key occurs once, is never reconciled twice at
/// the same time, and an event during its reconcile is not lost.
#[derive(Debug, Default)]
pub struct State {
    entries: HashMap<Key, Entry>,
    rings: [Ring; 3],
    credits: [u32; 3],
    timers: BTreeSet<(Duration, Key)>,
}

impl State {
    /// Enqueues a key.
    pub fn add(&mut self, key: Key, lane: Lane, now: Duration) {
        let Some(entry) = self.entries.get_mut(&key) else {
            let position = self.rings[lane as usize].push(key.clone());
            self.entries.insert(key, Entry { status: Status::Queued { lane, since: now, position }, failures: 0 });
            return;
        };
        match &mut entry.status {
            Status::Queued { lane: old, since, position } if lane < *old => {
                let since = *since;
                self.rings[*old as usize].remove(key.object.namespace(), *position);
                let position = self.rings[lane as usize].push(key);
                entry.status = Status::Queued { lane, since, position };
            }
            Status::Running { dirty } => {
                *dirty = Some(dirty.map_or((lane, now), |(old, since)| (old.min(lane), since)));
            }
            Status::Queued { .. } | Status::Waiting { patient: true, .. } => {}
            Status::Waiting { until, lane: timed, patient: false } => {
                let (until, failed) = (*until, entry.failures > 0);
                // The patrol does not cut short the wait of a key that has its own time.
                if lane == Lane::Patrol && failed {
                    return;
                }
                if failed {
                    // A change cuts the wait of a failing key short once per failure.
                    let soon = until.min(now);
                    entry.status = Status::Waiting { until: soon, lane: lane.min(*timed), patient: true };
                    self.timers.remove(&(until, key.clone()));
                    self.timers.insert((soon, key));
                } else {
                    self.timers.remove(&(until, key.clone()));
                    let position = self.rings[lane as usize].push(key);
                    entry.status = Status::Queued { lane, since: now, position };
                }
            }
        }
    }

    /// Returns the next key.
    pub fn pop(&mut self, now: Duration) -> Option<Ticket> {
        self.fire(now);
        let lane = self.choose()?;
        let key = self.rings[lane as usize].pop()?;
        let entry = self.entries.get_mut(&key)?;
        let since = match entry.status {
            Status::Queued { since, .. } => since,
            _ => now,
        };
        entry.status = Status::Running { dirty: None };
        Some(Ticket { key, lane, since, failures: entry.failures })
    }

    /// Returns a key after its reconcile.
    pub fn done(&mut self, key: &Key, again: Again, now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Status::Running { dirty } = entry.status else { return };
        entry.failures = if matches!(again, Again::Failed(_)) { entry.failures.saturating_add(1) } else { 0 };
        match (again, dirty) {
            (Again::Failed(delay), dirty) => {
                let lane = dirty.map_or(Lane::Change, |(lane, _)| lane);
                self.wait(key, now + delay, lane);
            }
            (_, Some((lane, since))) => {
                let position = self.rings[lane as usize].push(key.clone());
                entry.status = Status::Queued { lane, since, position };
            }
            (Again::After(delay), None) => self.wait(key, now + delay, Lane::Change),
            (Again::No, None) => {
                self.entries.remove(key);
            }
        }
    }

    /// Returns the time at which the next waiting key is due.
    pub fn next_timer(&self) -> Option<Duration> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// How many keys are ready, by mapper and lane.
    pub fn depth(&self) -> BTreeMap<(MapperId, Lane), usize> {
        let mut depth = BTreeMap::new();
        for (key, entry) in &self.entries {
            if let Status::Queued { lane, .. } = entry.status {
                *depth.entry((key.mapper, lane)).or_default() += 1;
            }
        }
        depth
    }

    /// Since when the oldest ready key of each mapper waits.
    pub fn oldest(&self) -> BTreeMap<MapperId, Duration> {
        let mut oldest: BTreeMap<MapperId, Duration> = BTreeMap::new();
        for (key, entry) in &self.entries {
            if let Status::Queued { since, .. } = entry.status {
                oldest.entry(key.mapper).and_modify(|old| *old = since.min(*old)).or_insert(since);
            }
        }
        oldest
    }

    /// How many keys of each mapper wait after a failure.
    pub fn failing(&self) -> BTreeMap<MapperId, usize> {
        let mut failing = BTreeMap::new();
        for key in self.entries.iter().filter(|(_, entry)| entry.failures > 0).map(|(key, _)| key) {
            *failing.entry(key.mapper).or_default() += 1;
        }
        failing
    }

    fn wait(&mut self, key: &Key, until: Duration, lane: Lane) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.status = Status::Waiting { until, lane, patient: false };
            self.timers.insert((until, key.clone()));
        }
    }

    fn fire(&mut self, now: Duration) {
        while let Some((until, key)) = self.timers.first().cloned()
            && until <= now
        {
            self.timers.pop_first();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let Status::Waiting { lane, .. } = entry.status else { continue };
            let position = self.rings[lane as usize].push(key);
            entry.status = Status::Queued { lane, since: now, position };
        }
    }

    /// The most urgent lane that has keys and has not used up its share.
    fn choose(&mut self) -> Option<Lane> {
        for _ in 0..2 {
            for lane in LANES {
                let index = lane as usize;
                if !self.rings[index].is_empty() && self.credits[index] > 0 {
                    self.credits[index] -= 1;
                    return Some(lane);
                }
            }
            self.credits = SHARE;
        }
        None
    }
}

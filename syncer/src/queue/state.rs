//! The queue as a state machine: no clock, no threads, no async.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tenet_mapper::{MapperId, VirtualKey};

use super::quota::{Quota, Quotas};
use super::ring::Row;

/// A key of one mapper.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The mapper.
    pub mapper: MapperId,
    /// The virtual object.
    pub object: VirtualKey,
}

/// Urgency of a key. More urgent lanes are served first, but none starves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Deletes and status changes, which users and controllers wait for.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// After a change.
    No,
    /// After a delay; a change comes first.
    After(Duration),
    /// It failed; after a delay, which a change may cut short once.
    Failed(Duration),
    /// A quota has no room: when another key has found room, or as one of the probes.
    Full(Quota),
}

const LANES: [Lane; 3] = [Lane::Urgent, Lane::Change, Lane::Patrol];
/// Number of keys that are taken from a lane before a less urgent one gets a turn.
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
    /// Waits for room in a quota.
    Full {
        quota: Quota,
        /// The position in the line of the quota.
        position: u64,
    },
    /// Waits for its time, which a change does not cut short when the key is `patient`: it settles, or it has failed
    /// and its wait was cut short already.
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
    /// The quota that had no room at the last try.
    full: Option<Quota>,
}

/// Keys that wait for a reconcile. A key occurs once, is never reconciled twice at
/// the same time, and an event during its reconcile is not lost.
#[derive(Debug)]
pub struct State {
    entries: HashMap<Key, Entry>,
    rows: [Row; 3],
    credits: [u32; 3],
    timers: BTreeSet<(Duration, Key)>,
    quotas: Quotas,
    at_work: AtWork,
    /// Times that changed keys wait, of the mappers that have one.
    settle: HashMap<MapperId, Duration>,
}

/// Keys that are being reconciled.
#[derive(Debug)]
struct AtWork {
    /// Number of them of each mapper.
    counts: HashMap<MapperId, usize>,
    /// Highest number of one mapper.
    cap: usize,
}

impl AtWork {
    /// Returns true if one more key of a mapper may be reconciled.
    fn admits(&self, mapper: MapperId) -> bool {
        self.counts.get(&mapper).is_none_or(|count| *count < self.cap)
    }
}

/// Wait after a failed reconcile during which the object has changed.
const SOON: Duration = Duration::from_secs(1);

impl State {
    /// Creates an empty queue in which each mapper has at most `cap` keys at work.
    pub fn new(cap: usize) -> Self {
        Self {
            entries: HashMap::new(),
            rows: Default::default(),
            credits: SHARE,
            timers: BTreeSet::new(),
            quotas: Quotas::default(),
            at_work: AtWork { counts: HashMap::new(), cap: cap.max(1) },
            settle: HashMap::new(),
        }
    }

    /// Sets the time that changed keys of a mapper wait, so that a burst of changes is one reconcile.
    pub fn settle(&mut self, mapper: MapperId, delay: Duration) {
        if !delay.is_zero() {
            self.settle.insert(mapper, delay);
        }
    }

    /// Enqueues a key.
    pub fn add(&mut self, key: Key, lane: Lane, now: Duration) {
        let Some(entry) = self.entries.get_mut(&key) else {
            if let Some(delay) = self.settle.get(&key.mapper) {
                let until = now + *delay;
                self.timers.insert((until, key.clone()));
                let status = Status::Waiting { until, lane, patient: true };
                self.entries.insert(key, Entry { status, failures: 0, full: None });
                return;
            }
            let position = self.rows[lane as usize].push(key.clone());
            let status = Status::Queued { lane, since: now, position };
            self.entries.insert(key, Entry { status, failures: 0, full: None });
            return;
        };
        match &mut entry.status {
            Status::Queued { lane: old, since, position } if lane < *old => {
                let since = *since;
                self.rows[*old as usize].remove(&key, *position);
                let position = self.rows[lane as usize].push(key);
                entry.status = Status::Queued { lane, since, position };
            }
            Status::Running { dirty } => {
                *dirty = Some(dirty.map_or((lane, now), |(old, since)| (old.min(lane), since)));
            }
            Status::Full { quota, position } if lane != Lane::Patrol => {
                self.quotas.leave(key.mapper, quota, *position);
                let position = self.rows[lane as usize].push(key);
                entry.status = Status::Queued { lane, since: now, position };
            }
            Status::Queued { .. } | Status::Full { .. } | Status::Waiting { patient: true, .. } => {}
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
                    let position = self.rows[lane as usize].push(key);
                    entry.status = Status::Queued { lane, since: now, position };
                }
            }
        }
    }

    /// Returns the next key.
    pub fn pop(&mut self, now: Duration) -> Option<Ticket> {
        self.fire(now);
        let lane = self.choose()?;
        let key = self.rows[lane as usize].pop(|mapper| self.at_work.admits(mapper))?;
        let entry = self.entries.get_mut(&key)?;
        let since = match entry.status {
            Status::Queued { since, .. } => since,
            _ => now,
        };
        entry.status = Status::Running { dirty: None };
        *self.at_work.counts.entry(key.mapper).or_default() += 1;
        Some(Ticket { key, lane, since, failures: entry.failures })
    }

    /// Returns a key after its reconcile.
    pub fn done(&mut self, key: &Key, again: Again, now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Status::Running { dirty } = entry.status else { return };
        if let Some(count) = self.at_work.counts.get_mut(&key.mapper) {
            *count = count.saturating_sub(1);
        }
        let has_failed = matches!(again, Again::Failed(_) | Again::Full(_));
        entry.failures = if has_failed { entry.failures.saturating_add(1) } else { 0 };
        let full = if has_failed { None } else { entry.full.take() };
        match (again, dirty) {
            (Again::Failed(delay) | Again::After(delay), None) => self.wait(key, now + delay, Lane::Change, false),
            // A change came while it failed, which may be the remedy.
            (Again::Failed(delay), Some((lane, _))) => self.wait(key, now + delay.min(SOON), lane, true),
            (Again::Full(_), Some((lane, _))) => self.wait(key, now + SOON, lane, true),
            (Again::Full(quota), None) => {
                entry.full = Some(quota.clone());
                let position = self.quotas.join(key, &quota, now);
                entry.status = Status::Full { quota, position };
            }
            (_, Some((lane, since))) => {
                if let Some(delay) = self.settle.get(&key.mapper).copied() {
                    self.wait(key, now + delay, lane, true);
                } else {
                    let position = self.rows[lane as usize].push(key.clone());
                    entry.status = Status::Queued { lane, since, position };
                }
            }
            (Again::No, None) => {
                self.entries.remove(key);
            }
        }
        if let Some(quota) = full {
            for key in self.quotas.found_room(key.mapper, &quota) {
                self.ready(key, now);
            }
        }
    }

    /// Returns true if a key at work was enqueued since its reconcile began.
    pub fn is_overtaken(&self, key: &Key) -> bool {
        matches!(self.entries.get(key), Some(Entry { status: Status::Running { dirty: Some(_) }, .. }))
    }

    /// Drops the keys of a mapper, except those at work, which it forgets to reconcile again.
    pub fn drop_keys(&mut self, mapper: MapperId) {
        let (rows, timers, quotas) = (&mut self.rows, &mut self.timers, &mut self.quotas);
        self.entries.retain(|key, entry| {
            if key.mapper != mapper {
                return true;
            }
            match &mut entry.status {
                Status::Running { dirty } => {
                    *dirty = None;
                    return true;
                }
                Status::Queued { lane, position, .. } => rows[*lane as usize].remove(key, *position),
                Status::Waiting { until, .. } => drop(timers.remove(&(*until, key.clone()))),
                Status::Full { quota, position } => quotas.leave(mapper, quota, *position),
            }
            false
        });
    }

    /// Returns the number of keys: ready, waiting and at work.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Frees memory that is no longer needed.
    pub fn compact(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Returns the time at which the next waiting key is due.
    pub fn next_timer(&self) -> Option<Duration> {
        let first = self.timers.first().map(|(until, _)| *until);
        [first, self.quotas.next_probe()].into_iter().flatten().min()
    }

    /// Returns the number of ready keys, by mapper and lane.
    pub fn depth(&self) -> BTreeMap<(MapperId, Lane), usize> {
        let mut depth = BTreeMap::new();
        for (key, entry) in &self.entries {
            if let Status::Queued { lane, .. } = entry.status {
                *depth.entry((key.mapper, lane)).or_default() += 1;
            }
        }
        depth
    }

    /// Returns the time since which the oldest ready key of each mapper waits.
    pub fn oldest(&self) -> BTreeMap<MapperId, Duration> {
        let mut oldest: BTreeMap<MapperId, Duration> = BTreeMap::new();
        for (key, entry) in &self.entries {
            if let Status::Queued { since, .. } = entry.status {
                oldest.entry(key.mapper).and_modify(|old| *old = since.min(*old)).or_insert(since);
            }
        }
        oldest
    }

    /// Returns the number of keys of each mapper that wait after a failure.
    pub fn failing(&self) -> BTreeMap<MapperId, usize> {
        let mut failing = BTreeMap::new();
        for key in self.entries.iter().filter(|(_, entry)| entry.failures > 0).map(|(key, _)| key) {
            *failing.entry(key.mapper).or_default() += 1;
        }
        failing
    }

    fn wait(&mut self, key: &Key, until: Duration, lane: Lane, patient: bool) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.status = Status::Waiting { until, lane, patient };
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
            let position = self.rows[lane as usize].push(key);
            entry.status = Status::Queued { lane, since: now, position };
        }
        for key in self.quotas.probes(now) {
            self.ready(key, now);
        }
    }

    /// Enqueues a key that has left the line of its quota.
    fn ready(&mut self, key: Key, now: Duration) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let position = self.rows[Lane::Change as usize].push(key);
        entry.status = Status::Queued { lane: Lane::Change, since: now, position };
    }

    /// Returns the most urgent lane that has keys to serve and has not used up its share.
    fn choose(&mut self) -> Option<Lane> {
        for _ in 0..2 {
            for lane in LANES {
                let index = lane as usize;
                if self.credits[index] > 0 && self.rows[index].has(|mapper| self.at_work.admits(mapper)) {
                    self.credits[index] -= 1;
                    return Some(lane);
                }
            }
            self.credits = SHARE;
        }
        None
    }
}

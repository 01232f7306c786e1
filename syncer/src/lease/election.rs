//! Election by a Lease, with the rules of client-go. Pure state: it has no clock, and compares no clocks of machines. A
//! record is as old as the time since this process has seen it change.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// Times of the lease.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Time for which others leave a record alone that does not change.
    pub duration: Duration,
    /// Time after the last renewal at which the holder stops writing.
    pub deadline: Duration,
    /// Time between two renewals.
    pub retry: Duration,
}

/// Content of the Lease that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The identity of the holder; empty when it was released.
    pub holder: String,
    /// UID of the Lease.
    pub uid: String,
    /// Its version.
    pub version: String,
    renewed: String,
    duration: u64,
    transitions: u64,
}

impl Record {
    /// Reads a Lease.
    pub fn read(lease: &Value) -> Self {
        let text = |pointer: &str| lease.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer: &str| lease.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        Self {
            holder: text("/spec/holderIdentity"),
            uid: text("/metadata/uid"),
            version: text("/metadata/resourceVersion"),
            renewed: text("/spec/renewTime"),
            duration: number("/spec/leaseDurationSeconds"),
            transitions: number("/spec/leaseTransitions"),
        }
    }
}

/// The Lease as one process sees it.
#[derive(Debug)]
pub struct Election {
    identity: String,
    times: Times,
    seen: Option<(Option<Record>, Instant)>,
}

impl Election {
    /// An election in which nothing was seen yet.
    pub fn new(identity: String, times: Times) -> Self {
        Self { identity, times, seen: None }
    }

    /// Notes what the Lease is now; `None` when it does not exist.
    pub fn observe(&mut self, record: Option<Record>, now: Instant) {
        // A change of something else, such as a label, is no sign of life.
        let is_same = |seen: &Option<Record>| match (seen, &record) {
            (None, None) => true,
            (Some(seen), Some(new)) => (&seen.holder, &seen.renewed) == (&new.holder, &new.renewed),
            _ => false,
        };
        let since = match &self.seen {
            Some((seen, since)) if is_same(seen) => *since,
            _ => now,
        };
        self.seen = Some((record, since));
    }

    /// The Lease as it was last seen.
    pub fn record(&self) -> Option<&Record> {
        self.seen.as_ref()?.0.as_ref()
    }

    /// The holder, if it is another process.
    pub fn other_holder(&self) -> Option<&str> {
        self.record()
            .map(|record| record.holder.as_str())
            .filter(|holder| !holder.is_empty() && *holder != self.identity)
    }

    /// Returns when the Lease may be taken; `None` before anything was seen.
    pub fn free_at(&self) -> Option<Instant> {
        let (_, since) = self.seen.as_ref()?;
        if self.other_holder().is_none() {
            return Some(*since);
        }
        let told = Duration::from_secs(self.record().map_or(0, |record| record.duration));
        Some(*since + self.times.duration.max(told))
    }

    /// The new Lease, as `namespace/name`, with this process as its holder. `now` is the time of day, for people alone.
    pub fn created(&self, namespace: &str, name: &str, cluster: &str, now: &str) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "namespace": namespace, "name": name,
                "labels": {"app.kubernetes.io/managed-by": "tenet", "app.kubernetes.io/instance": cluster},
            },
            "spec": {
                "holderIdentity": self.identity, "leaseDurationSeconds": self.times.duration.as_secs(),
                "acquireTime": now, "renewTime": now, "leaseTransitions": 0,
            },
        })
    }

    /// The merge patch with which this process takes or renews the Lease, over exactly the version that was seen.
    pub fn held(&self, record: &Record, now: &str) -> Value {
        let mut spec = json!({
            "holderIdentity": self.identity, "leaseDurationSeconds": self.times.duration.as_secs(), "renewTime": now,
        });
        if record.holder != self.identity {
            spec["acquireTime"] = json!(now);
            spec["leaseTransitions"] = json!(record.transitions + 1);
        }
        json!({"metadata": {"uid": record.uid, "resourceVersion": record.version}, "spec": spec})
    }

    /// The merge patch with which this process gives the Lease back.
    pub fn released(record: &Record, now: &str) -> Value {
        json!({
            "metadata": {"uid": record.uid, "resourceVersion": record.version},
            "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times =
        Times { duration: Duration::from_secs(4), deadline: Duration::from_secs(3), retry: Duration::from_secs(1) };

    fn record(holder: &str, renewed: &str, version: &str) -> Record {
        Record::read(&json!({
            "metadata": {"uid": "u", "resourceVersion": version},
            "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 4, "leaseTransitions": 2},
        }))
    }

    fn seen(records: &[(Option<Record>, u64)]) -> (Election, Instant) {
        let (mut election, start) = (Election::new("me".to_owned(), TIMES), Instant::now());
        for (record, second) in records {
            election.observe(record.clone(), start + Duration::from_secs(*second));
        }
        (election, start)
    }

    #[test]
    fn a_lease_is_free_when_it_was_not_seen_to_change_for_its_duration() {
        let after = |seconds| Some(Duration::from_secs(seconds));
        let held = |renewed: &str, version: &str| Some(record("other", renewed, version));
        for (records, free) in [
            (vec![], None),
            (vec![(None, 1)], after(1)),
            (vec![(held("a", "1"), 1)], after(5)),
            (vec![(held("a", "1"), 1), (held("b", "2"), 3)], after(7)),
            // A clock that is wrong by years, and a change by somebody else, are no signs of life.
            (vec![(held("2099", "1"), 1), (held("2099", "2"), 3)], after(5)),
            (vec![(held("a", "1"), 1), (Some(record("", "b", "2")), 2)], after(2)),
            (vec![(held("a", "1"), 1), (None, 2)], after(2)),
            (vec![(Some(record("me", "a", "1")), 1)], after(1)),
        ] {
            let (election, start) = seen(&records);
            assert_eq!(election.free_at().map(|at| at - start), free, "{records:?}");
        }
    }

    #[test]
    fn a_longer_duration_of_the_holder_is_respected() {
        let mut record = record("other", "a", "1");
        record.duration = 15;
        let (election, start) = seen(&[(Some(record), 0)]);
        assert_eq!(election.free_at(), Some(start + Duration::from_secs(15)));
    }

    #[test]
    fn every_write_is_bound_to_the_version_that_was_seen() {
        let (election, _) = seen(&[]);
        let mine = record("me", "a", "7");
        let theirs = record("other", "a", "8");
        assert_eq!(
            election.held(&mine, "now"),
            json!({"metadata": {"uid": "u", "resourceVersion": "7"},
                   "spec": {"holderIdentity": "me", "leaseDurationSeconds": 4, "renewTime": "now"}})
        );
        let taken = election.held(&theirs, "now");
        assert_eq!((&taken["spec"]["leaseTransitions"], &taken["spec"]["acquireTime"]), (&json!(3), &json!("now")));
        assert_eq!(Election::released(&mine, "now")["spec"]["holderIdentity"], "");
        assert_eq!(Election::released(&mine, "now")["metadata"]["resourceVersion"], "7");
    }
}

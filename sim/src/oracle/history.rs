//! Past of pods: which host pods a virtual pod had, and how they ended. Past of Services: which were reserved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tenet_mapper::{Side, kinds};
use tokio::time::Instant;

use super::{SYNCER, record};
use crate::api::{AuditEntry, Object};

/// Past of all virtual pods, by their UIDs, and of the host Services that were reserved.
#[derive(Debug, Default)]
pub(super) struct History {
    pods: BTreeMap<String, Life>,
    /// Times at which host pods got their node, by their UIDs.
    bound: BTreeMap<String, Instant>,
    /// UIDs of host Services that were made for a Service which was not stored then.
    reserved: BTreeSet<String>,
}

/// Past of one virtual pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// Number of host pods that were created for it.
    pub(super) twins: u64,
    /// UID of the last one.
    pub(super) twin: String,
    /// True if a syncer began the deletion of its host pod.
    pub(super) is_ended_by_syncer: bool,
    /// The last state of its last host pod, and the time of its end.
    pub(super) last: Option<(Arc<Object>, Instant)>,
}

impl History {
    pub(super) fn of(&self, uid: &str) -> Life {
        self.pods.get(uid).cloned().unwrap_or_default()
    }

    /// Returns the time at which a host pod got its node.
    pub(super) fn bound(&self, uid: &str) -> Option<Instant> {
        self.bound.get(uid).copied()
    }

    /// Returns true if a host Service was made for a Service which was not stored then.
    pub(super) fn is_reserved(&self, uid: &str) -> bool {
        self.reserved.contains(uid)
    }

    pub(super) fn learn(&mut self, side: Side, entry: &AuditEntry) {
        if (side, entry.kind) == (Side::Host, kinds::SERVICE)
            && let (None, Some(after)) = (&entry.before, &entry.after)
            && record(after).is_some_and(|record| record.uid.is_empty())
        {
            self.reserved.insert(after.uid().to_owned());
        }
        if side != Side::Host || entry.kind != kinds::POD {
            return;
        }
        let Some(object) = entry.after.as_ref().or(entry.before.as_ref()) else { return };
        let Some(record) = record(object) else { return };
        if object["spec"]["nodeName"].is_string() {
            self.bound.entry(object.uid().to_owned()).or_insert_with(Instant::now);
        }
        let life = self.pods.entry(record.uid).or_default();
        match (&entry.before, &entry.after) {
            (None, Some(_)) => {
                life.twins += 1;
                object.uid().clone_into(&mut life.twin);
                life.last = None;
                life.is_ended_by_syncer = false;
            }
            (Some(before), after) => {
                let begins = !before.is_deleting() && after.as_ref().is_none_or(|after| after.is_deleting());
                if begins {
                    life.is_ended_by_syncer = entry.user.starts_with(SYNCER);
                }
                if after.is_none() {
                    life.last = Some((Arc::clone(before), Instant::now()));
                }
            }
            (None, None) => {}
        }
    }
}

//! Lease: of several replicas only its holder writes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Oracle, Promise, SYNCER};
use crate::api::AuditEntry;

/// Time that a request which was sent before may still take.
const REACTION: Duration = Duration::from_millis(50);

/// Holder of the lease of all replicas.
#[derive(Debug, Default)]
pub(super) struct Election {
    /// Users of the processes that run, by the names under which they hold the lease.
    users: BTreeMap<String, String>,
    holder: Option<String>,
    /// The user that held it before, and the time of the change.
    before: Option<(String, Instant)>,
    /// Ends of times in which a process stood still, with requests that were not sent yet.
    thaws: Vec<Instant>,
    /// True where requests may take long, or where the lease itself may go back in time.
    is_excused: bool,
}

impl Oracle {
    /// Expects that of several replicas only the holder of the lease writes.
    pub fn expect_one_writer(&mut self) {
        self.election = Some(Election::default());
    }

    /// Excuses writes of others than the holder of the lease.
    pub fn excuse_writers(&mut self) {
        if let Some(election) = &mut self.election {
            election.is_excused = true;
        }
    }

    /// Notes that a syncer stands still for a time.
    pub fn freeze(&mut self, length: Duration) {
        if let Some(election) = &mut self.election {
            election.thaws.push(Instant::now() + length);
        }
    }

    /// Follows the lease.
    pub(super) fn elect(&mut self, entry: &AuditEntry) {
        let (Some(election), Some(lease)) = (&mut self.election, &entry.after) else { return };
        let name = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if !name.is_empty() && entry.body["spec"]["holderIdentity"] == name && entry.user.starts_with(SYNCER) {
            election.users.insert(name.to_owned(), entry.user.clone());
        }
        let holder = election.users.get(name).cloned();
        if holder != election.holder {
            let before = std::mem::replace(&mut election.holder, holder);
            election.before = before.map(|user| (user, Instant::now()));
        }
    }

    /// Judges a write of a syncer by who holds the lease.
    pub(super) fn check_holder(&mut self, entry: &AuditEntry) {
        let Some(election) = self.election.as_ref().filter(|election| !election.is_excused) else { return };
        let had_it = |(user, since): &(String, Instant)| *user == entry.user && since.elapsed() <= REACTION;
        let thaws =
            |thaw: &Instant| Instant::now().checked_duration_since(*thaw).is_some_and(|since| since <= REACTION);
        if election.holder.as_ref() == Some(&entry.user)
            || election.before.as_ref().is_some_and(had_it)
            || election.thaws.iter().any(thaws)
        {
            return;
        }
        let (user, holder) = (&entry.user, election.holder.as_deref().unwrap_or("nobody"));
        let why = format!(
            "{user} wrote {} {}/{} while {holder} held the lease",
            entry.kind.kind, entry.namespace, entry.name
        );
        self.fail(Promise::Lease, why);
    }
}

impl Election {
    /// Forgets the processes of a user: it starts anew, with another name.
    pub(super) fn start(&mut self, user: &str) {
        self.users.retain(|_, of| of != user);
        if self.holder.as_deref() == Some(user) {
            self.holder = None;
        }
    }
}

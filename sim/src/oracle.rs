//! Oracle: checks the promises of the syncer from outside, by the audit logs and the stores of both clusters.
//!
//! It sees every write at the instant at which it is applied, together with the present state of both stores, and
//! knows nothing of the engine.

mod down;
mod election;
mod end;
mod history;
mod order;
mod pods;
mod up;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tenet_mapper::{Side, kinds};
use tokio::time::Instant;

use crate::api::{AuditEntry, Cluster};
use crate::network::Clusters;
use crate::world::{FORGED_UID, LEASE};
use election::Election;
use history::History;
use order::Order;

pub use end::{Picture, compare};

/// Users that are syncers begin with this.
pub const SYNCER: &str = "syncer";
/// Writes of the syncer to one object after which they count as endless.
const ENDLESS: u64 = 80;
/// Time in which a syncer notices that a store was replaced. Until then it writes for the cluster that was there.
const NOTICE: Duration = Duration::from_secs(15);
/// Number of audit entries that a failure shows.
const SHOWN: usize = 60;

/// Promise of the syncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Nothing is lost.
    Lost,
    /// Nothing foreign is touched.
    Foreign,
    /// No object is there twice.
    Twice,
    /// A field has one writer.
    Writer,
    /// Of several replicas only the holder of the lease writes.
    Lease,
    /// Every delete and every status write names the UID.
    Uid,
    /// The final state is told before an object goes.
    Final,
    /// A copy does not go back to an earlier state of its original.
    Order,
    /// An object that does not cross says why.
    Said,
    /// The texts that a tenant reads have no names of the host.
    Words,
    /// A pod does not run while a gate of the tenant holds it.
    Held,
    /// A change crosses at once when nothing disturbs it.
    Late,
    /// Patrol and audit find nothing when no event was lost.
    Drift,
    /// A deleted object leaves nothing on the host.
    Leak,
    /// The two sides agree at the end.
    End,
    /// The end state is that of the undisturbed run.
    Same,
    /// There are no writes at rest.
    Rest,
    /// Memory goes back to its start.
    Memory,
    /// Nothing panics.
    Panic,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The promise.
    pub promise: Promise,
    /// Details.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.why)
    }
}

/// Owner record of a host object, as anybody can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Cluster id.
    pub cluster: String,
    /// Kind of the virtual object.
    pub kind: String,
    /// Namespace of the virtual object.
    pub namespace: String,
    /// Name of the virtual object.
    pub name: String,
    /// UID of the virtual object; empty for a reservation.
    pub uid: String,
}

/// Reads the owner record of a host object, if it is complete and belongs to this object.
pub fn record(object: &Value) -> Option<Record> {
    let metadata = &object["metadata"];
    metadata["labels"]["tenet.sh/managed-by"].as_str()?;
    let annotation = |key: &str| metadata["annotations"][key].as_str().map(str::to_owned);
    let host_name = annotation("tenet.sh/host-name")?;
    let text = |member: &str| metadata[member].as_str().unwrap_or_default();
    if host_name != format!("{}/{}", text("namespace"), text("name")) && host_name != text("name") {
        return None;
    }
    let is_pending = annotation("tenet.sh/pending").is_some();
    Some(Record {
        cluster: annotation("tenet.sh/cluster")?,
        kind: annotation("tenet.sh/kind")?,
        namespace: annotation("tenet.sh/namespace").unwrap_or_default(),
        name: annotation("tenet.sh/name")?,
        uid: annotation("tenet.sh/uid").or_else(|| is_pending.then(String::new)).filter(|uid| uid != FORGED_UID)?,
    })
}

/// The oracle of one run.
pub struct Oracle {
    namespace: String,
    cluster_id: String,
    failures: Vec<Failure>,
    history: History,
    order: Order,
    election: Option<Election>,
    /// Ends of host pods that a watch has told a syncer of, by its user and the UID.
    told: BTreeMap<(String, String), Instant>,
    writes: BTreeMap<(Side, &'static str, String), u64>,
    log: VecDeque<Line>,
    digest: DefaultHasher,
    entries: u64,
    /// Number of requests of syncers that may have written.
    requests: u64,
    /// Times at which the syncer may have missed events.
    blind: Vec<(Instant, Instant)>,
    last_write: Option<(Side, Arc<AuditEntry>)>,
    /// True after the virtual cluster became one that nobody has claimed: it was replaced, or went back to a state before
    /// its claim.
    is_unclaimed: bool,
    /// Ids of the clusters that were replaced, with the times.
    replaced: Vec<(String, Instant)>,
    /// Time for which a request may be on its way.
    delay: Duration,
    /// True if nothing delays the syncer.
    is_prompt: bool,
    is_verbose: bool,
}

impl Oracle {
    /// The oracle of a syncer for this host namespace and this virtual cluster.
    pub fn new(namespace: &str, cluster_id: &str, is_verbose: bool) -> Self {
        Self {
            namespace: namespace.to_owned(),
            cluster_id: cluster_id.to_owned(),
            failures: Vec::new(),
            history: History::default(),
            order: Order::default(),
            election: None,
            told: BTreeMap::new(),
            writes: BTreeMap::new(),
            log: VecDeque::new(),
            digest: DefaultHasher::new(),
            entries: 0,
            requests: 0,
            blind: Vec::new(),
            last_write: None,
            is_unclaimed: false,
            replaced: Vec::new(),
            delay: Duration::ZERO,
            is_prompt: false,
            is_verbose,
        }
    }

    /// Expects that every change crosses at once: there are no faults.
    pub fn expect_prompt(&mut self) {
        self.is_prompt = true;
    }

    /// Judges what has happened since the last time. The last entry of `side` is the newest one.
    pub fn observe(&mut self, clusters: &Clusters, side: Side) {
        let other = if side == Side::Host { Side::Virtual } else { Side::Host };
        for side in [other, side] {
            for entry in clusters.of(side).take_audit() {
                self.judge(side, &Arc::new(entry), clusters);
            }
        }
    }

    /// Notes that the syncer may miss events for a time.
    pub fn blind(&mut self, length: Duration) {
        let now = Instant::now();
        self.blind.push((now, now + length));
    }

    /// Adds a failure that was found elsewhere.
    pub fn fail(&mut self, promise: Promise, why: impl Into<String>) {
        // One failure of a promise says enough, and the others often follow from it.
        if !self.failures.iter().any(|failure| failure.promise == promise) {
            let failure = Failure { promise, why: why.into() };
            self.note(format!("FAILURE {failure}"));
            self.failures.push(failure);
        }
    }

    /// Returns the failures.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Returns the last entries of both audit logs.
    pub fn log(&self) -> Vec<String> {
        self.log.iter().map(ToString::to_string).collect()
    }

    /// Returns a digest of both audit logs.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Returns the number of judged entries.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns the number of requests of syncers that may have written, whether or not they did. A lease is renewed all
    /// the time.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Notes that a watch has told a syncer of the end of a host pod.
    pub fn tell_end(&mut self, user: &str, uid: &str) {
        self.told.entry((user.to_owned(), uid.to_owned())).or_insert_with(Instant::now);
    }

    /// Notes that a syncer starts, and knows nothing.
    pub fn start(&mut self, user: &str) {
        self.told.retain(|(of, _), _| of != user);
        if let Some(election) = &mut self.election {
            election.start(user);
        }
    }

    /// Returns the last write of a syncer.
    pub fn last_write(&self) -> Option<String> {
        self.last_write.as_ref().map(|(side, entry)| line(*side, entry))
    }

    /// Forgets what was known of a cluster that went back to an earlier state, or was replaced.
    pub fn forget(&mut self, virt: &Cluster) {
        let cluster_id = virt.cluster_id();
        if self.cluster_id != cluster_id {
            self.replaced.push((std::mem::replace(&mut self.cluster_id, cluster_id), Instant::now()));
        }
        self.is_unclaimed |= virt.get(kinds::CONFIG_MAP, "kube-system", "tenet-claim").is_none();
        self.history = History::default();
        self.excuse_order();
        self.excuse_writers();
    }

    /// Expects that requests may be on their way for a time: they may arrive after the cluster was replaced for which
    /// they were sent.
    pub fn expect_late(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// Returns true if an object belongs to the virtual cluster, or to the one that it was, as far as a syncer can know,
    /// when the write was sent.
    fn is_of_cluster(&self, record: &Record) -> bool {
        let was = |(id, until): &(String, Instant)| *id == record.cluster && until.elapsed() <= NOTICE + self.delay;
        record.cluster == self.cluster_id || self.replaced.iter().any(was)
    }

    /// Adds a line to the log.
    pub fn note(&mut self, line: String) {
        self.push(Line::Note(line));
    }

    fn push(&mut self, line: Line) {
        if self.is_verbose {
            println!("{line}");
        }
        if self.log.len() == SHOWN {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    fn judge(&mut self, side: Side, entry: &Arc<AuditEntry>, clusters: &Clusters) {
        self.sum_up(side, entry);
        self.entries += 1;
        let is_ours = entry.user.starts_with(SYNCER);
        if !entry.is_dry_run && (is_ours || entry.is_changed) {
            self.push(Line::Entry(side, Arc::clone(entry)));
        }
        if is_ours && !entry.is_dry_run && entry.kind != LEASE {
            self.requests += 1;
        }
        if entry.is_dry_run || !entry.is_changed || entry.code >= 300 {
            return;
        }
        if entry.kind == LEASE && self.election.is_some() && entry.namespace == self.namespace {
            self.elect(entry);
            return;
        }
        if is_ours {
            self.count(side, entry);
            self.check_holder(entry);
            match side {
                Side::Host => self.down(entry, clusters),
                Side::Virtual => self.up(entry, clusters),
            }
        }
        self.follow(side, entry);
        self.history.learn(side, entry);
    }

    fn sum_up(&mut self, side: Side, entry: &AuditEntry) {
        (side, entry.version, entry.time, entry.code, entry.reason).hash(&mut self.digest);
        (&entry.user, entry.kind.kind, &entry.subresource).hash(&mut self.digest);
        (&entry.namespace, &entry.name, &entry.uid, &entry.body).hash(&mut self.digest);
    }

    fn count(&mut self, side: Side, entry: &Arc<AuditEntry>) {
        self.last_write = Some((side, Arc::clone(entry)));
        let count = self.writes.entry((side, entry.kind.kind, entry.uid.clone())).or_default();
        *count += 1;
        if *count > ENDLESS {
            let why = format!("{} writes to one object; the last one: {}", *count, line(side, entry));
            self.fail(Promise::Rest, why);
        }
    }
}

/// One line of the log.
#[derive(Debug)]
enum Line {
    Note(String),
    Entry(Side, Arc<AuditEntry>),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(text) => f.write_str(text),
            Self::Entry(side, entry) if entry.is_changed => f.write_str(&line(*side, entry)),
            Self::Entry(side, entry) => write!(f, "{} {}", line(*side, entry), entry.body),
        }
    }
}

/// One line for an entry of an audit log.
fn line(side: Side, entry: &AuditEntry) -> String {
    let slash = if entry.subresource.is_empty() { "" } else { "/" };
    format!(
        "{} {side} v{} {}: {:?} {}{slash}{} {}/{} -> {} {}",
        entry.time.time(),
        entry.version,
        entry.user,
        entry.verb,
        entry.kind.kind,
        entry.subresource,
        entry.namespace,
        entry.name,
        entry.code,
        entry.reason,
    )
}

/// Returns true if a write names the UID of the object.
fn names_uid(body: &Value, uid: &str) -> bool {
    let is_uid = |value: &Value| value.as_str() == Some(uid);
    let ops = body.as_array().into_iter().flatten();
    is_uid(&body["preconditions"]["uid"])
        || is_uid(&body["metadata"]["uid"])
        || ops.into_iter().any(|op| op["path"] == "/metadata/uid" && is_uid(&op["value"]))
}

//! Oracle: checks the promises of the syncer from outside, by the audit logs and the stores of both clusters.
//!
//! It sees every write at the instant at which it is applied, together with the present state of both stores, and
//! knows nothing of the engine.

mod down;
mod end;
mod history;
mod up;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::Value;
use tenet_mapper::Side;
use tokio::time::Instant;

use crate::api::AuditEntry;
use crate::network::Clusters;
use crate::world::FORGED_UID;
use history::History;

pub use end::{Picture, compare};

/// Users that are syncers begin with this.
pub const SYNCER: &str = "syncer";
/// Writes of the syncer to one object after which they count as endless.
const ENDLESS: u64 = 80;
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
    /// Every delete and every status write names the UID.
    Uid,
    /// The final state is told before an object goes.
    Final,
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
    writes: BTreeMap<(Side, String), u64>,
    log: VecDeque<String>,
    digest: DefaultHasher,
    entries: u64,
    /// Times at which the syncer may have missed events.
    blind: Vec<(Instant, Instant)>,
    last_write: Option<(Instant, String)>,
    /// True after the virtual cluster was replaced by one that nobody has claimed.
    is_replaced: bool,
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
            writes: BTreeMap::new(),
            log: VecDeque::new(),
            digest: DefaultHasher::new(),
            entries: 0,
            blind: Vec::new(),
            last_write: None,
            is_replaced: false,
            is_verbose,
        }
    }

    /// Judges what has happened since the last time. The last entry of `side` is the newest one.
    pub fn observe(&mut self, clusters: &Clusters, side: Side) {
        let other = if side == Side::Host { Side::Virtual } else { Side::Host };
        for side in [other, side] {
            for entry in clusters.of(side).take_audit() {
                self.judge(side, &entry, clusters);
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
        self.log.iter().cloned().collect()
    }

    /// Returns a digest of both audit logs.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Returns the number of judged entries.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns the last write of a syncer.
    pub fn last_write(&self) -> Option<(Instant, String)> {
        self.last_write.clone()
    }

    /// Forgets what was known of a cluster that went back to an earlier state, or was replaced.
    pub fn forget(&mut self, cluster_id: &str) {
        self.is_replaced |= self.cluster_id != cluster_id;
        cluster_id.clone_into(&mut self.cluster_id);
        self.history = History::default();
    }

    /// Adds a line to the log.
    pub fn note(&mut self, line: String) {
        if self.is_verbose {
            println!("{line}");
        }
        if self.log.len() == SHOWN {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    fn judge(&mut self, side: Side, entry: &AuditEntry, clusters: &Clusters) {
        let line = line(side, entry);
        line.hash(&mut self.digest);
        entry.body.to_string().hash(&mut self.digest);
        self.entries += 1;
        if entry.user.starts_with(SYNCER) && !entry.is_changed && !entry.is_dry_run {
            self.note(format!("{line} {}", entry.body));
        } else if entry.is_changed && !entry.is_dry_run {
            self.note(line.clone());
        }
        if entry.is_dry_run || !entry.is_changed || entry.code >= 300 {
            return;
        }
        if entry.user.starts_with(SYNCER) {
            self.count(side, entry, &line);
            match side {
                Side::Host => self.down(entry, clusters),
                Side::Virtual => self.up(entry, clusters),
            }
        }
        self.history.learn(side, entry);
    }

    fn count(&mut self, side: Side, entry: &AuditEntry, line: &str) {
        self.last_write = Some((Instant::now(), line.to_owned()));
        let object = format!("{} {}/{} {}", entry.kind.kind, entry.namespace, entry.name, entry.uid);
        let count = self.writes.entry((side, object)).or_default();
        *count += 1;
        if *count > ENDLESS {
            let why = format!("{} writes to one object; the last one: {line}", *count);
            self.fail(Promise::Rest, why);
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

//! Counts of requests to an API server, from its audit log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// User of the syncer, and of the replayer in its place.
const SYNCER: &str = "tenet-syncer";

/// Class of requests that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sort {
    /// `host` or `virtual`.
    pub side: &'static str,
    /// Verb such as `create`, `patch`, `list`.
    pub verb: String,
    /// Resource such as `pods`, `pods/status`.
    pub kind: String,
    /// True if the server granted the request.
    pub granted: bool,
}

impl Sort {
    /// Returns true if such a request changes an object. A TokenRequest stores nothing.
    pub fn writes(&self) -> bool {
        !self.mints() && !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Returns true if such a request creates a token.
    pub fn mints(&self) -> bool {
        self.kind == "serviceaccounts/token"
    }
}

/// Number of requests of each class.
pub type Calls = BTreeMap<Sort, usize>;

/// Returns the number of requests that change an object.
pub fn writes(calls: &Calls) -> usize {
    calls.iter().filter(|(sort, _)| sort.writes()).map(|(_, count)| count).sum()
}

/// Audit log of one side, read from a mark on.
pub struct AuditLog {
    side: &'static str,
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    object_ref: Reference,
    #[serde(default)]
    response_status: Status,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
struct Reference {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

impl AuditLog {
    /// Creates a reader for the log of a side.
    pub fn new(side: &'static str, path: PathBuf) -> Self {
        Self { side, path }
    }

    /// Returns the current end of the log.
    pub fn mark(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.path).with_context(|| self.path.display().to_string())?.len())
    }

    /// Counts the syncer's requests since the mark. Dry runs are left out, as they change nothing.
    pub fn since(&self, mark: u64) -> Result<Calls> {
        let mut calls = Calls::new();
        for entry in self.entries(mark)? {
            let begun = entry.stage == "ResponseStarted";
            let dry = entry.request_uri.contains("dryRun=");
            // A watch is counted when it starts, every other request when it has ended.
            if entry.user.username != SYNCER || dry || begun != (entry.verb == "watch") {
                continue;
            }
            *calls.entry(self.sort(entry)).or_default() += 1;
        }
        Ok(calls)
    }

    fn entries(&self, mark: u64) -> Result<Vec<Entry>> {
        let mut file = File::open(&self.path).with_context(|| self.path.display().to_string())?;
        file.seek(SeekFrom::Start(mark))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).context("a line of an audit log")).collect()
    }

    fn sort(&self, entry: Entry) -> Sort {
        let Reference { resource, subresource } = entry.object_ref;
        let kind = match (resource.as_str(), subresource.as_str()) {
            ("", _) => entry.request_uri.split('?').next().unwrap_or_default().to_owned(),
            (_, "") => resource,
            (resource, subresource) => format!("{resource}/{subresource}"),
        };
        let granted = (200..300).contains(&entry.response_status.code);
        Sort { side: self.side, verb: entry.verb, kind, granted }
    }
}

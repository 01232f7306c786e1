//! Who asked an API server for what, counted from its audit log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The user of the syncer, and of the replayer in its place.
const SYNCER: &str = "tenet-syncer";

/// Requests of one sort.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sort {
    /// `host` or `virtual`.
    pub side: &'static str,
    /// `create`, `patch`, `list`.
    pub verb: String,
    /// `pods`, `pods/status`.
    pub kind: String,
    /// Whether the server did what was asked for.
    pub granted: bool,
}

impl Sort {
    /// Whether such a request changes something. A TokenRequest stores nothing.
    pub fn writes(&self) -> bool {
        !self.mints() && !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it asks for a token.
    pub fn mints(&self) -> bool {
        self.kind == "serviceaccounts/token"
    }
}

/// How often each sort of request was made.
pub type Calls = BTreeMap<Sort, usize>;

/// How many of them change something.
pub fn writes(calls: &Calls) -> usize {
    calls.iter().filter(|(sort, _)| sort.writes()).map(|(_, count)| count).sum()
}

/// The audit log of one side, read on from a mark.
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
    /// The log of a side.
    pub fn new(side: &'static str, path: PathBuf) -> Self {
        Self { side, path }
    }

    /// Where it ends now.
    pub fn mark(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.path).with_context(|| self.path.display().to_string())?.len())
    }

    /// What the syncer has asked for since the mark. Dry runs are left out: they change nothing.
    pub fn since(&self, mark: u64) -> Result<Calls> {
        let mut calls = Calls::new();
        for entry in self.entries(mark)? {
            let begun = entry.stage == "ResponseStarted";
            let dry = entry.request_uri.contains("dryRun=");
            // A watch is counted when it begins, all else when it has ended.
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

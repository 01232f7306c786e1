//! Changes of the configuration while the syncer runs.

mod change;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

pub use change::Deferred;

use crate::load::Reader;
use crate::{Config, Known, Overrides, Problems};

/// The current configuration, shared by all that read it. Clones share it too.
///
/// A long-running task calls [`Live::get`] again for each piece of work, and keeps no value from it.
#[derive(Clone, Debug)]
pub struct Live(Arc<ArcSwap<Config>>);

impl Live {
    /// Starts with a configuration.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// The configuration as it is now. It does not block.
    pub fn get(&self) -> Arc<Config> {
        self.0.load_full()
    }
}

/// Reads the file of a [`Live`] configuration again. The syncer polls it every 2 s: a ConfigMap in a pod
/// changes by the swap of a symbolic link, which a watch on the file does not see.
#[derive(Debug)]
pub struct Reloader {
    live: Live,
    path: PathBuf,
    overrides: Overrides,
    known: Known,
    seen: Option<Seen>,
}

/// Result of the last poll.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    File([u8; 32]),
    Unreadable(String),
}

/// Outcome of one poll.
#[derive(Clone, Debug, PartialEq)]
pub enum ReloadOutcome {
    /// No field has another value, or the file has the same defect as at the last poll.
    Unchanged,
    /// A field has another value. At least one of the lists is not empty.
    Reloaded {
        /// Fields that have their new value now.
        applied: Vec<String>,
        /// Fields that keep their old value until the syncer restarts.
        deferred: Vec<Deferred>,
    },
    /// The file cannot be read or is not valid. The old configuration stays. It is said once, not at every poll.
    Refused(Problems),
}

impl Reloader {
    /// Reloads `path` into `live`, under the flags that `live` was loaded with.
    pub fn new(live: Live, path: PathBuf, overrides: Overrides) -> Self {
        Self { live, path, overrides, known: Known::default(), seen: None }
    }

    /// Checks against these names of the program too.
    #[must_use]
    pub fn knowing(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// Looks at the file and takes over what may change. It reads one small file and does not block otherwise.
    pub fn check(&mut self) -> ReloadOutcome {
        let read = fs::read(&self.path);
        let seen = match &read {
            Ok(bytes) => Seen::File(Sha256::digest(bytes).into()),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        if self.seen.as_ref() == Some(&seen) {
            return ReloadOutcome::Unchanged;
        }
        self.seen = Some(seen);
        let config = match read {
            Ok(bytes) => Reader::new(&self.overrides, &self.known).bytes(&self.path, &bytes),
            Err(error) => Err(Problems::of_file(&self.path, error)),
        };
        match config {
            Ok(config) => self.take_over(&config),
            Err(problems) => ReloadOutcome::Refused(problems),
        }
    }

    fn take_over(&self, wanted: &Config) -> ReloadOutcome {
        let current = self.live.get();
        let merged = match change::merge(&current, wanted, &self.known) {
            Ok(merged) => merged,
            Err(error) => return ReloadOutcome::Refused(Problems::of_file(&self.path, error)),
        };
        if merged.applied.is_empty() && merged.deferred.is_empty() {
            return ReloadOutcome::Unchanged;
        }
        self.live.0.store(Arc::new(merged.config));
        ReloadOutcome::Reloaded { applied: merged.applied, deferred: merged.deferred }
    }
}

#[cfg(test)]
mod tests;

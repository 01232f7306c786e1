//! Objects of a cache that a new list does not contain.
//!
//! A successful list may lack an object that exists: a lost page, a wrong backend, a filter in between. So each such
//! object is a question for a quorum read, a few at a time, before it is treated as deleted.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{Informer, TASK, backoff};
use crate::api::{ApiError, Sought, Target};
use crate::cache::NamespacedName;
use crate::panics::contain;
use crate::quorum;

/// Number of reads at once.
const AT_ONCE: usize = 4;
/// Time limit of a read.
const LIMIT: Duration = Duration::from_secs(30);

/// Objects whose absence from a list is not confirmed yet.
#[derive(Default)]
pub(super) struct Unlisted {
    places: Mutex<BTreeSet<NamespacedName>>,
    added: Notify,
}

impl Unlisted {
    /// Adds the objects that a list lacks.
    pub fn add(&self, places: BTreeSet<NamespacedName>) {
        if !places.is_empty() {
            self.places.lock().extend(places);
            self.added.notify_one();
        }
    }
}

impl Informer {
    /// Reads what lists lacked, forever.
    pub(super) async fn confirm(&self) {
        let mut failures = 0;
        loop {
            let some: Vec<_> = self.unlisted.places.lock().iter().take(AT_ONCE).cloned().collect();
            if some.is_empty() {
                self.unlisted.added.notified().await;
                continue;
            }
            let answered = join_all(some.iter().map(|key| self.look_at(key))).await;
            {
                let mut places = self.unlisted.places.lock();
                for (key, _) in some.iter().zip(&answered).filter(|(_, answered)| **answered) {
                    places.remove(key);
                }
            }
            if answered.contains(&false) {
                failures += 1;
                sleep(self.runtime.jittered(backoff(failures))).await;
            } else {
                failures = 0;
            }
        }
    }

    /// Reads one object from a quorum, and removes it from the cache only if it is absent. Returns false if there was
    /// no answer.
    async fn look_at(&self, key: &NamespacedName) -> bool {
        let Some(cached) = self.cache.get_at(key) else { return true };
        if !self.cache.lacks(self.stream, key) {
            return true;
        }
        match self.seek(key).await {
            Ok(found) => {
                if found.as_ref().is_some_and(|found| self.cache.selects(found)) {
                    tracing::warn!(side = %self.cache.side(), kind = %self.cache.kind(), namespace = %key.namespace,
                        name = %key.name, "object missing from a list still exists");
                }
                contain(Some(&self.metrics), TASK, format_args!("{}/{}", key.namespace, key.name), || {
                    quorum::take(&self.cache, &self.router, key, Some(cached.uid()), found);
                });
                true
            }
            Err(error) => {
                tracing::debug!(side = %self.cache.side(), kind = %self.cache.kind(), %error, "cannot read an unlisted object");
                false
            }
        }
    }

    /// Reads one object from a quorum. An answer of a store that went back in time is none.
    async fn seek(&self, key: &NamespacedName) -> Result<Option<Value>, ApiError> {
        let target = Target::new(self.cache.kind(), &key.namespace, &key.name);
        let floor = self.claim.floor(self.cache.side(), self.cache.newest());
        let sought = Sought::read(&target, self.api.get_path(&target.list_path(), LIMIT).await?)?;
        self.claim.check_floor(&floor, sought.revision)?;
        Ok(sought.object)
    }
}

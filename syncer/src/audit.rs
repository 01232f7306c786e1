//! Audit: compares each cache with its API server, as a watch may lose an event.
//!
//! The patrol compares both sides as the caches show them; the audit compares the caches with the servers, by lists of
//! metadata alone. An object that differs for longer than a watch is late is read from a quorum, into the cache. Each
//! finding is counted as drift.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tenet_mapper::ObjectRef;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, Page};
use crate::cache::{Cache, NamespacedName};
use crate::engine::Engine;
use crate::gate::Gate;
use crate::informer::Scope;
use crate::metrics::Metrics;

/// Time after which a difference is no longer an event in flight.
const SETTLE: Duration = Duration::from_secs(10);
/// Pause between two requests for pages.
const PACE: Duration = Duration::from_millis(500);

/// One stream, with the cache that it feeds.
pub struct Audit {
    api: Api,
    scope: Scope,
    cache: Arc<Cache>,
}

/// Audits all streams, one after the other, after each interval of the patrol, until it is told to stop.
pub async fn run(engine: Arc<Engine>, audits: Arc<[Audit]>, config: tenet_config::Live, stop: CancellationToken) {
    loop {
        let interval = *config.get().engine.patrol_interval;
        if stop.run_until_cancelled(sleep(engine.runtime.spread(interval))).await.is_none() {
            return;
        }
        let elsewhere = engine.elsewhere.audits();
        for audit in audits.iter().chain(elsewhere.iter().map(Arc::as_ref)) {
            match stop.run_until_cancelled(audit.run(&engine.gate, &engine.metrics, engine.view.limit)).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::debug!(side = %audit.cache.side(), kind = %audit.cache.kind(), %error, "audit failed");
                }
            }
        }
    }
}

impl Audit {
    /// An audit of the stream of this scope into this cache.
    pub fn new(api: Api, scope: Scope, cache: Arc<Cache>) -> Self {
        Self { api, scope, cache }
    }

    /// Compares once, and repairs the cache.
    async fn run(&self, gate: &Gate, metrics: &Metrics, limit: Duration) -> Result<(), ApiError> {
        let suspects = self.suspects(limit).await?;
        if suspects.is_empty() {
            return Ok(());
        }
        sleep(SETTLE).await;
        let (side, kind) = (self.cache.side(), self.cache.kind());
        for (object, version) in suspects {
            if self.cache.version_of(&object) != version {
                continue;
            }
            let target = ObjectRef::new(side, kind, &object.namespace, &object.name);
            match gate.refresh(&target).await {
                Ok(true) => {
                    metrics.drifted(kind.group_kind().label(), 1);
                    tracing::warn!(object = %target, "drift detected: the watch has lost an event");
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(object = %target, %error, "audit of an object failed"),
            }
        }
        Ok(())
    }

    /// Objects that the server shows otherwise than the cache, with the version in the cache.
    async fn suspects(&self, limit: Duration) -> Result<BTreeMap<NamespacedName, Option<u64>>, ApiError> {
        let namespace = self.scope.namespace.as_deref();
        let mut missing: BTreeSet<_> = self.cache.keys();
        missing.retain(|object| namespace.is_none_or(|namespace| *object.namespace == *namespace));
        let mut suspects = BTreeMap::new();
        let mut page = Page { selector: self.scope.selector.clone(), ..Page::default() };
        loop {
            let (items, next) =
                self.api.list_metadata(self.cache.kind(), namespace.unwrap_or_default(), &page, limit).await?;
            for item in items {
                let object = NamespacedName::new(&item.namespace, &item.name);
                let known = self.cache.version_of(&object);
                if item.version() > known {
                    suspects.insert(object.clone(), known);
                }
                missing.remove(&object);
            }
            let Some(next) = next else { break };
            page.next = Some(next);
            sleep(PACE).await;
        }
        for object in missing {
            let known = self.cache.version_of(&object);
            suspects.insert(object, known);
        }
        Ok(suspects)
    }
}

#[cfg(test)]
mod tests;

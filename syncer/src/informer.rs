//! Informers: one stream of changes per kind and side, shared by all mappers.

mod guard;
mod raw;
#[cfg(test)]
mod tests;
mod timed;
mod unlisted;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, TryStreamExt};
use http::StatusCode;
use kube::Api as KubeApi;
use kube::core::ApiResource;
use kube_runtime::watcher::{self, Event, watcher};
use parking_lot::RwLock;
use serde_json::Value;
use tenet_mapper::{Projection, Side};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::audit::Audit;
use crate::cache::{Cache, Change, StreamId};
use crate::claim::Claim;
use crate::metrics::Metrics;
use crate::panics::contain;
use crate::router::Router;
use crate::runtime::Runtime;
use crate::unmanaged::Unmanaged;
use guard::Guard;
use raw::RawObject;
use unlisted::Unlisted;

const PAGE: u32 = 250;
/// Page size for objects that arrive whole although only a digest is kept: each may have a megabyte.
const SMALL_PAGE: u32 = 50;
/// Length of a watch, below the idle time after which load balancers silently drop connections.
const WATCH_SECONDS: u32 = 200;
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Number of refusals in a row after which a listed stream counts as missing.
const PATIENCE: u32 = 3;
/// The longest delay between two probes of a stream that is missing.
const PROBE: Duration = Duration::from_secs(10);

/// Name of the informers among the tasks that may panic.
const TASK: &str = "informer";

/// Failures in a row.
#[derive(Default)]
struct Failures {
    all: u32,
    /// Trailing failures that were refusals: HTTP 403 or 404.
    missing: u32,
}

/// Health of a stream.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// A complete list was seen since the start, or since the stream was missing.
    pub synced: bool,
    /// The API server does not serve the kind (404), or does not let us read it (403).
    pub missing: Option<Missing>,
    /// Start and reason of the current failure.
    pub failing: Option<(Instant, String)>,
    /// Asks the stream to forget the versions that it has seen, and to list again: its store was restored.
    pub anew: Arc<Notify>,
}

/// Reason why the API server refuses a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// It does not serve the kind (404): there are no objects.
    NotServed,
    /// It does not let us read the kind (403): there may be objects.
    Forbidden,
}

impl Health {
    /// The health of two streams together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            synced: self.synced && other.synced,
            missing: self.missing.max(other.missing),
            failing: self.failing.or(other.failing),
            anew: self.anew,
        }
    }
}

/// A stream of one kind on one side into its cache.
pub struct Informer {
    api: Api,
    namespace: Option<String>,
    selector: Option<String>,
    stream: StreamId,
    cache: Arc<Cache>,
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    health: Arc<RwLock<Health>>,
    unlisted: Unlisted,
    /// Notified when the health has changed.
    changed: Arc<Notify>,
    claim: Arc<Claim>,
    runtime: Arc<dyn Runtime>,
}

/// Scope of a stream.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The namespace; all when absent.
    pub namespace: Option<String>,
    /// A label selector.
    pub selector: Option<String>,
}

impl Informer {
    /// A stream that has not started.
    pub fn new(
        api: Api,
        scope: Scope,
        cache: Arc<Cache>,
        router: Arc<Router>,
        metrics: Arc<Metrics>,
        claim: Arc<Claim>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let Scope { namespace, selector } = scope;
        let stream = cache.add_stream(namespace.as_deref(), selector.as_deref());
        Self {
            api,
            namespace,
            selector,
            stream,
            cache,
            router,
            metrics,
            health: Arc::default(),
            unlisted: Unlisted::default(),
            changed: Arc::default(),
            claim,
            runtime,
        }
    }

    /// Notifies when the health of the stream has changed.
    #[must_use]
    pub fn notifying(self, changed: Arc<Notify>) -> Self {
        Self { changed, ..self }
    }

    /// Returns the audit of the stream.
    pub fn audit(&self) -> Audit {
        let scope = Scope { namespace: self.namespace.clone(), selector: self.selector.clone() };
        Audit::new(self.api.clone(), scope, Arc::clone(&self.cache))
    }

    /// Returns the health of the stream, which stays current.
    pub fn health(&self) -> Arc<RwLock<Health>> {
        Arc::clone(&self.health)
    }

    /// Follows the stream forever, and confirms what its lists lack.
    pub async fn run(self) {
        tokio::join!(self.follow_forever(), self.confirm());
    }

    /// Follows the stream. Errors are retried with growing delays, which only a
    /// complete list or a change resets.
    async fn follow_forever(&self) {
        let mut failures = Failures::default();
        let anew = Arc::clone(&self.health.read().anew);
        loop {
            tokio::select! {
                biased;
                () = anew.notified() => {
                    self.cache.forget_versions(self.stream);
                    self.health.write().synced = false;
                    self.changed.notify_one();
                    failures = Failures::default();
                }
                () = self.attempt(&mut failures) => {}
            }
        }
    }

    /// Follows one watcher until a new one is needed, and waits until it may start.
    async fn attempt(&self, failures: &mut Failures) {
        let delay = if let Ok(error) = AssertUnwindSafe(self.follow(failures)).catch_unwind().await {
            self.fail(&error, failures)
        } else {
            self.metrics.task_panicked(TASK);
            self.count("the informer panicked".to_owned(), None, failures)
        };
        sleep(delay).await;
    }

    /// Follows one watcher until a new one is needed.
    async fn follow(&self, failures: &mut Failures) -> watcher::Error {
        let mut stream = std::pin::pin!(watcher(self.kube_api(), self.config()));
        loop {
            match stream.try_next().await {
                Ok(Some(event)) => {
                    let progress = !matches!(event, Event::Init | Event::InitApply(_));
                    self.take(event);
                    if progress {
                        *failures = Failures::default();
                        self.health.write().failing = None;
                    }
                }
                // The watcher never ends by itself.
                Ok(None) => return watcher::Error::NoResourceVersion,
                // The watcher would retry an HTTP 410 at the start of a watch with the same
                // version forever; only a new watcher lists again. The same holds for a kind that
                // was missing: its new objects are unrelated to the old ones.
                Err(error) if is_gone(&error) || missing(&error).is_some() || !is_stream_error(&error) => return error,
                Err(error) => sleep(self.fail(&error, failures)).await,
            }
        }
    }

    fn take(&self, event: Event<RawObject>) {
        match event {
            Event::Init => self.cache.begin_list(self.stream),
            Event::InitApply(object) | Event::Apply(object) => {
                contain(Some(&self.metrics), TASK, object.display_name(), || self.store(&object));
            }
            Event::Delete(object) => {
                contain(Some(&self.metrics), TASK, object.display_name(), || self.remove(&object));
            }
            Event::InitDone => {
                self.unlisted.add(self.cache.end_list(self.stream));
                let mut health = self.health.write();
                (health.synced, health.missing) = (true, None);
                self.changed.notify_one();
            }
        }
    }

    fn store(&self, object: &RawObject) {
        let (namespace, name, version) = object.identity();
        if self.cache.confirm(namespace, name, version) {
            return;
        }
        let Some(value) = self.parse(object) else { return };
        if let Change::Stored(object, sight) = self.cache.store(value) {
            self.router.changed(&self.cache, &object, &sight);
        }
    }

    fn remove(&self, object: &RawObject) {
        if let Some(last) = self.parse(object).and_then(|last| self.cache.remove(&last)) {
            self.router.gone(&self.cache, &last);
        }
    }

    fn parse(&self, object: &RawObject) -> Option<Value> {
        match serde_json::from_str(object.json()) {
            Ok(Unmanaged(value)) => Some(value),
            Err(error) => {
                // The text may hold a Secret, so it is not logged.
                tracing::error!(side = %self.cache.side(), kind = %self.cache.kind(), object = object.display_name(),
                    line = error.line(), column = error.column(), "unreadable object skipped");
                None
            }
        }
    }

    /// Counts an error of the watcher. Returns the delay until the next attempt.
    fn fail(&self, error: &watcher::Error, failures: &mut Failures) -> Duration {
        self.count(crate::api::chain(error), missing(error), failures)
    }

    /// Counts a failure for this reason. Returns the delay until the next attempt.
    fn count(&self, reason: String, missing: Option<Missing>, failures: &mut Failures) -> Duration {
        failures.all += 1;
        failures.missing = if missing.is_some() { failures.missing + 1 } else { 0 };
        let (side, kind) = (self.cache.side(), self.cache.kind());
        self.metrics.watch_failed(side, kind);
        let mut health = self.health.write();
        // One refusal at the restart of a watch may come from a server that is starting.
        let is_missing = failures.missing >= if health.synced { PATIENCE } else { 1 };
        let mut delay = self.runtime.jittered(backoff(failures.all));
        if is_missing {
            delay = delay.min(PROBE);
        }
        if is_missing && health.missing != missing {
            tracing::info!(%side, %kind, reason, "kind not served or not readable: probing");
            (health.synced, health.missing) = (false, missing);
            self.changed.notify_one();
        } else if !is_missing {
            tracing::warn!(%side, %kind, ?delay, reason, "watch failed");
        }
        let since = health.failing.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        health.failing = Some((since, reason));
        delay
    }

    fn kube_api(&self) -> KubeApi<RawObject> {
        let kind = self.cache.kind();
        let resource = ApiResource {
            group: kind.group.to_owned(),
            version: kind.version.to_owned(),
            api_version: kind.api_version(),
            kind: kind.kind.to_owned(),
            plural: kind.plural.to_owned(),
        };
        let client = Guard::client(self.api.client(), self.cache.projection().is_metadata(), Arc::clone(&self.health));
        match &self.namespace {
            Some(namespace) => KubeApi::namespaced_with(client, namespace, &resource),
            None => KubeApi::all_with(client, &resource),
        }
    }

    fn config(&self) -> watcher::Config {
        let config = watcher::Config::default().page_size(page(self.cache.projection())).timeout(WATCH_SECONDS);
        match &self.selector {
            Some(selector) => config.labels(selector),
            None => config,
        }
    }
}

/// Returns the page size of a list.
fn page(projection: &Projection) -> u32 {
    if matches!(projection, Projection::Digest(_)) { SMALL_PAGE } else { PAGE }
}

/// Returns the delay after so many failures in a row: it doubles from half a second to a minute.
fn backoff(failures: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_DELAY)
}

fn status_of(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let (InitialListFailed(kube::Error::Api(status))
    | WatchStartFailed(kube::Error::Api(status))
    | WatchFailed(kube::Error::Api(status))
    | WatchError(status)) = error
    else {
        return None;
    };
    Some(status.code)
}

fn is_gone(error: &watcher::Error) -> bool {
    status_of(error) == Some(StatusCode::GONE.as_u16())
}

/// Returns the reason if the API server does not serve the kind, or does not let us read it.
fn missing(error: &watcher::Error) -> Option<Missing> {
    match status_of(error)? {
        403 => Some(Missing::Forbidden),
        404 => Some(Missing::NotServed),
        _ => None,
    }
}

/// Returns true if the watcher resumes by itself at its last version.
fn is_stream_error(error: &watcher::Error) -> bool {
    !matches!(error, watcher::Error::NoResourceVersion)
}

/// Returns true if the stream selects objects by our label.
pub fn is_selected(side: Side, foreign: bool) -> bool {
    side == Side::Host && !foreign
}

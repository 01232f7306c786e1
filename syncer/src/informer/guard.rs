//! Wrapper of a watcher's client: pacing of watches, deadlines of lists and watches, and requests
//! for metadata only.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tower::Service;

use super::Health;
use super::timed::Timed;

const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_ONLY_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Duration below which a watch counts as closed at once.
const SHORT_WATCH: Duration = Duration::from_secs(1);
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Time limit of one page of a list, with its body.
const LIST_LIMIT: Duration = Duration::from_secs(60);
/// Time until the server must have begun to answer a watch.
const WATCH_START: Duration = Duration::from_secs(15);
/// Longest silence of a watch. An API server sends a bookmark every minute, so a longer one means that the
/// connection is dead, which nobody else would notice: a watch sends nothing.
const WATCH_SILENCE: Duration = Duration::from_secs(150);
/// Longest silence of a watch of events, of which an API server sends no bookmarks: at rest it says nothing until it
/// ends the watch, after the time that the request asks for (`WATCH_SECONDS`).
const EVENT_WATCH_SILENCE: Duration = Duration::from_secs(230);

/// Pace of the watches of one stream. `kube_runtime::watcher` watches again at once
/// when the server closes a watch; a server (or a proxy before it) that closes every
/// watch at once would make it spin.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last_start: Option<Instant>,
    delay: Duration,
}

impl Pace {
    /// Returns the earliest start of the next watch that is requested at `now`.
    pub(crate) fn next_start(&mut self, now: Instant) -> Instant {
        let start = match self.last_start {
            Some(last) if now.saturating_duration_since(last) < self.delay + SHORT_WATCH => {
                self.delay = (self.delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
                now + self.delay
            }
            _ => {
                self.delay = Duration::ZERO;
                now
            }
        };
        self.last_start = Some(start);
        start
    }
}

/// The service that a watcher's client is made of.
#[derive(Clone)]
pub(crate) struct Guard {
    client: Client,
    metadata_only: bool,
    pace: Arc<Mutex<Pace>>,
    health: Arc<RwLock<Health>>,
}

impl Guard {
    /// A client for one stream, whose health ceases to fail when a watch has started: a kind at rest has no
    /// event that would show it.
    pub(crate) fn client(client: &Client, metadata_only: bool, health: Arc<RwLock<Health>>) -> Client {
        let namespace = client.default_namespace().to_owned();
        Client::new(Self { client: client.clone(), metadata_only, pace: Arc::default(), health }, namespace)
    }
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Timed>;
    type Error = tower::BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let is_watch =
            request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("watch=")));
        if self.metadata_only {
            let accept = if is_watch { METADATA_ONLY } else { METADATA_ONLY_LIST };
            request.headers_mut().insert(http::header::ACCEPT, HeaderValue::from_static(accept));
        }
        let (client, pace, health) = (self.client.clone(), Arc::clone(&self.pace), Arc::clone(&self.health));
        Box::pin(async move {
            if is_watch {
                let start = pace.lock().next_start(Instant::now());
                let silence = longest_silence(request.uri().path());
                sleep_until(start).await;
                let answer = timeout(WATCH_START, client.send(request)).await??;
                if answer.status().is_success() {
                    health.write().failing = None;
                }
                return Ok(answer.map(|body| Timed::with_silence(body, silence)));
            }
            let deadline = Instant::now() + LIST_LIMIT;
            let answer = timeout_at(deadline, client.send(request)).await??;
            Ok(answer.map(|body| Timed::until(body, deadline)))
        })
    }
}

/// Returns the longest silence of a watch with this path.
fn longest_silence(path: &str) -> Duration {
    if path.ends_with("/events") { EVENT_WATCH_SILENCE } else { WATCH_SILENCE }
}

#[cfg(test)]
mod tests {
    use super::super::WATCH_SECONDS;
    use super::*;

    #[test]
    fn a_watch_of_events_may_be_silent_until_the_server_ends_it() {
        for path in ["/api/v1/namespaces/a/events", "/api/v1/events", "/apis/events.k8s.io/v1/namespaces/a/events"] {
            assert!(longest_silence(path) > Duration::from_secs(WATCH_SECONDS.into()), "{path}");
        }
        assert_eq!(longest_silence("/api/v1/namespaces/events/pods"), WATCH_SILENCE);
    }

    #[test]
    fn a_watch_that_closes_at_once_is_started_ever_later() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..10 {
            let start = pace.next_start(now);
            waits.push((start - now).as_millis());
            now = start + Duration::from_millis(1);
        }
        assert_eq!(waits, [0, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        now += Duration::from_secs(120);
        assert_eq!(pace.next_start(now), now, "a watch that lived is started again at once");
    }
}

//! A session with a pod, from the request to the last byte. None ever reaches a pod that was not
//! meant:
//!
//! 1. The pod is resolved, and the host is asked for the stream ([`Node::reach`]).
//! 2. When the host has agreed, the host pod has to be the same one still ([`Session::confirm`]);
//!    before that not a byte passes.
//! 3. Bytes pass until one end closes, breaks, or is silent for too long ([`carry`]).
//!
//! With SPDY and for logs nothing happens in a pod before the first byte, so the host is asked at
//! once when the caches know the pod, while the virtual one is read to see that it is meant. The
//! command of a WebSocket runs as soon as the host has found a pod: there the host is asked when
//! both have been read, and a create lock keeps the name from coming to mean another pod of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tenet_config::Live;
use tenet_syncer::CreateLock;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use super::bridge::{End, Passed, bridge};
use super::failure::Failure;
use super::pod_resolver::{PodResolver, ResolvedPod};
use super::route::{Action, PodName};
use super::server::{Kubelet, Node};
use super::upgrade::Upgrade;
use super::upstream::{Agreed, HostStream, UpstreamError};
use super::{logs, run};
use crate::metrics::Metrics;
use crate::serving::{Answer, Client, body};

/// A session that the host has agreed to, whose pod is not confirmed yet.
pub(super) struct Session<S> {
    stream: S,
    pod: ResolvedPod,
    slot: Slot,
    /// Held until the pod is confirmed.
    lock: Option<CreateLock>,
}

impl Node {
    /// Answers `exec`, `attach` and `portForward`. The client has its 101 while the pod is confirmed;
    /// what it says meanwhile waits.
    pub(super) async fn stream(
        &self,
        pod: &PodName,
        action: &Action,
        mut request: Request<Incoming>,
    ) -> Result<Response<Answer>, Failure> {
        let upgrade = Upgrade::read(request.method(), request.headers())?;
        let session = self.open(pod, action, &upgrade).await?;
        let mut response = Response::new(body(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = session.stream.headers.clone();
        let client = hyper::upgrade::on(&mut request);
        let kubelet = Arc::clone(&self.kubelet);
        self.kubelet.tasks.spawn(async move {
            let panics = kubelet.panics.clone();
            panics.contain("stream", carry(kubelet, session, client)).await
        });
        Ok(response)
    }

    /// Answers `containerLogs`.
    pub(super) async fn logs(&self, pod: &PodName, action: &Action) -> Result<Response<Answer>, Failure> {
        let upstream = &self.kubelet.upstream;
        let ask = |connection, path: String| async move { upstream.get(connection, &path).await };
        let (log, slot) = self.reach(pod, action, false, ask).await?.confirm(&self.kubelet.resolver).await?;
        Ok(logs::answer(log, slot, &self.kubelet.closing))
    }

    /// Answers `run`: a command whose output is the answer.
    pub(super) async fn run(&self, pod: &PodName, action: &Action) -> Result<Response<Answer>, Failure> {
        let kubelet = &self.kubelet;
        let (agreed, slot) = self.open(pod, action, &run::upgrade()).await?.confirm(&kubelet.resolver).await?;
        let answer = tokio::select! {
            answer = run::collect(agreed) => answer,
            () = kubelet.closing.cancelled() => Err(Failure::stopping()),
            () = sleep(kubelet.sessions.idle()) => Err(Failure::not_available("the command does not end")),
        };
        slot.ended("closed", 0, answer.as_ref().map_or(0, |answer| answer.body().size_hint().lower()));
        answer
    }

    /// Opens a stream both ways.
    pub(super) async fn open(
        &self,
        pod: &PodName,
        action: &Action,
        upgrade: &Upgrade,
    ) -> Result<Session<Agreed>, Failure> {
        if self.kubelet.closing.is_cancelled() {
            return Err(Failure::stopping());
        }
        let upstream = &self.kubelet.upstream;
        let ask = |connection, path: String| async move { upstream.upgrade(connection, &path, upgrade).await };
        self.reach(pod, action, matches!(upgrade, Upgrade::WebSocket { .. }), ask).await
    }

    /// Resolves the pod and asks the host, in the order that the protocol allows: `acts_at_once`
    /// says that something happens in the pod before the first byte.
    async fn reach<S, F>(
        &self,
        pod: &PodName,
        action: &Action,
        acts_at_once: bool,
        ask: impl Fn(HostStream, String) -> F,
    ) -> Result<Session<S>, Failure>
    where
        F: Future<Output = Result<S, UpstreamError>> + Send,
    {
        let Kubelet { resolver, sessions, upstream, .. } = &*self.kubelet;
        let container = action.container();
        let expected = if acts_at_once { None } else { resolver.cached(&self.name, pod, container) };
        if let Some(expected) = expected {
            let slot = sessions.start(&expected, action.name())?;
            let meant = resolver.is_meant(&expected, &self.name, container);
            let asked = async { Ok(exchange(&ask, upstream.connect().await, &expected, action).await) };
            let (is_meant, stream) = tokio::try_join!(meant, asked)?;
            if is_meant {
                return Ok(Session { stream: stream?, pod: expected, slot, lock: None });
            }
        }
        let lock = acts_at_once.then(|| resolver.lock_create(pod));
        // The connection is made while the pod is looked for.
        let (pod, connection) = tokio::join!(resolver.resolve(&self.name, pod, container), upstream.connect());
        let pod = pod?;
        let slot = sessions.start(&pod, action.name())?;
        let stream = exchange(&ask, connection, &pod, action).await?;
        Ok(Session { stream, pod, slot, lock })
    }
}

impl<S> Session<S> {
    /// Returns the pod that the stream leads to.
    #[cfg(test)]
    pub(super) fn pod(&self) -> &ResolvedPod {
        &self.pod
    }

    /// Returns the stream, if it leads to the pod that was resolved before.
    pub(super) async fn confirm(self, resolver: &PodResolver) -> Result<(S, Slot), Failure> {
        let confirmed = resolver.confirm(&self.pod).await;
        drop(self.lock);
        match confirmed {
            Ok(()) => Ok((self.stream, self.slot)),
            Err(failure) => {
                self.slot.ended("replaced", 0, 0);
                Err(failure)
            }
        }
    }
}

/// Carries the bytes of a stream to its end.
async fn carry(kubelet: Arc<Kubelet>, session: Session<Agreed>, client: OnUpgrade) {
    let (agreed, slot) = match session.confirm(&kubelet.resolver).await {
        Ok(confirmed) => confirmed,
        Err(failure) => return tracing::info!(reason = failure.message, "stream closed before its first byte"),
    };
    let (end, passed) = pass(&kubelet, client, agreed).await;
    slot.ended(end.word(), passed.down, passed.up);
}

/// Passes bytes from the moment on that the client has its 101.
async fn pass(kubelet: &Kubelet, client: OnUpgrade, agreed: Agreed) -> (End, Passed) {
    let Ok(Ok(upgraded)) = client.await.map(Upgraded::downcast::<TokioIo<Client>>) else {
        return (End::Broken, Passed::default());
    };
    let (mut client, mut host) = (upgraded.io.into_inner(), agreed.stream);
    let early = Passed { down: upgraded.read_buf.len() as u64, up: agreed.early.len() as u64 };
    // By value: these words hold the whole buffers that the heads of the messages were read into.
    if first_words(&mut client, agreed.early).await.is_err() || first_words(&mut host, upgraded.read_buf).await.is_err()
    {
        return (End::Broken, Passed::default());
    }
    let (end, mut passed) = bridge(&mut client, &mut host, kubelet.sessions.idle(), &kubelet.closing).await;
    passed.down += early.down;
    passed.up += early.up;
    (end, passed)
}

/// Passes on what was said before the handshake was over.
async fn first_words(to: &mut (impl AsyncWrite + Unpin), mut words: Bytes) -> std::io::Result<()> {
    if words.is_empty() {
        return Ok(());
    }
    to.write_all_buf(&mut words).await?;
    to.flush().await
}

/// Asks the host on a connection of its own.
async fn exchange<S, F>(
    ask: &impl Fn(HostStream, String) -> F,
    connection: Result<HostStream, UpstreamError>,
    pod: &ResolvedPod,
    action: &Action,
) -> Result<S, Failure>
where
    F: Future<Output = Result<S, UpstreamError>>,
{
    let stream = async { ask(connection?, path_of(pod, action)).await };
    stream.await.map_err(|error| Failure::upstream(error, pod, right_of(action)))
}

fn path_of(pod: &ResolvedPod, action: &Action) -> String {
    let (namespace, name) = (pod.host.namespace(), pod.host.name());
    format!("/api/v1/namespaces/{namespace}/pods/{name}/{}", action.subresource())
}

fn right_of(action: &Action) -> &'static str {
    match action {
        Action::Exec { .. } | Action::Run { .. } => "create pods/exec",
        Action::Attach { .. } => "create pods/attach",
        Action::PortForward { .. } => "create pods/portforward",
        Action::Logs { .. } => "get pods/log",
    }
}

/// The open sessions, and their limits.
pub struct Sessions {
    live: Live,
    metrics: Arc<Metrics>,
    total: AtomicU32,
    pods: DashMap<String, u32>,
}

/// Slot of one session within the limits, given back when dropped.
pub struct Slot {
    sessions: Arc<Sessions>,
    pod: String,
    endpoint: &'static str,
}

impl Sessions {
    /// Sessions of which none is open. The limits are those of the configuration in force.
    pub fn new(live: Live, metrics: Arc<Metrics>) -> Self {
        Self { live, metrics, total: AtomicU32::new(0), pods: DashMap::new() }
    }

    /// Starts one more, if the limits allow it.
    pub fn start(self: &Arc<Self>, pod: &ResolvedPod, endpoint: &'static str) -> Result<Slot, Failure> {
        let bounds = self.live.get().kubelet.streams.clone();
        let more = |total: u32| (total < bounds.total).then_some(total + 1);
        if self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(Failure::too_many("this cluster"));
        }
        let uid = pod.host_uid.clone();
        let mut count = self.pods.entry(uid.clone()).or_insert(0);
        if *count >= bounds.per_pod {
            drop(count);
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::too_many(&format!("pod {}/{}", pod.name.namespace, pod.name.name)));
        }
        *count += 1;
        drop(count);
        self.metrics.open(endpoint, 1);
        Ok(Slot { sessions: Arc::clone(self), pod: uid, endpoint })
    }

    /// Returns the time for which a stream may be silent.
    pub fn idle(&self) -> Duration {
        *self.live.get().kubelet.streams.idle_timeout
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Slot {
    /// Counts the bytes that have passed, and why the session has ended.
    pub fn ended(&self, reason: &str, down: u64, up: u64) {
        self.sessions.metrics.ended(self.endpoint, reason);
        self.sessions.metrics.passed(self.endpoint, down, up);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.sessions.total.fetch_sub(1, Ordering::Relaxed);
        self.sessions.metrics.open(self.endpoint, -1);
        if let Entry::Occupied(mut entry) = self.sessions.pods.entry(self.pod.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

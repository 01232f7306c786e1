//! Answers the requests to one virtual node.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bridge::{End, Passed, bridge};
use super::failure::Failure;
use super::opening::Opened;
use super::place::Places;
use super::route::{self, Action, PodName, Route};
use super::streams::Streams;
use super::upgrade::Upgrade;
use super::upstream::{Agreed, Upstream};
use super::{logs, pages, rights, run, stats};
use crate::access::{Authorizer, Denied, Tokens, User};
use crate::resource_metrics::ResourceMetrics;
use crate::serving::{Answer, Client, Peer, Service, body};
use tenet_syncer::api::Api;

/// What the kubelets of all virtual nodes share.
pub struct Kubelet {
    /// The virtual API server.
    pub virt: Api,
    /// Where host pods are found.
    pub places: Places,
    /// Connections to the host.
    pub upstream: Upstream,
    /// Whose tokens there are.
    pub tokens: Tokens,
    /// Who may.
    pub authorizer: Authorizer,
    /// What pods use.
    pub usage: Arc<ResourceMetrics>,
    /// The open streams.
    pub streams: Arc<Streams>,
    /// Their tasks.
    pub tasks: TaskTracker,
    /// Ends all streams.
    pub closing: CancellationToken,
}

/// The kubelet of one virtual node.
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it shares with others.
    pub kubelet: Arc<Kubelet>,
}

#[async_trait]
impl Service for Node {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Answer> {
        let start = Instant::now();
        let route = route::parse(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
        let (endpoint, is_stream) = (endpoint(route.as_ref().ok()), is_stream(route.as_ref().ok()));
        let answer = match self.admit(peer, &request, route.as_ref().ok()).await {
            Err(denied) => Err(Failure::from(denied)),
            Ok(_) => match route {
                Err(error) => Err(Failure::from(error)),
                Ok(route) => self.serve(route, request).await,
            },
        };
        let answer = answer.unwrap_or_else(|failure| if is_stream { failure.status() } else { failure.plain() });
        let metrics = self.kubelet.streams.metrics();
        metrics.answered(endpoint, answer.status().as_u16());
        if matches!(answer.status(), StatusCode::OK | StatusCode::SWITCHING_PROTOCOLS) {
            metrics.opened(endpoint, start.elapsed());
        }
        answer
    }
}

impl Node {
    /// Who asks, if they may. Also what is not served is not told to everybody.
    async fn admit(&self, peer: &Peer, request: &Request<Incoming>, route: Option<&Route>) -> Result<User, Denied> {
        let user = match &peer.certificate {
            Some(certificate) => User::of_certificate(certificate, now()).ok_or(Denied::Unauthorized)?,
            None => self.kubelet.tokens.user(request.headers()).await?,
        };
        let needed = rights::needed(route, request.method(), &self.name);
        self.kubelet.authorizer.any(&user, &needed).await?;
        Ok(user)
    }

    async fn serve(&self, route: Route, request: Request<Incoming>) -> Result<Response<Answer>, Failure> {
        match route {
            Route::Pod(pod, action @ Action::Logs { .. }) => self.logs(&pod, &action).await,
            Route::Pod(pod, action @ Action::Run { .. }) => self.run(&pod, &action).await,
            Route::Pod(pod, action) => self.stream(&pod, &action, request).await,
            Route::Pods => pages::pods(&self.kubelet.virt, &self.name, false).await,
            Route::RunningPods => pages::pods(&self.kubelet.virt, &self.name, true).await,
            Route::Healthz => Ok(crate::serving::text(StatusCode::OK, "ok")),
            Route::Configz => Ok(pages::configz(self.kubelet.streams.idle())),
            Route::StatsSummary | Route::MetricsResource | Route::MetricsCadvisor => self.usage(&route).await,
        }
    }

    /// What the pods of this node use.
    async fn usage(&self, route: &Route) -> Result<Response<Answer>, Failure> {
        let all = self.kubelet.usage.pods().await.map_err(|missing| Failure::not_available(missing.to_string()))?;
        let pods: Vec<_> = all.iter().filter(|pod| pod.node == self.name).collect();
        Ok(match route {
            Route::StatsSummary => stats::summary(&self.name, &pods),
            Route::MetricsResource => stats::resource(&pods),
            _ => stats::cadvisor(&pods),
        })
    }

    /// The client is told that its stream is open while the pod is looked at once more; what it
    /// says meanwhile waits.
    async fn stream(
        &self,
        pod: &PodName,
        action: &Action,
        mut request: Request<Incoming>,
    ) -> Result<Response<Answer>, Failure> {
        let upgrade = Upgrade::read(request.method(), request.headers())?;
        let opened = self.open(pod, action, &upgrade).await?;
        let mut response = Response::new(body(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = opened.stream.headers.clone();
        let client = hyper::upgrade::on(&mut request);
        let kubelet = Arc::clone(&self.kubelet);
        self.kubelet.tasks.spawn(carry(kubelet, opened, client));
        Ok(response)
    }

    async fn logs(&self, pod: &PodName, action: &Action) -> Result<Response<Answer>, Failure> {
        let (log, open) = self.open_log(pod, action).await?.confirmed(&self.kubelet.places).await?;
        Ok(logs::answer(log, open, &self.kubelet.closing))
    }

    async fn run(&self, pod: &PodName, action: &Action) -> Result<Response<Answer>, Failure> {
        let (agreed, open) = self.open(pod, action, &run::upgrade()).await?.confirmed(&self.kubelet.places).await?;
        let answer = tokio::select! {
            answer = run::collect(agreed) => answer,
            () = self.kubelet.closing.cancelled() => Err(Failure::stopping()),
            () = tokio::time::sleep(self.kubelet.streams.idle()) => Err(Failure::not_available("the command does not end")),
        };
        open.ended("closed", 0, answer.as_ref().map_or(0, |answer| answer.body().size_hint().lower()));
        answer
    }
}

/// Carries the bytes of a stream to its end.
async fn carry(kubelet: Arc<Kubelet>, opened: Opened<Agreed>, client: OnUpgrade) {
    let (agreed, open) = match opened.confirmed(&kubelet.places).await {
        Ok(confirmed) => confirmed,
        Err(failure) => return tracing::info!(reason = failure.message, "a stream is closed before its first byte"),
    };
    let (end, passed) = pass(&kubelet, client, agreed).await;
    open.ended(end.word(), passed.down, passed.up);
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
    let (end, mut passed) = bridge(&mut client, &mut host, kubelet.streams.idle(), &kubelet.closing).await;
    passed.down += early.down;
    passed.up += early.up;
    (end, passed)
}

/// What was said before the handshake was over comes first.
async fn first_words(to: &mut (impl AsyncWrite + Unpin), mut words: Bytes) -> std::io::Result<()> {
    if words.is_empty() {
        return Ok(());
    }
    to.write_all_buf(&mut words).await?;
    to.flush().await
}

fn endpoint(route: Option<&Route>) -> &'static str {
    match route {
        None => "none",
        Some(Route::Pod(_, action)) => action.name(),
        Some(Route::Pods) => "pods",
        Some(Route::RunningPods) => "runningpods",
        Some(Route::StatsSummary) => "stats/summary",
        Some(Route::MetricsResource) => "metrics/resource",
        Some(Route::MetricsCadvisor) => "metrics/cadvisor",
        Some(Route::Healthz) => "healthz",
        Some(Route::Configz) => "configz",
    }
}

fn is_stream(route: Option<&Route>) -> bool {
    matches!(route, Some(Route::Pod(_, Action::Exec { .. } | Action::Attach { .. } | Action::PortForward { .. })))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod backend;
#[cfg(test)]
mod tests;

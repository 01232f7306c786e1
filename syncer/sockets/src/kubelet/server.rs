//! Answers the requests to one virtual node.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::failure::Failure;
use super::pod_resolver::PodResolver;
use super::route::{self, Action, Route};
use super::session::Sessions;
use super::upstream::Upstream;
use super::{pages, rights, stats};
use crate::access::{Authorizer, Denied, Tokens, User};
use crate::panics::Panics;
use crate::resource_metrics::ResourceMetrics;
use crate::serving::{Answer, Peer, Service};
use tenet_syncer::api::Api;

/// Parts that the kubelets of all virtual nodes share.
pub struct Kubelet {
    /// The virtual API server.
    pub virt: Api,
    /// Finds host pods.
    pub resolver: PodResolver,
    /// Connections to the host.
    pub upstream: Upstream,
    /// The authenticator of tokens.
    pub tokens: Tokens,
    /// The authorizer.
    pub authorizer: Authorizer,
    /// The resource metrics of pods.
    pub resource_metrics: Arc<ResourceMetrics>,
    /// The open sessions.
    pub sessions: Arc<Sessions>,
    /// Their tasks.
    pub tasks: TaskTracker,
    /// Counts panics, of which each costs one request or stream.
    pub panics: Panics,
    /// Ends all streams.
    pub closing: CancellationToken,
}

/// The kubelet of one virtual node.
pub struct Node {
    /// Its name.
    pub name: String,
    /// The parts that it shares with others.
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
        let metrics = self.kubelet.sessions.metrics();
        metrics.answered(endpoint, answer.status().as_u16());
        if matches!(answer.status(), StatusCode::OK | StatusCode::SWITCHING_PROTOCOLS) {
            metrics.opened(endpoint, start.elapsed());
        }
        answer
    }
}

impl Node {
    /// Returns the user of the request, if authorized. Unknown paths, too, answer 404 only to authorized users.
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
            Route::Metrics => pages::metrics(&self.kubelet.virt, &self.name).await,
            Route::Healthz => Ok(crate::serving::text(StatusCode::OK, "ok")),
            Route::Configz => Ok(pages::configz(self.kubelet.sessions.idle())),
            Route::StatsSummary | Route::MetricsResource | Route::MetricsCadvisor => self.usage(&route).await,
        }
    }

    /// Answers with the resource metrics of the pods of this node.
    async fn usage(&self, route: &Route) -> Result<Response<Answer>, Failure> {
        let all = self
            .kubelet
            .resource_metrics
            .pods()
            .await
            .map_err(|missing| Failure::not_available(missing.to_string()))?;
        let pods: Vec<_> = all.iter().filter(|pod| pod.node == self.name).collect();
        Ok(match route {
            Route::StatsSummary => stats::summary(&self.name, &pods),
            Route::MetricsResource => stats::resource(&pods),
            _ => stats::cadvisor(&pods),
        })
    }
}

fn endpoint(route: Option<&Route>) -> &'static str {
    match route {
        None => "none",
        Some(Route::Pod(_, action)) => action.name(),
        Some(Route::Pods) => "pods",
        Some(Route::RunningPods) => "runningpods",
        Some(Route::StatsSummary) => "stats/summary",
        Some(Route::Metrics) => "metrics",
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

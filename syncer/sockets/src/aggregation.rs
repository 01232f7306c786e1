//! `metrics.k8s.io` inside the virtual cluster, as an aggregated API: what the host measures,
//! in the names of the tenant.

mod answers;
mod front;
mod registration;
mod route;
mod selector;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::access::{Attributes, Authorities, Authorizer, Bundle, Denied, Published};
use crate::panics::Panics;
use crate::resource_metrics::ResourceMetrics;
use crate::serving::{Answer, CertificateStore, Listener, Peer, Service, respond, server_config, status};
use registration::Registration;
use route::{Ask, Route};
use tenet_syncer::EngineHandle;

pub use registration::{API_SERVICE, SERVER_NAME, withdraw};

/// Number of connections that the virtual API server may have.
const CONNECTIONS: usize = 256;
const AGAIN: Duration = Duration::from_secs(5);

/// Parts that the aggregated API needs.
pub struct Parts {
    /// The engine.
    pub engine: Arc<dyn EngineHandle>,
    /// The resource metrics of pods.
    pub resource_metrics: Arc<ResourceMetrics>,
    /// The certificate.
    pub certificates: Arc<CertificateStore>,
    /// The authorities of front proxies.
    pub authorities: Arc<Authorities>,
    /// The authorizer.
    pub authorizer: Authorizer,
    /// The address to listen on.
    pub listen: std::net::SocketAddr,
}

/// The aggregated API.
struct Metrics {
    parts: Parts,
    published: watch::Receiver<Published>,
}

/// Serves and keeps itself registered until it is told to stop.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let published = parts.authorities.subscribe();
    let metrics = Arc::new(Metrics { parts, published });
    loop {
        let served = metrics.serve(&stop).await;
        let Err(error) = served else { return };
        tracing::warn!(error = format!("{error:#}"), "cannot serve metrics.k8s.io");
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(AGAIN) => {}
        }
    }
}

impl Metrics {
    async fn serve(self: &Arc<Self>, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut published = self.published.clone();
        let trusted = published.wait_for(|published| published.bundle(Bundle::FrontProxies).is_some());
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            trusted = trusted => drop(trusted?),
        }
        let listen = self.parts.listen;
        let socket = TcpListener::bind(listen).await.with_context(|| format!("usage.listen {listen}"))?;
        let tls = Arc::new(ArcSwap::from_pointee(self.tls(&published)?));
        let listener = Listener {
            name: "metrics",
            socket,
            tls: Arc::clone(&tls),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            panics: Panics::new(&self.parts.engine),
        };
        let follow = async {
            while published.changed().await.is_ok() {
                match self.tls(&published) {
                    Ok(config) => tls.store(Arc::new(config)),
                    Err(error) => tracing::warn!(%error, "cannot load the certificate authorities of front proxies"),
                }
            }
        };
        let service = Arc::clone(self) as Arc<dyn Service>;
        let registration = Registration { parts: &self.parts };
        let all = async { tokio::join!(listener.serve(service, stop.clone()), registration.keep(stop)) };
        tokio::select! {
            _ = all => {}
            () = follow => {}
        }
        Ok(())
    }

    fn tls(&self, published: &watch::Receiver<Published>) -> anyhow::Result<rustls::ServerConfig> {
        let published = published.borrow();
        Ok(server_config(self.parts.certificates.served(), published.bundle(Bundle::FrontProxies))?)
    }

    async fn admit(&self, peer: &Peer, request: &Request<Incoming>, route: Option<&Route>) -> Result<(), Denied> {
        let user = front::user(peer, request.headers(), &self.published.borrow())?;
        // Discovery is open to every user whom the front proxy has authenticated.
        let Some(Route::Resource(ask)) = route else { return Ok(()) };
        let attributes = Attributes {
            verb: if ask.name.is_some() { "get" } else { "list" },
            group: "metrics.k8s.io",
            version: "v1beta1",
            resource: ask.resource.plural(),
            subresource: "",
            namespace: ask.namespace.clone().unwrap_or_default(),
            name: ask.name.clone().unwrap_or_default(),
        };
        self.parts.authorizer.any(&user, &[attributes]).await
    }

    async fn resource(&self, ask: &Ask) -> Response<Answer> {
        match self.parts.resource_metrics.pods().await {
            Ok(pods) => answers::resource(&*self.parts.engine, ask, &pods),
            Err(missing) => status(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &missing.to_string()),
        }
    }
}

#[async_trait]
impl Service for Metrics {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Answer> {
        let route = route::parse(request.uri().path(), request.uri().query().unwrap_or_default());
        let route = match (self.admit(peer, &request, route.as_ref().ok()).await, route) {
            (Err(Denied::Unauthorized), _) => {
                return status(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
            }
            (Err(error @ Denied::Forbidden(_)), _) => {
                return status(StatusCode::FORBIDDEN, "Forbidden", &error.to_string());
            }
            (Err(error), _) => {
                return status(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &error.to_string());
            }
            (Ok(()), Err(message)) => return status(StatusCode::BAD_REQUEST, "BadRequest", &message),
            (Ok(()), Ok(route)) => route,
        };
        if request.method() != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "only get and list are served");
        }
        match route {
            Route::Group => respond(StatusCode::OK, "application/json", answers::group().to_string()),
            Route::Version => respond(StatusCode::OK, "application/json", answers::version().to_string()),
            Route::Resource(ask) => self.resource(&ask).await,
            Route::Nowhere => status(StatusCode::NOT_FOUND, "NotFound", "nothing is served here"),
        }
    }
}

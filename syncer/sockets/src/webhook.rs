//! The webhook that the virtual API server asks before it stores objects of which the host
//! decides a value.
//!
//! A [`review`] is read; the mapper of the kind says what the host needs; the
//! [`reservation_handler`] gets it, as a reservation; the answer carries what the host gave. The mapper adopts the
//! reservation when the object appears, and removes it when it does not. What is refused
//! becomes a [`denial`] in words that show nothing of the host.

mod denial;
mod naming;
mod open_reservations;
mod registration;
mod reservation_handler;
mod review;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use futures::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionReview;
use serde_json::Value;
use tenet_config::{FailurePolicy, Live};
use tenet_mapper::{Admission, Kind};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::panics::Panics;
use crate::serving::{Answer, CertificateStore, Listener, Peer, Service, respond, server_config, text};
use denial::Denial;
use open_reservations::OpenReservations;
pub use registration::KIND as WEBHOOK;
use registration::Registration;
use reservation_handler::ReservationHandler;
use review::Review;
use tenet_syncer::EngineHandle;

/// Maximum size of a review in bytes. A Service has at most 1.5 MiB in the store, and an update carries two.
const LONGEST: usize = 8 * 1024 * 1024;
/// Name of the socket in `/readyz`.
pub const SOCKET: &str = "webhook";
/// Number of connections that the virtual API server may have.
const CONNECTIONS: usize = 512;
/// Time before the end of `webhook.timeout` at which the webhook gives up, so that its answer still arrives.
const MARGIN: Duration = Duration::from_millis(500);
/// Delay of the next attempt to listen.
const AGAIN: Duration = Duration::from_secs(5);

/// Parts that the webhook needs.
pub struct Parts {
    /// The engine.
    pub engine: Arc<dyn EngineHandle>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The certificate.
    pub certificates: Arc<CertificateStore>,
    /// The configuration.
    pub live: Live,
}

/// The webhook.
pub struct Webhook {
    engine: Arc<dyn EngineHandle>,
    metrics: Arc<Metrics>,
    certificates: Arc<CertificateStore>,
    reservations: ReservationHandler,
    registration: Registration,
    /// Decides about the objects of a kind whose mapper is off.
    policy: FailurePolicy,
    limit: Duration,
}

/// Removes the registration of an earlier start, whose webhook does not answer any more.
pub async fn withdraw(engine: &dyn EngineHandle) {
    if let Err(error) = engine.unregister(registration::KIND, "", registration::NAME, registration::socket_of).await {
        tracing::warn!(%error, "cannot remove the webhook registration of an earlier start");
    }
}

/// Serves and keeps itself registered until it is told to stop.
pub async fn run(parts: &Parts, stop: CancellationToken) {
    if parts.engine.admissions().is_empty() {
        parts.engine.report_closed(SOCKET, None);
        return withdraw(&*parts.engine).await;
    }
    loop {
        let served = serve(parts, &stop).await;
        let Err(error) = served else { return };
        tracing::warn!(error = format!("{error:#}"), "cannot serve the webhook");
        parts.engine.report_closed(SOCKET, Some(format!("{error:#}")));
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(AGAIN) => {}
        }
    }
}

async fn serve(parts: &Parts, stop: &CancellationToken) -> anyhow::Result<()> {
    let Parts { engine, metrics, certificates, live } = parts;
    let config = live.get().webhook.clone();
    let socket = TcpListener::bind(config.listen).await.with_context(|| format!("webhook.listen {}", config.listen))?;
    let listener = Listener {
        name: SOCKET,
        tls: Arc::new(arc_swap::ArcSwap::from_pointee(server_config(certificates.served(), None)?)),
        connections: Arc::new(Semaphore::new(CONNECTIONS)),
        panics: Panics::new(engine),
        socket,
    };
    let limit = config.timeout.saturating_sub(MARGIN);
    let reservations = OpenReservations::new(usize::from(config.max_reservations));
    let webhook = Arc::new(Webhook {
        policy: config.failure_policy,
        registration: Registration::new(config),
        reservations: ReservationHandler::new(Arc::clone(engine), reservations, limit / 2),
        engine: Arc::clone(engine),
        metrics: Arc::clone(metrics),
        certificates: Arc::clone(certificates),
        limit,
    });
    let keep = webhook.registration.keep(&**engine, certificates, stop);
    let served = listener.serve(Arc::clone(&webhook) as Arc<dyn Service>, stop.clone());
    engine.report_closed(SOCKET, None);
    tokio::join!(served, keep);
    Ok(())
}

#[async_trait]
impl Service for Webhook {
    async fn answer(&self, _peer: &Peer, request: Request<Incoming>) -> Response<Answer> {
        // API servers show webhooks no certificate: the secret path authenticates them.
        let Some(resource) = self.known(request.uri().path()) else {
            return text(StatusCode::NOT_FOUND, "not found");
        };
        let Some((kind, admission)) =
            self.engine.admissions().into_iter().find(|(kind, _)| kind.resource() == resource)
        else {
            return text(StatusCode::NOT_FOUND, "not found");
        };
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only POST is served");
        }
        let body = match Limited::new(request.into_body(), LONGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the review is too large or was cut off"),
        };
        match Review::read(&body, kind) {
            Ok(review) => {
                let answer = self.review(kind, admission, &review).await;
                json_of(&answer)
            }
            Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }
}

fn json_of(answer: &AdmissionReview<DynamicObject>) -> Response<Answer> {
    match serde_json::to_vec(answer) {
        Ok(bytes) => respond(StatusCode::OK, "application/json", bytes),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

impl Webhook {
    /// Returns the resource of a kind, when the rest of the path is the secret of now or of just before.
    fn known<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (secret, resource) = path.strip_prefix('/')?.split_once('/')?;
        let same = |known: &str| verify_slices_are_equal(known.as_bytes(), secret.as_bytes()).is_ok();
        let known = self.registration.secrets().iter().any(|known| same(known));
        (known || same(&registration::path_secret(&self.certificates))).then_some(resource)
    }

    async fn review(&self, kind: Kind, admission: &dyn Admission, review: &Review) -> AdmissionReview<DynamicObject> {
        let start = Instant::now();
        let result = self.judge(kind, admission, review).await;
        let metrics = &self.metrics;
        let verdict = match &result {
            Ok(_) => "allowed",
            Err(denial) => {
                metrics.denied(kind, denial.class);
                tracing::info!(
                    %kind,
                    namespace = review.namespace,
                    name = review.name,
                    generate_name = review.beginning(),
                    field = denial.field,
                    reason = denial.message,
                    "request denied"
                );
                "denied"
            }
        };
        metrics.reviewed(kind, review.operation_name(), verdict, start.elapsed());
        match result {
            Ok(_) if self.engine.is_off(kind) => review.allow_with(Denial::off(kind).message),
            result => review.answer(result),
        }
    }

    /// Returns the values that the object takes on. While the mapper of its kind is off they are unknown, and the
    /// failure policy decides.
    async fn judge(
        &self,
        kind: Kind,
        admission: &dyn Admission,
        review: &Review,
    ) -> Result<Vec<(String, Value)>, Denial> {
        if self.engine.is_off(kind) {
            return if self.policy == FailurePolicy::Ignore { Ok(Vec::new()) } else { Err(Denial::off(kind)) };
        }
        let serve = self.reservations.serve(kind, admission, review);
        match AssertUnwindSafe(timeout(self.limit, serve)).catch_unwind().await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Denial::silent()),
            Err(_) => {
                self.engine.task_panicked("admission");
                tracing::error!(%kind, namespace = review.namespace, name = review.name, "admission panicked");
                Err(Denial::panicked())
            }
        }
    }
}

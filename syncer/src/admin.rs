//! `/metrics`, `/healthz` and `/readyz`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tenet_mapper::MapperId;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::registry::State;

/// Time after which a ready key that no worker has taken marks its mapper as stuck.
const STUCK: Duration = Duration::from_secs(60);
/// Time after which a failing stream is reported.
const FAILING: Duration = Duration::from_secs(30);
const HEADER_LIMIT: Duration = Duration::from_secs(10);

/// The engine, once it runs.
pub type Handle = Arc<OnceLock<Arc<Engine>>>;

/// Serves until it is told to stop.
pub async fn serve(listener: TcpListener, engine: Handle, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Mostly a lack of file descriptors; wait until others are closed.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the admin port");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&engine, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "connection to the admin port ended with an error");
            }
        });
    }
}

/// Binds the port.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

fn answer(engine: &Handle, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n".into());
    }
    match request.uri().path() {
        "/healthz" | "/livez" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => match engine.get() {
            None => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n".into()),
            Some(engine) => match standby(engine) {
                Some(line) => text(StatusCode::OK, line),
                None => readiness(&all(engine)),
            },
        },
        "/metrics" => {
            let body = engine.get().map(|engine| scrape(engine)).unwrap_or_default();
            respond(StatusCode::OK, "text/plain; version=0.0.4", body)
        }
        path => match path.strip_prefix("/readyz/").and_then(|name| one(engine.get()?, name)) {
            Some(report) => readiness(&[report]),
            None => text(StatusCode::NOT_FOUND, "/metrics, /healthz, /readyz and /readyz/MAPPER are served\n".into()),
        },
    }
}

/// The answer of a replica that stands by: it is ready to take over.
fn standby(engine: &Engine) -> Option<String> {
    let lease = engine.lease.as_ref().filter(|lease| !lease.is_held())?;
    Some(format!("ok\nstandby: {} holds the lease\n", lease.other_holder().unwrap_or_else(|| "nobody".to_owned())))
}

/// Readiness of one mapper.
enum Report {
    /// It runs and keeps up.
    Ready,
    /// An API or a right is missing. That is no reason to call the others not ready.
    Off(String),
    /// It has not started yet, or does not keep up.
    Trouble(String),
}

/// `ok` while no mapper is in trouble and at least one runs; a line for each that is off.
fn readiness(reports: &[Report]) -> Response<Full<Bytes>> {
    let lines = |of: fn(&Report) -> Option<&str>| reports.iter().filter_map(of).collect::<Vec<_>>();
    let troubles = lines(|report| if let Report::Trouble(why) = report { Some(why) } else { None });
    let off = lines(|report| if let Report::Off(why) = report { Some(why) } else { None });
    let is_ready = troubles.is_empty() && (off.len() < reports.len() || reports.is_empty());
    let head = if is_ready { vec!["ok"] } else { troubles };
    let body = head.into_iter().chain(off).fold(String::new(), |body, line| body + line + "\n");
    text(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
}

fn all(engine: &Engine) -> Vec<Report> {
    let mappers = engine.mappers.iter().map(|mapper| report(engine, mapper.spec().id));
    let parts =
        engine.off.lock().iter().map(|(part, why)| Report::Off(format!("{part}: off: {why}"))).collect::<Vec<_>>();
    let closed = engine.closed.lock();
    let closed = closed.iter().map(|(socket, why)| Report::Trouble(format!("{socket}: closed: {why}")));
    let paused = engine.gate.breaker_report().into_iter().map(Report::Off);
    let claim = engine.claim.check().err().map(|error| Report::Trouble(format!("claim: {error}")));
    claim.into_iter().chain(mappers).chain(closed).chain(parts).chain(paused).collect()
}

fn one(engine: &Engine, name: &str) -> Option<Report> {
    let mapper = engine.mappers.iter().find(|mapper| mapper.spec().id.as_str() == name)?;
    Some(report(engine, mapper.spec().id))
}

fn report(engine: &Engine, mapper: MapperId) -> Report {
    match engine.registry.state(mapper) {
        None => Report::Trouble(format!("{mapper}: unknown")),
        Some(State::Off(missing)) => Report::Off(format!("{mapper}: off: {}", missing.join("; "))),
        Some(State::Listing(streams)) => Report::Trouble(format!("{mapper}: not listed yet: {}", streams.join("; "))),
        Some(State::Running) => {
            let behind = engine.registry.behind(engine, mapper, FAILING);
            let age = engine.queue.oldest().get(&mapper).copied().filter(|age| *age > STUCK);
            match (behind.is_empty(), age) {
                (true, None) => Report::Ready,
                (true, Some(age)) => Report::Trouble(format!("{mapper}: a key waits for {:?}", rounded(age))),
                (false, _) => Report::Trouble(format!("{mapper}: not followed: {}", behind.join("; "))),
            }
        }
    }
}

fn scrape(engine: &Engine) -> Vec<u8> {
    let metrics = &engine.metrics;
    for cache in engine.caches.all() {
        metrics.cache(cache.side(), cache.kind(), cache.len(), cache.bytes());
    }
    let (depth, oldest, failing) = (engine.queue.depth(), engine.queue.oldest(), engine.queue.failing());
    for mapper in engine.mappers.iter() {
        let (id, kind) = (mapper.spec().id, mapper.spec().kind.group_kind().label());
        if !engine.router.is_running(id) {
            metrics.withdraw(kind);
            continue;
        }
        for (lane, word) in crate::queue::LANES {
            metrics.queue(kind, word, depth.get(&(id, lane)).copied().unwrap_or(0));
        }
        metrics.age(kind, oldest.get(&id).copied().unwrap_or_default());
        metrics.fail(kind, failing.get(&id).copied().unwrap_or(0));
    }
    engine.gate.report();
    if let Some(lease) = &engine.lease {
        metrics.lease_held(lease.is_held());
    }
    metrics.text()
}

fn rounded(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.into_bytes())
}

fn respond(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

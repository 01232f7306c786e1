//! The loop that all TLS sockets share: a bounded number of connections, each with bounds
//! of time, HTTP/1.1 only, and an end that lets requests finish.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::panics::Panics;

/// Time limit of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time limit of the head of a request, and of the silence between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// Maximum size of the head of a request.
const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 64;
/// Time of silence until a peer is probed. With the probes, a machine that is gone is noticed after about 30 seconds.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBE: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// Error of a body that ended before its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer.
pub type Answer = UnsyncBoxBody<Bytes, BodyError>;
/// A stream to a client.
pub type Client = TlsStream<TcpStream>;

/// Peer of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its certificate, verified at the handshake.
    pub certificate: Option<CertificateDer<'static>>,
}

/// Service behind a socket.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers one request.
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Answer>;
}

/// One TLS socket.
pub struct Listener {
    /// For logs.
    pub name: &'static str,
    /// The socket.
    pub socket: TcpListener,
    /// Its TLS; another one counts from the next connection on.
    pub tls: Arc<ArcSwap<ServerConfig>>,
    /// Number of connections that there may be, over all sockets that share it.
    pub connections: Arc<Semaphore>,
    /// Counts panics, of which each costs one request.
    pub panics: Panics,
}

impl Listener {
    /// Serves until it is told to stop; then lets requests that have begun finish.
    pub async fn serve(self, service: Arc<dyn Service>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept() => accepted,
            };
            let (stream, permit) = accepted;
            let (tls, service, stop) = (self.tls.load_full(), Arc::clone(&service), stop.clone());
            let (name, panics) = (self.name, self.panics.clone());
            tasks.spawn(async move {
                let contained = Contained { name, service, panics: panics.clone() };
                if let Some(Err(error)) = panics.contain(name, serve_connection(stream, tls, contained, stop)).await {
                    tracing::debug!(socket = name, %error, "connection ended with an error");
                }
                drop(permit);
            });
        }
        drop(self.socket);
        tasks.close();
        tasks.wait().await;
    }

    async fn accept(&self) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                // Never closed.
                std::future::pending::<()>().await;
                continue;
            };
            match self.socket.accept().await {
                Ok((stream, _)) => return (stream, permit),
                // Out of file descriptors, mostly: give others time to close some.
                Err(error) => {
                    tracing::warn!(socket = self.name, %error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// A service whose panics are answered.
#[derive(Clone)]
struct Contained {
    name: &'static str,
    service: Arc<dyn Service>,
    panics: Panics,
}

impl Contained {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Answer> {
        let answer = self.panics.contain(self.name, self.service.answer(peer, request)).await;
        answer.unwrap_or_else(|| {
            status(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "the request met a bug of the syncer; see its log",
            )
        })
    }
}

async fn serve_connection(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    service: Contained,
    stop: CancellationToken,
) -> Result<(), BodyError> {
    tune(&stream)?;
    let stream = timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await??;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    let peer = Peer { certificate: certificate.map(CertificateDer::into_owned) };
    let handler = service_fn(|request: Request<Incoming>| {
        let (service, peer) = (service.clone(), peer.clone());
        async move { Ok::<_, Infallible>(service.answer(&peer, request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).max_headers(HEADERS);
    let connection = server.serve_connection(TokioIo::new(stream), handler).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// Sets the options of a connection: no delay of small packets, which are keystrokes, and keepalive, which notices a
/// dead peer.
pub(crate) fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_PROBE).with_retries(KEEPALIVE_PROBES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// A whole body.
pub fn body(bytes: impl Into<Bytes>) -> Answer {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A short answer for people.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response<Answer> {
    respond(status, "text/plain; charset=utf-8", text.into())
}

/// A whole answer of some type.
pub fn respond(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(body(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns a failure as Kubernetes writes it.
pub fn status(code: StatusCode, reason: &str, message: &str) -> Response<Answer> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    respond(code, "application/json", status.to_string())
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use hyper::client::conn::http1::handshake;
    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;
    use tenet_syncer::EngineHandle;
    use time::OffsetDateTime;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::fake_engine::FakeEngine;
    use crate::serving::authority::Authority;
    use crate::serving::certificate::{ServedCertificate, roots, server_config};

    /// Panics at one path.
    struct Buggy;

    #[async_trait]
    impl Service for Buggy {
        async fn answer(&self, _: &Peer, request: Request<Incoming>) -> Response<Answer> {
            assert_ne!(request.uri().path(), "/bug", "a bug");
            text(StatusCode::OK, "fine")
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_request_and_is_counted() {
        let (name, now) = ("localhost", OffsetDateTime::now_utc());
        let authority = Authority::new("vc-1", now).unwrap();
        let signed = authority.sign(name, &[name.to_owned()], now).unwrap();
        let tls = server_config(Arc::new(ServedCertificate::new(signed.key)), None).unwrap();
        let engine = Arc::new(FakeEngine::default());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener {
            name: "test",
            socket,
            tls: Arc::new(ArcSwap::from_pointee(tls)),
            connections: Arc::new(Semaphore::new(1)),
            panics: Panics::new(&(Arc::clone(&engine) as Arc<dyn EngineHandle>)),
        };
        let stop = CancellationToken::new();
        let served = tokio::spawn(listener.serve(Arc::new(Buggy), stop.clone()));
        let roots = roots(&authority.certificate).unwrap();
        let client =
            TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = client.connect(ServerName::try_from(name).unwrap(), stream).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for (path, code) in [("/", 200), ("/bug", 500), ("/", 200)] {
            let request = Request::builder().uri(path).header("host", name).body(Empty::<Bytes>::new()).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), code, "{path}, on one connection");
        }
        assert_eq!(engine.panics(), ["test"]);
        drop(sender);
        stop.cancel();
        served.await.unwrap();
    }
}

//! Connections to the host API server that carry one stream each, and are closed with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{self, ACCEPT, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt;
use kube::client::middleware::AuthLayer;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tenet_syncer::connect::{self, Connector};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::{Layer, ServiceExt};

use super::upgrade::{Upgrade, UpgradeError};
use crate::serving::{BodyError, tune};

/// Time limit of a connection to the host.
const CONNECT: Duration = Duration::from_secs(10);
/// Time limit of an answer: a kubelet waits for its container runtime.
const HEAD: Duration = Duration::from_secs(30);
/// Maximum size of an answer that is not a stream.
const LONGEST_ERROR: usize = 64 * 1024;
const LARGEST_BUFFER: usize = 32 * 1024;

/// A failure to get a stream from the host.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The host API server cannot be reached.
    #[error("cannot connect to the host API server")]
    Connect(#[source] std::io::Error),
    /// It did not answer in time.
    #[error("the host API server did not answer in time")]
    Timeout,
    /// The connection broke before an answer.
    #[error("the connection to the host API server broke")]
    Broken(#[source] BodyError),
    /// It answered something else.
    #[error("the host API server answered {status}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The body, as text.
        body: String,
    },
    /// It answered with an upgrade that was not asked for.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
}

/// A stream to the host.
pub enum HostStream {
    /// Encrypted, as API servers are.
    Tls(Box<TlsStream<TcpStream>>),
    /// Plain, to a proxy on this machine.
    Plain(BufReader<TcpStream>),
}

/// Connector to the host API server.
pub struct Upstream {
    connector: Connector,
    address: Uri,
    authority: HeaderValue,
    prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    auth: Option<AuthLayer>,
}

/// A stream that both ends have agreed to, and the headers of the answer to the client.
pub struct Agreed {
    /// The stream.
    pub stream: HostStream,
    /// Bytes that the host has sent already.
    pub early: Bytes,
    /// The headers of the answer.
    pub headers: HeaderMap,
}

impl Upstream {
    /// Connects as this configuration says.
    pub fn new(config: &kube::Config) -> anyhow::Result<Self> {
        let url = &config.cluster_url;
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_tls = url.scheme_str() != Some("http");
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = if is_tls {
            let mut tls = config.rustls_client_config()?;
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            let name = config.tls_server_name.clone().unwrap_or_else(|| host.clone());
            Some((TlsConnector::from(Arc::new(tls)), ServerName::try_from(name)?))
        } else {
            None
        };
        Ok(Self {
            authority: HeaderValue::from_str(url.authority().map_or("", |authority| authority.as_str()))?,
            prefix: url.path().trim_end_matches('/').to_owned(),
            connector: Connector::new(config)?,
            address: format!("https://{}:{port}", if host.contains(':') { format!("[{host}]") } else { host })
                .parse()?,
            tls,
            auth: config.auth_layer()?,
        })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<HostStream, UpstreamError> {
        let connect = async {
            let connected = self.connector.clone().oneshot(self.address.clone()).await;
            let stream = connected.map_err(std::io::Error::other)?.into_inner();
            tune(&stream)?;
            match &self.tls {
                Some((tls, name)) => Ok(HostStream::Tls(Box::new(tls.connect(name.clone(), stream).await?))),
                None => Ok(HostStream::Plain(BufReader::with_capacity(LARGEST_BUFFER, stream))),
            }
        };
        match timeout(CONNECT, connect).await {
            Ok(stream) => stream.map_err(UpstreamError::Connect),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }

    /// Asks for an upgrade on a connection, and takes nothing but that upgrade. The
    /// connection is used for nothing else, whatever the answer.
    pub async fn upgrade(&self, stream: HostStream, path: &str, upgrade: &Upgrade) -> Result<Agreed, UpstreamError> {
        let method = if matches!(upgrade, Upgrade::Spdy(_)) { Method::POST } else { Method::GET };
        let mut request = self.request(method, path);
        upgrade.ask(request.headers_mut());
        let answer = self.send(stream, request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(answer).await);
        }
        let headers = upgrade.agree(answer.status(), answer.headers())?;
        let upgraded = hyper::upgrade::on(answer).await.map_err(broken)?;
        let parts = upgraded
            .downcast::<TokioIo<HostStream>>()
            .map_err(|_| UpstreamError::Broken("the stream is not the one that was opened".into()))?;
        Ok(Agreed { stream: parts.io.into_inner(), early: parts.read_buf, headers })
    }

    /// Asks for something that is read to its end.
    pub async fn get(&self, stream: HostStream, path: &str) -> Result<Response<Incoming>, UpstreamError> {
        let mut request = self.request(Method::GET, path);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        let answer = self.send(stream, request).await?;
        if answer.status() == StatusCode::OK { Ok(answer) } else { Err(refused(answer).await) }
    }

    /// Builds a request of our own making: none of its headers comes from a client.
    fn request(&self, method: Method, path: &str) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        // The path was built from checked names; one that is none asks for nothing.
        *request.uri_mut() = format!("{}{path}", self.prefix).parse().unwrap_or_default();
        request.headers_mut().insert(HOST, self.authority.clone());
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(connect::USER_AGENT));
        request
    }

    async fn send(
        &self,
        stream: HostStream,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the host ended with an error");
            }
        });
        // The layer wants to clone what it wraps; the connection still carries one request.
        let once = Once(Arc::new(Mutex::new(Some(sender))));
        let answer = match &self.auth {
            Some(auth) => auth.layer(once).oneshot(request).boxed(),
            None => once.oneshot(request).boxed(),
        };
        match timeout(HEAD, answer).await {
            Ok(answer) => answer.map_err(UpstreamError::Broken),
            Err(_) => Err(UpstreamError::Timeout),
        }
    }
}

/// A connection as a service that answers one request.
#[derive(Clone)]
struct Once(Arc<Mutex<Option<SendRequest<Empty<Bytes>>>>>);

impl tower::Service<Request<Empty<Bytes>>> for Once {
    type Response = Response<Incoming>;
    type Error = BodyError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BodyError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        let sender = self.0.lock().take();
        async move {
            let Some(mut sender) = sender else {
                return Err(BodyError::from("a connection carries one request".to_owned()));
            };
            Ok(sender.send_request(request).await?)
        }
        .boxed()
    }
}

/// Reads an answer that opens no stream. A redirect is one of them, and is not followed.
async fn refused(answer: Response<Incoming>) -> UpstreamError {
    let status = answer.status();
    let body = timeout(HEAD, Limited::new(answer.into_body(), LONGEST_ERROR).collect()).await;
    let bytes = body.ok().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
    UpstreamError::Refused { status, body: String::from_utf8_lossy(&bytes).into_owned() }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> UpstreamError {
    UpstreamError::Broken(Box::new(error))
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            HostStream::Tls($stream) => $call,
            HostStream::Plain($stream) => $call,
        }
    };
}

impl AsyncRead for HostStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncBufRead for HostStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<&[u8]>> {
        each!(self, stream => Pin::new(stream).poll_fill_buf(cx))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        each!(self, stream => Pin::new(stream).consume(amount));
    }
}

impl AsyncWrite for HostStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

//! Proxy between the syncer and one API server.

use std::io;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::network::{Network, RequestFault};
use super::watch;

/// Body of an answer of the proxy.
pub(super) type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// Running proxy. It ends when it is dropped.
pub(super) struct Proxy {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts a proxy on loopback. It sends each request with the identity of `upstream`.
    pub(super) async fn start(upstream: Client, network: Arc<Network>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (upstream, network) = (upstream.clone(), Arc::clone(&network));
                let service = service_fn(move |request| forward(upstream.clone(), Arc::clone(&network), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { url, task })
    }

    /// Returns a kubeconfig that leads to the proxy.
    pub(super) fn kubeconfig(&self) -> String {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        config.to_string()
    }
}

/// Forwards a request. An error closes the connection.
async fn forward(
    upstream: Client,
    network: Arc<Network>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, io::Error> {
    let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true") || query.contains("watch=1"));
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other).map(Collected::to_bytes)?;
    parts.headers.remove(HOST);
    let request = Request::from_parts(parts, body);
    if is_watch {
        let answer = sent(&upstream, &request).await?;
        let (fault, network) = (network.watch_fault(), Arc::clone(&network));
        return Ok(answer.map(|body| watch::events(body, fault, network)));
    }
    match network.request_fault() {
        Some(RequestFault::Drop) => Err(closed()),
        Some(RequestFault::Refuse(code)) => refused(code),
        Some(RequestFault::LoseAnswer) => {
            sent(&upstream, &request).await?;
            Err(closed())
        }
        Some(RequestFault::Truncate) => {
            let (parts, body) = collected(sent(&upstream, &request).await?).await?.into_parts();
            let half = body.slice(..body.len() / 2);
            let frames = stream::iter([Ok(Frame::data(half)), Err(closed())]);
            Ok(Response::from_parts(parts, StreamBody::new(frames).boxed_unsync()))
        }
        Some(RequestFault::Duplicate) => {
            let first = collected(sent(&upstream, &request).await?).await?;
            // The answer to the second one reaches nobody.
            drop(sent(&upstream, &request).await);
            Ok(first.map(whole))
        }
        Some(RequestFault::Delay(time)) => {
            sleep(time).await;
            Ok(sent(&upstream, &request).await?.map(passed))
        }
        None => Ok(sent(&upstream, &request).await?.map(passed)),
    }
}

/// Sends a request to the end, also when the syncer dies meanwhile.
async fn sent(upstream: &Client, request: &Request<Bytes>) -> Result<Response<Body>, io::Error> {
    let (upstream, request) = (upstream.clone(), request.clone().map(|body| Body::from(body.to_vec())));
    let task = tokio::spawn(async move { upstream.send(request).await });
    task.await.map_err(io::Error::other)?.map_err(io::Error::other)
}

async fn collected(answer: Response<Body>) -> Result<Response<Bytes>, io::Error> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

fn passed(body: Body) -> Answer {
    body.map_err(io::Error::other).boxed_unsync()
}

fn whole(bytes: Bytes) -> Answer {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn closed() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Builds the answer of an API server that refuses a request.
fn refused(code: StatusCode) -> Result<Response<Answer>, io::Error> {
    let reason = match code {
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
        "code": code.as_u16(), "reason": reason, "message": "injected by the proxy",
    });
    let mut answer = Response::builder().status(code).header(CONTENT_TYPE, "application/json");
    if code == StatusCode::TOO_MANY_REQUESTS {
        answer = answer.header(RETRY_AFTER, "1");
    }
    answer.body(whole(status.to_string().into())).map_err(io::Error::other)
}

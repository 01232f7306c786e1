//! Connection for one stream. It is open before the clock starts, as every way needs it.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::spdy;
use crate::spot::Spot;

/// Stream after its upgrade.
pub type Raw = TokioIo<Upgraded>;

/// Name of SPDY in the `Upgrade` header.
const SPDY: HeaderValue = HeaderValue::from_static("SPDY/3.1");
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Connection without a request so far.
pub struct Link {
    sender: SendRequest<Empty<Bytes>>,
    host: HeaderValue,
}

impl Link {
    /// Connects.
    pub async fn open(spot: &Spot) -> Result<Self> {
        let stream = TcpStream::connect(spot.address).await?;
        stream.set_nodelay(true)?;
        let stream = spot.tls.connect(spot.name.clone(), stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(Self { sender, host: HeaderValue::from_str(&spot.address.to_string())? })
    }

    /// Upgrades to SPDY with this subprotocol.
    pub async fn spdy(self, path: &str, protocol: &'static str) -> Result<spdy::Pair> {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, SPDY);
        headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
        Ok(spdy::pair(self.upgrade(Method::POST, path, headers).await?))
    }

    /// Upgrades to a WebSocket with this subprotocol.
    pub async fn websocket(self, path: &str, protocol: &'static str) -> Result<WebSocketStream<Raw>> {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        // A fixed key is enough: it protects from caches, and there are none.
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        let raw = self.upgrade(Method::GET, path, headers).await?;
        Ok(WebSocketStream::from_raw_socket(raw, Role::Client, None).await)
    }

    /// Sends a GET whose body is read to its end.
    pub async fn get(self, path: &str) -> Result<Incoming> {
        let answer = self.send(Method::GET, path, HeaderMap::new()).await?;
        expect(answer, StatusCode::OK).await.map(Response::into_body)
    }

    async fn upgrade(self, method: Method, path: &str, mut headers: HeaderMap) -> Result<Raw> {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        let answer = expect(self.send(method, path, headers).await?, StatusCode::SWITCHING_PROTOCOLS).await?;
        Ok(TokioIo::new(hyper::upgrade::on(answer).await?))
    }

    async fn send(mut self, method: Method, path: &str, headers: HeaderMap) -> Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.host).body(Empty::new())?;
        request.headers_mut().extend(headers);
        self.sender.send_request(request).await.with_context(|| path.to_owned())
    }
}

async fn expect(answer: Response<Incoming>, status: StatusCode) -> Result<Response<Incoming>> {
    if answer.status() == status {
        return Ok(answer);
    }
    let found = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    bail!("{found} instead of {status}: {}", String::from_utf8_lossy(&body))
}

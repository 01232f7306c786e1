//! TCP connections to an API server, directly or through an HTTP proxy, with keepalive: a peer that is gone without a
//! word ends them.

use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use kube::Config as KubeConfig;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceExt};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Silence of a connection after which its peer is probed, and the pause between probes that are not answered.
const KEEPALIVE: Duration = Duration::from_secs(30);
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Error of a proxy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The scheme is not HTTP.
    #[error("proxy-url {0}: only http:// is supported")]
    Scheme(String),
    /// The user or the password is no text of a header.
    #[error("proxy-url: the user or the password cannot be sent")]
    User(#[from] http::header::InvalidHeaderValue),
}

/// Connector to an API server.
#[derive(Clone)]
pub enum Connector {
    /// Connects to the API server itself.
    Direct(HttpConnector),
    /// Connects to a proxy, and asks it for the API server.
    Proxy(Tunnel<HttpConnector>),
}

impl Connector {
    /// Connects as this configuration says.
    pub fn new(config: &KubeConfig) -> Result<Self, ProxyError> {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_connect_timeout(Some(CONNECT_LIMIT));
        direct.set_keepalive(Some(KEEPALIVE));
        direct.set_keepalive_interval(Some(PROBE_INTERVAL));
        direct.set_keepalive_retries(Some(PROBES));
        let Some(proxy) = &config.proxy_url else { return Ok(Self::Direct(direct)) };
        let host = proxy.host().unwrap_or_default();
        if proxy.scheme_str() != Some("http") {
            return Err(ProxyError::Scheme(format!("{}://{host}", proxy.scheme_str().unwrap_or_default())));
        }
        let tunnel = Tunnel::new(proxy.clone(), direct);
        let user = proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
        let Some((user, _)) = user else { return Ok(Self::Proxy(tunnel)) };
        let user: Vec<u8> = percent_decode_str(user).collect();
        let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user)))?;
        Ok(Self::Proxy(tunnel.with_auth(value)))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TokioIo<TcpStream>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self.clone() {
            Self::Direct(connector) => Box::pin(async move { Ok(connector.oneshot(to).await?) }),
            Self::Proxy(tunnel) => Box::pin(async move { Ok(tunnel.oneshot(to).await?) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one connection: answers a request for a tunnel like a proxy, and then each byte with itself. Returns the
    /// head.
    async fn serve(listener: TcpListener) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let answer = if head.starts_with("CONNECT ") { "HTTP/1.1 200 OK\r\n\r\n" } else { "direct" };
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    }

    async fn connect(proxy: Option<&str>, to: &str) -> TcpStream {
        let mut config = KubeConfig::new("https://10.0.0.1".parse().unwrap());
        config.proxy_url = proxy.map(|proxy| proxy.parse().unwrap());
        Connector::new(&config).unwrap().oneshot(to.parse().unwrap()).await.unwrap().into_inner()
    }

    fn assert_is_probed(stream: &TcpStream) {
        let socket = SockRef::from(stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
    }

    #[tokio::test]
    async fn a_connection_is_probed_directly_and_behind_a_proxy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(serve(listener));
        let mut stream = connect(None, &format!("https://{address}")).await;
        assert_is_probed(&stream);
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(served.await.unwrap(), "hello");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://us%65r:p%40ss@{}", listener.local_addr().unwrap());
        let served = tokio::spawn(serve(listener));
        let stream = connect(Some(&proxy), "https://10.0.0.1:6443").await;
        assert_is_probed(&stream);
        let head = served.await.unwrap();
        assert!(head.starts_with("CONNECT 10.0.0.1:6443 HTTP/1.1\r\n"), "{head}");
        let user = format!("authorization: basic {}\r\n", STANDARD.encode("user:p@ss").to_lowercase());
        assert!(head.to_lowercase().contains(&format!("proxy-{user}")), "{head}");
    }

    #[test]
    fn a_proxy_of_another_kind_is_an_error_without_its_password() {
        let mut config = KubeConfig::new("https://10.0.0.1".parse().unwrap());
        config.proxy_url = Some("socks5://me:secret@proxy:1080".parse().unwrap());
        let error = Connector::new(&config).err().unwrap().to_string();
        assert_eq!(error, "proxy-url socks5://proxy: only http:// is supported");
    }
}

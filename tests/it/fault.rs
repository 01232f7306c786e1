//! Proxy between the syncer and an API server that sees every write and can kill the
//! syncer before, at and after any of them.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Collected};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use tenet_playground::{Command, Playground};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::{client, configured};

/// Moment at which the syncer dies, relative to one of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the write reaches the server.
    Before,
    /// After the write is applied, before the answer arrives.
    At,
    /// After the answer has arrived.
    After,
}

/// Plan to kill at the `write`-th write (counted over both sides, from 0).
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub write: usize,
    pub moment: Moment,
}

/// Write that passed.
#[derive(Clone, Debug)]
pub struct Seen {
    pub side: &'static str,
    pub method: Method,
    pub path: String,
}

/// State shared by both proxies of one syncer.
#[derive(Default)]
pub struct Script {
    state: Mutex<State>,
    kill: Mutex<Option<mpsc::UnboundedSender<()>>>,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    writes: usize,
    seen: Vec<Seen>,
}

impl Script {
    /// Starts a new count. The receiver gets a message when the syncer has to die.
    pub fn arm(&self, plan: Option<Plan>) -> mpsc::UnboundedReceiver<()> {
        *self.state.lock() = State { plan, ..State::default() };
        let (kill, killed) = mpsc::unbounded_channel();
        *self.kill.lock() = Some(kill);
        killed
    }

    /// Returns the writes since the script was armed.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    fn count(&self, seen: Seen) -> Option<Moment> {
        let mut state = self.state.lock();
        let index = state.writes;
        state.writes += 1;
        state.seen.push(seen);
        state.plan.filter(|plan| plan.write == index).map(|plan| plan.moment)
    }

    fn kill(&self) {
        if let Some(kill) = &*self.kill.lock() {
            let _ = kill.send(());
        }
    }
}

/// Running proxy.
pub struct Proxy {
    /// URL of the proxy.
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts a proxy in front of the server of `upstream`, whose identity every request gets.
    pub async fn start(side: &'static str, upstream: Client, script: Arc<Script>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (upstream, script) = (upstream.clone(), Arc::clone(&script));
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| forward(side, upstream.clone(), Arc::clone(&script), request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { url, task })
    }

    /// Returns a kubeconfig that leads to the proxy.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: proxy\n\
             clusters: [{{name: proxy, cluster: {{server: \"{}\"}}}}]\n\
             users: [{{name: proxy, user: {{}}}}]\n\
             contexts: [{{name: proxy, context: {{cluster: proxy, user: proxy}}}}]\n",
            self.url
        )
    }
}

/// Returns the command of a syncer that talks to both servers through proxies.
pub async fn proxied_syncer(playground: &Playground, script: &Arc<Script>) -> Result<(Command, [Proxy; 2])> {
    let start = async |side, kubeconfig| Proxy::start(side, client(kubeconfig).await?, Arc::clone(script)).await;
    let proxies = [
        start("host", playground.syncer_host_kubeconfig()).await?,
        start("virtual", playground.syncer_virtual_kubeconfig()).await?,
    ];
    let mut command = configured(playground);
    for (side, proxy) in ["host", "virtual"].into_iter().zip(&proxies) {
        let kubeconfig = playground.dir().join(format!("proxy-{side}.kubeconfig"));
        std::fs::write(&kubeconfig, proxy.kubeconfig())?;
        command = command.arg(format!("--{side}-kubeconfig")).arg(kubeconfig);
    }
    Ok((command, proxies))
}

async fn forward(
    side: &'static str,
    upstream: Client,
    script: Arc<Script>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let is_write = !matches!(*request.method(), Method::GET | Method::HEAD);
    let is_dry = request.uri().query().is_some_and(|query| query.contains("dryRun"));
    let moment = (is_write && !is_dry)
        .then(|| Seen { side, method: request.method().clone(), path: request.uri().path().to_owned() })
        .and_then(|seen| script.count(seen));
    if moment == Some(Moment::Before) {
        script.kill();
        return std::future::pending().await;
    }
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    parts.headers.remove(http::header::HOST);
    // A request that was sent stays sent, even when the syncer dies meanwhile.
    let sent = tokio::spawn(async move { upstream.send(Request::from_parts(parts, Body::from(body.to_vec()))).await });
    let answer = sent.await.unwrap_or_else(|error| Err(kube::Error::Service(error.into())));
    if moment == Some(Moment::At) {
        script.kill();
        return std::future::pending().await;
    }
    if moment == Some(Moment::After) {
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            script.kill();
        });
    }
    Ok(answer.unwrap_or_else(|error| {
        let mut refused = Response::new(Body::from(error.to_string().into_bytes()));
        *refused.status_mut() = http::StatusCode::BAD_GATEWAY;
        refused
    }))
}

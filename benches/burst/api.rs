//! Raw requests to one API server, with the settings of the syncer's own client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use http::{Method, Request};
use kube::api::WatchEvent;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

/// Number of requests in flight, equal to the number of the syncer's workers.
pub const IN_FLIGHT: usize = 32;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// Client of one API server for one user.
#[derive(Clone)]
pub struct Api {
    client: Client,
    permits: Arc<Semaphore>,
}

impl Api {
    /// Creates a client from a kubeconfig.
    pub async fn new(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.read_timeout = None;
        config.write_timeout = None;
        config.disable_compression = true;
        Ok(Self { client: Client::try_from(config)?, permits: Arc::new(Semaphore::new(IN_FLIGHT)) })
    }

    /// Sends GET to a path.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, JSON, &Value::Null).await
    }

    /// Sends POST to a path.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, JSON, body).await
    }

    /// Sends a merge patch to a path.
    pub async fn merge(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PATCH, path, MERGE, body).await
    }

    /// Sends DELETE to a path.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value> {
        self.call(Method::DELETE, path, JSON, options).await
    }

    /// Starts a watch of a collection at its current version.
    pub async fn watch(&self, path: &str, selector: &str) -> Result<Watch> {
        let list = self.get(&format!("{path}?limit=1&labelSelector={selector}")).await?;
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        let path = format!("{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds=7200&labelSelector={selector}");
        Ok(Watch { client: self.client.clone(), path, version })
    }

    /// Sums the series of a counter of the API server.
    pub async fn counter(&self, name: &str) -> Result<f64> {
        let text = self.client.request_text(Request::get("/metrics").body(Vec::new())?).await?;
        let series =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    async fn call(&self, method: Method, path: &str, mime: &str, body: &Value) -> Result<Value> {
        let request_line = || format!("{method} {path}");
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let request = Request::builder().method(method.clone()).uri(path).header(http::header::CONTENT_TYPE, mime);
        let request = request.body(bytes).with_context(request_line)?;
        let _permit = self.permits.acquire().await?;
        self.client.request(request).await.with_context(request_line)
    }
}

/// Watch of a collection. An API server closes watches that it finds too slow, in a burst after only a
/// fraction of a second; the next watch then resumes at the last version.
pub struct Watch {
    client: Client,
    path: String,
    version: String,
}

/// Object with a resource version.
pub trait Versioned: Clone + DeserializeOwned + Send + 'static {
    /// Returns the resource version.
    fn version(&self) -> &str;
}

impl Versioned for Value {
    fn version(&self) -> &str {
        self.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Type of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Object added.
    Added,
    /// Object changed.
    Changed,
    /// Object deleted.
    Gone,
}

impl Watch {
    /// Passes on every change until an error ends the watch, and returns that error.
    pub async fn run<T: Versioned>(mut self, mut take: impl FnMut(Change, T) + Send) -> anyhow::Error {
        loop {
            if let Err(error) = self.follow(&mut take).await {
                return error.context(self.path);
            }
        }
    }

    async fn follow<T: Versioned>(&mut self, take: &mut (impl FnMut(Change, T) + Send)) -> Result<()> {
        let request = Request::get(format!("{}&resourceVersion={}", self.path, self.version)).body(Vec::new())?;
        let mut events = std::pin::pin!(self.client.request_events::<T>(request).await?);
        while let Some(event) = events.try_next().await? {
            let (what, object) = match event {
                WatchEvent::Added(object) => (Change::Added, object),
                WatchEvent::Modified(object) => (Change::Changed, object),
                WatchEvent::Deleted(object) => (Change::Gone, object),
                WatchEvent::Bookmark(mark) => {
                    self.version = mark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(status) => bail!("{status}"),
            };
            object.version().clone_into(&mut self.version);
            take(what, object);
        }
        Ok(())
    }
}

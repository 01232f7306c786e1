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

/// As many requests in flight as the syncer has workers.
pub const IN_FLIGHT: usize = 32;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// One API server, as one user.
#[derive(Clone)]
pub struct Api {
    client: Client,
    permits: Arc<Semaphore>,
}

impl Api {
    /// The API server of a kubeconfig.
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

    /// Reads a path.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, JSON, &Value::Null).await
    }

    /// Posts to a path.
    pub async fn create(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, JSON, body).await
    }

    /// Changes a part of an object.
    pub async fn merge(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PATCH, path, MERGE, body).await
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value> {
        self.call(Method::DELETE, path, JSON, options).await
    }

    /// Begins to follow a collection: what changes from now on is seen.
    pub async fn watch(&self, path: &str, selector: &str) -> Result<Watch> {
        let list = self.get(&format!("{path}?limit=1&labelSelector={selector}")).await?;
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        let path = format!("{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds=7200&labelSelector={selector}");
        Ok(Watch { client: self.client.clone(), path, version })
    }

    /// The sum of the series of a counter of the API server.
    pub async fn counter(&self, name: &str) -> Result<f64> {
        let text = self.client.request_text(Request::get("/metrics").body(Vec::new())?).await?;
        let series =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    async fn call(&self, method: Method, path: &str, mime: &str, body: &Value) -> Result<Value> {
        let place = || format!("{method} {path}");
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let request = Request::builder().method(method.clone()).uri(path).header(http::header::CONTENT_TYPE, mime);
        let request = request.body(bytes).with_context(place)?;
        let _permit = self.permits.acquire().await?;
        self.client.request(request).await.with_context(place)
    }
}

/// A collection that is followed. An API server closes watches that it finds too slow, in a burst also after a
/// fraction of a second; then the next one begins where the last one ended.
pub struct Watch {
    client: Client,
    path: String,
    version: String,
}

/// An object that says which version it is.
pub trait Versioned: Clone + DeserializeOwned + Send + 'static {
    /// Its resource version.
    fn version(&self) -> &str;
}

impl Versioned for Value {
    fn version(&self) -> &str {
        self.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It is not as it was.
    Changed,
    /// It is gone.
    Gone,
}

impl Watch {
    /// Hands over every change, for ever; answers with the error that ends it.
    pub async fn run<T: Versioned>(mut self, mut take: impl FnMut(What, T) + Send) -> anyhow::Error {
        loop {
            if let Err(error) = self.follow(&mut take).await {
                return error.context(self.path);
            }
        }
    }

    async fn follow<T: Versioned>(&mut self, take: &mut (impl FnMut(What, T) + Send)) -> Result<()> {
        let request = Request::get(format!("{}&resourceVersion={}", self.path, self.version)).body(Vec::new())?;
        let mut events = std::pin::pin!(self.client.request_events::<T>(request).await?);
        while let Some(event) = events.try_next().await? {
            let (what, object) = match event {
                WatchEvent::Added(object) => (What::Added, object),
                WatchEvent::Modified(object) => (What::Changed, object),
                WatchEvent::Deleted(object) => (What::Gone, object),
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

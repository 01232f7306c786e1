//! Raw requests to one API server, with the settings of the syncer's own client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
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

    /// Follows a collection from now on.
    pub async fn watch<T>(&self, path: &str, selector: &str) -> Result<Changes<T>>
    where
        T: Clone + DeserializeOwned + Send + 'static,
    {
        let list = self.get(&format!("{path}?limit=1&labelSelector={selector}")).await?;
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        let watch = format!("{path}?watch=1&timeoutSeconds=7200&labelSelector={selector}&resourceVersion={version}");
        let request = Request::get(watch).body(Vec::new())?;
        let events = self.client.request_events::<T>(request).await?;
        Ok(events.boxed())
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

/// The changes of a collection.
pub type Changes<T> = futures::stream::BoxStream<'static, kube::Result<WatchEvent<T>>>;

//! Raw requests to one cluster.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(50);

/// Client of one cluster.
#[derive(Clone)]
pub struct Cluster {
    pub name: &'static str,
    pub client: Client,
}

impl Cluster {
    pub fn new(name: &'static str, client: Client) -> Self {
        Self { name, client }
    }

    /// Returns the object at a path; `None` when it is absent.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        match self.call(Method::GET, path, "application/json", None).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{}: GET {path}", self.name)),
        }
    }

    /// Returns the items of a collection.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let list = self.get(path).await?.with_context(|| format!("{}: no collection {path}", self.name))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    pub async fn create(&self, path: &str, object: Value) -> Result<Value> {
        let call = self.call(Method::POST, path, "application/json", Some(&object)).await;
        call.with_context(|| format!("{}: POST {path}", self.name))
    }

    pub async fn patch(&self, path: &str, change: Value) -> Result<Value> {
        let call = self.call(Method::PATCH, path, "application/merge-patch+json", Some(&change)).await;
        call.with_context(|| format!("{}: PATCH {path}", self.name))
    }

    /// Sends a patch that merges lists by their keys, as kubectl does.
    pub async fn merge(&self, path: &str, change: Value) -> Result<Value> {
        let call = self.call(Method::PATCH, path, "application/strategic-merge-patch+json", Some(&change)).await;
        call.with_context(|| format!("{}: PATCH {path}", self.name))
    }

    /// Replaces an object (PUT).
    pub async fn replace(&self, path: &str, object: Value) -> Result<Value> {
        let call = self.call(Method::PUT, path, "application/json", Some(&object)).await;
        call.with_context(|| format!("{}: PUT {path}", self.name))
    }

    /// Sends a server-side apply.
    pub async fn apply(&self, path: &str, object: Value) -> Result<Value> {
        let path = format!("{path}?fieldManager=test&force=true");
        let call = self.call(Method::PATCH, &path, "application/apply-patch+yaml", Some(&object)).await;
        call.with_context(|| format!("{}: APPLY {path}", self.name))
    }

    /// Deletes an object, or every object of a collection, in the background.
    pub async fn delete(&self, path: &str, options: Value) -> Result<()> {
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        for (key, value) in options.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        match self.call(Method::DELETE, path, "application/json", Some(&body)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).with_context(|| format!("{}: DELETE {path}", self.name)),
        }
    }

    /// Waits until `good` accepts the object at a path; absent objects are `Null`.
    pub async fn until(&self, path: &str, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = match self.get(path).await {
                // The server answers 503 for an aggregated API that is registered and not yet checked.
                Err(error) if is_unavailable(&error) => Value::Null,
                found => found?.unwrap_or(Value::Null),
            };
            if good(&found) {
                return Ok(found);
            }
            if Instant::now() > end {
                bail!("{} {path}: not {what} after {PATIENCE:?}; found {found:#}", self.name);
            }
            sleep(TICK).await;
        }
    }

    pub async fn until_gone(&self, path: &str) -> Result<()> {
        self.until(path, "gone", Value::is_null).await.map(drop)
    }

    /// Waits until `good` accepts a collection.
    pub async fn until_list(&self, path: &str, what: &str, good: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
        self.until(path, what, |list| good(&items(list))).await.map(|list| items(&list))
    }

    /// Returns the first state of an object after `before` that `good` accepts, even if it has passed.
    pub async fn first_since(&self, before: &Value, collection: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
        let metadata = &before["metadata"];
        let (name, version) = (name(before), metadata["resourceVersion"].as_str().unwrap_or_default());
        let path = format!(
            "{collection}?watch=true&timeoutSeconds=60&fieldSelector=metadata.name={name}&resourceVersion={version}"
        );
        let mut lines = self.client.request_stream(Request::get(&path).body(Vec::new())?).await?.lines();
        while let Some(line) = lines.try_next().await? {
            let event: Value = serde_json::from_str(&line)?;
            if good(&event["object"]) {
                return Ok(event["object"].clone());
            }
        }
        bail!("{} {path}: the watch ended", self.name)
    }

    async fn call(&self, method: Method, path: &str, mime: &str, body: Option<&Value>) -> Result<Value, kube::Error> {
        let bytes = body.map(|body| serde_json::to_vec(body).expect("JSON")).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", mime).body(bytes);
        self.client.request(request.expect("a request")).await
    }
}

fn is_unavailable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kube::Error::Api(status)) if status.code == 503)
}

/// Returns `metadata.name`.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Returns a pod's phase; `Running` only when it is ready and not being deleted.
pub fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

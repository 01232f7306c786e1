//! Requests past the proxies.

use anyhow::{Context as _, Result};
use http::{Method, Request};
use kube::Client;
use serde_json::Value;

/// Sends a request, and returns the object of the answer.
pub(super) async fn call(client: &Client, method: Method, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body);
    client.request(request.map_err(kube::Error::HttpError)?).await
}

/// Returns the objects of a collection.
pub(super) async fn list(client: &Client, path: &str) -> Result<Vec<Value>> {
    let mut list = call(client, Method::GET, path, &Value::Null).await.with_context(|| format!("GET {path}"))?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// Returns a string of an object, or an empty one.
pub(super) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns `NAMESPACE/NAME`.
pub(super) fn name(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

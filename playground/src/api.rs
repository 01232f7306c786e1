//! API calls of a playground.

use http::{Method, Request, StatusCode};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

/// Error of a call to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// No client can be created.
    #[error("cannot create a client for the API server")]
    Client(#[source] kube::Error),
    /// The request cannot be built.
    #[error("invalid API path {path}")]
    Path {
        /// API path.
        path: String,
        /// Cause.
        source: http::Error,
    },
    /// The API server refused the request.
    #[error("{method} {path} was rejected: {message} ({code})")]
    Refused {
        /// HTTP method.
        method: Method,
        /// API path.
        path: String,
        /// HTTP status code.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// The API server sent no answer.
    #[error("no answer to {method} {path}")]
    Call {
        /// HTTP method.
        method: Method,
        /// API path.
        path: String,
        /// Cause.
        source: kube::Error,
    },
}

/// Creates a client from a kubeconfig.
pub(crate) async fn client(kubeconfig: &str) -> Result<Client, ApiError> {
    // Two crypto providers may be compiled in, so rustls needs an explicit default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let parsed = Kubeconfig::from_yaml(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
    // No retries below us: a POST sent twice by a library would falsify what a test observes.
    config.default_retry = false;
    Client::try_from(config).map_err(ApiError::Client)
}

/// Reads an object. Returns `None` when it does not exist.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Option<Value>, ApiError> {
    match call(client, Method::GET, path, "application/json", Vec::new()).await {
        Err(ApiError::Refused { code, .. }) if code == StatusCode::NOT_FOUND.as_u16() => Ok(None),
        other => other.map(Some),
    }
}

/// Creates or updates an object by server-side apply.
pub(crate) async fn apply(client: &Client, path: &str, object: &Value) -> Result<(), ApiError> {
    let path = format!("{path}?fieldManager=tenet-playground&force=true");
    let body = object.to_string().into_bytes();
    call(client, Method::PATCH, &path, "application/apply-patch+yaml", body).await.map(drop)
}

/// Deletes an object. One that is gone already is no error.
pub(crate) async fn delete(client: &Client, path: &str) -> Result<(), ApiError> {
    match call(client, Method::DELETE, path, "application/json", Vec::new()).await {
        Err(ApiError::Refused { code, .. }) if code == StatusCode::NOT_FOUND.as_u16() => Ok(()),
        other => other.map(drop),
    }
}

/// Returns true if the API server reports ready.
pub(crate) async fn is_ready(client: &Client) -> bool {
    match request(Method::GET, "/readyz", "application/json", Vec::new()) {
        Ok(request) => client.request_text(request).await.is_ok_and(|text| text == "ok"),
        Err(_) => false,
    }
}

async fn call(client: &Client, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Result<Value, ApiError> {
    let request = request(method.clone(), path, kind, body)?;
    let path = path.to_owned();
    client.request(request).await.map_err(|error| match error {
        kube::Error::Api(status) => {
            ApiError::Refused { method, path, code: status.code, message: status.message.clone() }
        }
        source => ApiError::Call { method, path, source },
    })
}

fn request(method: Method, path: &str, kind: &str, body: Vec<u8>) -> Result<Request<Vec<u8>>, ApiError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, kind)
        .body(body)
        .map_err(|source| ApiError::Path { path: path.to_owned(), source })
}

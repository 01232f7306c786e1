//! The few API calls that a playground makes.

use http::{Method, Request, StatusCode};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

/// Why a call of ours to an API server did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The kubeconfig makes no client.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The client cannot be made.
    #[error("there is no client for the API server")]
    Client(#[source] kube::Error),
    /// The request could not be built.
    #[error("{path} is no path of an API")]
    Path {
        /// The path.
        path: String,
        /// Why.
        source: http::Error,
    },
    /// The server refused.
    #[error("{method} {path}: {message} ({code})")]
    Refused {
        /// What was asked for.
        method: Method,
        /// The path.
        path: String,
        /// The HTTP status.
        code: u16,
        /// Why, in its words.
        message: String,
    },
    /// The server did not answer.
    #[error("{method} {path}")]
    Call {
        /// What was asked for.
        method: Method,
        /// The path.
        path: String,
        /// Why.
        source: kube::Error,
    },
}

/// A client that follows a kubeconfig.
pub(crate) async fn client(kubeconfig: &str) -> Result<Client, ApiError> {
    // Two providers could be compiled in; rustls wants to be told.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let parsed = Kubeconfig::from_yaml(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
    // Retries are ours: a POST that is sent twice by a library is not what a test asked for.
    config.default_retry = false;
    Client::try_from(config).map_err(ApiError::Client)
}

/// Reads an object; none when it does not exist.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Option<Value>, ApiError> {
    match call(client, Method::GET, path, "application/json", Vec::new()).await {
        Err(ApiError::Refused { code, .. }) if code == StatusCode::NOT_FOUND.as_u16() => Ok(None),
        other => other.map(Some),
    }
}

/// Creates or changes an object, by server-side apply.
pub(crate) async fn apply(client: &Client, path: &str, object: &Value) -> Result<(), ApiError> {
    let path = format!("{path}?fieldManager=tenet-playground&force=true");
    let body = object.to_string().into_bytes();
    call(client, Method::PATCH, &path, "application/apply-patch+yaml", body).await.map(drop)
}

/// Whether the API server says that it is ready.
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

//! Requests to a host API server, with JSON as objects and errors that name the request.

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

/// Error of a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API server rejected the request.
    #[error("{method} {path}: {message} ({code})")]
    Rejected {
        /// HTTP method.
        method: Method,
        /// API path.
        path: String,
        /// HTTP status code.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// The API server did not answer.
    #[error("{method} {path}: no answer from the API server")]
    NoAnswer {
        /// HTTP method.
        method: Method,
        /// API path.
        path: String,
        /// Cause.
        source: kube::Error,
    },
    /// The path is no URI.
    #[error("{path:?} is not an API path")]
    Path {
        /// The path.
        path: String,
        /// Cause.
        source: http::Error,
    },
}

impl ApiError {
    /// Returns the HTTP status code of a rejected request.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Rejected { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Client of one API server.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    /// Creates a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the underlying client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the object at a path; `None` if it does not exist.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        match self.call(Method::GET, path, "application/json", None).await {
            Err(error) if error.code() == Some(404) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Returns the items of a collection.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, ApiError> {
        let mut list = self.call(Method::GET, path, "application/json", None).await?;
        Ok(match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
    }

    /// Creates an object in a collection (POST).
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.call(Method::POST, path, "application/json", Some(object)).await
    }

    /// Changes an object by a merge patch.
    pub async fn merge(&self, path: &str, change: &Value) -> Result<Value, ApiError> {
        self.call(Method::PATCH, path, "application/merge-patch+json", Some(change)).await
    }

    /// Creates or changes an object by a server-side apply.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.call(Method::PATCH, path, "application/apply-patch+yaml", Some(object)).await
    }

    /// Deletes an object. Returns false if it does not exist.
    pub async fn delete(&self, path: &str, options: &Value) -> Result<bool, ApiError> {
        match self.call(Method::DELETE, path, "application/json", Some(options)).await {
            Err(error) if error.code() == Some(404) => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Deletes an object that has this UID. Returns false if it does not exist; another object of the name is an error 409.
    pub async fn delete_one(&self, path: &str, uid: &Value) -> Result<bool, ApiError> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        self.delete(path, &options).await
    }

    async fn call(&self, method: Method, path: &str, mime: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let bytes = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let request = Request::builder().method(method.clone()).uri(path).header(http::header::CONTENT_TYPE, mime);
        let request = request.body(bytes).map_err(|source| ApiError::Path { path: path.to_owned(), source })?;
        let path = path.to_owned();
        self.client.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) => {
                ApiError::Rejected { method, path, code: status.code, message: status.message.clone() }
            }
            source => ApiError::NoAnswer { method, path, source },
        })
    }
}

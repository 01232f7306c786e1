//! Requests to one API server. Only the gate, the informers and single reads use it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenet_mapper::Kind;
use thiserror::Error;
use tokio::time::timeout;

use crate::claim::ClaimError;
use crate::unmanaged::Unmanaged;

/// Reason why a request was not served.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The server answered with an error.
    #[error("{message}")]
    Status {
        /// The HTTP status.
        code: StatusCode,
        /// The machine-readable reason: `AlreadyExists`.
        reason: String,
        /// The server's words.
        message: String,
        /// Time that the server asks us to wait.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The request could not be sent, or the answer not be read.
    #[error("{0}")]
    Transport(String),
    /// The request was not sent: the claim of the two clusters permits no write.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The write was not sent: another replica may hold the lease.
    #[error("this replica does not hold the lease")]
    NotHeld,
}

impl ApiError {
    /// The HTTP status, if there was an answer.
    pub fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Returns true if a concurrent write won: the object exists, or has another version.
    ///
    /// A patch that names the UID of an earlier object of the name is answered with 422, not with 409.
    pub fn is_lost_race(&self) -> bool {
        match self {
            Self::Status { code: StatusCode::CONFLICT, .. } => true,
            Self::Status { code: StatusCode::UNPROCESSABLE_ENTITY, message, .. } => {
                message.contains("metadata.uid: Invalid value: ") && message.contains("field is immutable")
            }
            _ => false,
        }
    }

    /// Returns true if the object itself is absent: the server knows the resource and reports the object missing.
    /// A 404 of a proxy, or of a server that does not yet serve the API group, is not that.
    pub fn is_object_absent(&self) -> bool {
        matches!(self, Self::Status { code: StatusCode::NOT_FOUND, reason, message, .. }
            if reason == "NotFound" && message.contains('"'))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusBody {
    reason: String,
    message: String,
    details: StatusDetails,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: u64,
}

/// Media type of an object of which only the metadata is wanted.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// Media type of a list of which only the metadata of the objects is wanted.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Bytes of most bodies of requests.
const BODY: usize = 2048;
/// Number of objects in a page.
const PAGE: u32 = 500;

#[derive(Deserialize)]
struct MetadataList {
    metadata: ListMeta,
    /// `null` when the list is empty.
    items: Option<Vec<ListedObject>>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct ListedObject {
    metadata: ObjectMeta,
}

/// Metadata of an object in a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub struct ObjectMeta {
    /// Its namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Its name.
    pub name: String,
    resource_version: String,
}

impl ObjectMeta {
    /// The resource version as a number, which can be compared with others of the kind.
    pub fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }
}

/// One page of a collection.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// A label selector.
    pub selector: Option<String>,
    /// A field selector.
    pub fields: Option<String>,
    /// The token that the page before has returned.
    pub next: Option<String>,
}

impl Page {
    fn query(&self) -> String {
        let parameter = |name: &str, value: &Option<String>| {
            let value = value.as_deref().map(|value| utf8_percent_encode(value, NON_ALPHANUMERIC));
            value.map(|value| format!("&{name}={value}")).unwrap_or_default()
        };
        let (selector, next) = (parameter("labelSelector", &self.selector), parameter("continue", &self.next));
        let fields = parameter("fieldSelector", &self.fields);
        format!("limit={PAGE}{selector}{fields}{next}")
    }
}

/// One object, as a list from a quorum shows it.
#[derive(Debug)]
pub struct Sought {
    /// The object; `None` when the store does not have it.
    pub object: Option<Value>,
    /// Revision of the store; 0 when the server does not send it.
    pub revision: u64,
}

impl Sought {
    /// Reads the answer for the path [`Target::list_path`].
    pub fn read(target: &Target<'_>, mut list: Value) -> Result<Self, ApiError> {
        let revision = revision(&list);
        let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) else {
            return Err(ApiError::Transport(format!("the list of {} has no items", target.kind)));
        };
        let is_it = |item: &Value| item.pointer("/metadata/name").and_then(Value::as_str) == Some(target.name);
        Ok(Self { object: items.into_iter().find(is_it), revision })
    }
}

/// Returns the revision of the store that a list shows; 0 when it has none.
pub fn revision(list: &Value) -> u64 {
    let revision = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    revision.and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// One API server.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

/// Format of the body of a patch.
#[derive(Clone, Copy, Debug)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// By key, as Kubernetes does.
    Strategic,
}

impl PatchType {
    fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

/// Path of an object.
#[derive(Clone, Debug)]
pub struct Target<'t> {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a cluster-scoped object.
    pub namespace: &'t str,
    /// Its name.
    pub name: &'t str,
    /// A subresource.
    pub subresource: Option<&'t str>,
    /// True for a dry run: nothing is stored.
    pub dry_run: bool,
    /// Name under which the API server records who writes; `None` for its own choice.
    pub manager: Option<&'static str>,
}

impl<'t> Target<'t> {
    /// An object.
    pub fn new(kind: Kind, namespace: &'t str, name: &'t str) -> Self {
        Self { kind, namespace, name, subresource: None, dry_run: false, manager: None }
    }

    /// Sets the name under which the API server records who writes.
    #[must_use]
    pub fn managed_by(self, manager: Option<&'static str>) -> Self {
        Self { manager, ..self }
    }

    /// A subresource of the object.
    #[must_use]
    pub fn subresource(self, subresource: Option<&'t str>) -> Self {
        Self { subresource, ..self }
    }

    /// Makes the request a dry run, or not.
    #[must_use]
    pub fn dry(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Parses the answer to a write. The managed fields are wanted of a dry run only: they distinguish defaults from
    /// values that admission adds.
    fn answer(&self, body: &[u8]) -> Result<Value, ApiError> {
        if self.dry_run { parse(body) } else { parse(body).map(|Unmanaged(object)| object) }
    }

    fn query(&self) -> String {
        let dry_run = self.dry_run.then(|| "dryRun=All".to_owned());
        let manager = self.manager.map(|manager| format!("fieldManager={manager}"));
        let all: Vec<_> = dry_run.into_iter().chain(manager).collect();
        if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) }
    }

    /// Returns the path of the list that contains this object alone. Unlike a read of the object it has the revision of
    /// the store, also when the object is absent.
    pub fn list_path(&self) -> String {
        let name = utf8_percent_encode(self.name, NON_ALPHANUMERIC);
        format!("{}?fieldSelector=metadata.name%3D{name}", self.kind.path(self.namespace))
    }

    fn path(&self) -> String {
        let object = format!("{}/{}", self.kind.path(self.namespace), self.name);
        match self.subresource {
            Some(subresource) => format!("{object}/{subresource}"),
            None => object,
        }
    }
}

impl Api {
    /// An API server behind a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, for informers.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Reads one object, from a quorum. `None` when the server says that it is absent.
    pub async fn get(&self, target: &Target<'_>, limit: Duration) -> Result<Option<Value>, ApiError> {
        match self.get_whole(target, limit).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_object_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one object, from a quorum; absence is an error.
    pub async fn get_whole(&self, target: &Target<'_>, limit: Duration) -> Result<Value, ApiError> {
        parse(&self.call(Method::GET, &target.path(), None, limit).await?)
    }

    /// Reads the metadata of one object, from a quorum. `None` when the server says that it is absent.
    pub async fn get_metadata(&self, target: &Target<'_>, limit: Duration) -> Result<Option<Value>, ApiError> {
        let path = target.path();
        let call = self.request(Method::GET, &path, METADATA, None);
        match timeout(limit, call).await.map_err(|_| ApiError::Timeout(limit))? {
            Ok(answer) => Ok(Some(parse(&answer)?)),
            Err(error) if error.is_object_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads any path.
    pub async fn get_path(&self, path: &str, limit: Duration) -> Result<Value, ApiError> {
        parse(&self.call(Method::GET, path, None, limit).await?)
    }

    /// Reads a page of the metadata of a collection, from a quorum. Returns the token of the next page, if there
    /// is one.
    pub async fn list_metadata(
        &self,
        kind: Kind,
        namespace: &str,
        page: &Page,
        limit: Duration,
    ) -> Result<(Vec<ObjectMeta>, Option<String>), ApiError> {
        let path = format!("{}?{}", kind.path(namespace), page.query());
        let call = self.request(Method::GET, &path, METADATA_LIST, None);
        let answer = timeout(limit, call).await.map_err(|_| ApiError::Timeout(limit))??;
        let list: MetadataList = parse(&answer)?;
        let next = list.metadata.next.filter(|next| !next.is_empty());
        Ok((list.items.into_iter().flatten().map(|item| item.metadata).collect(), next))
    }

    /// Creates an object, or, with a subresource, posts to it.
    pub async fn create(&self, target: &Target<'_>, object: &Value, limit: Duration) -> Result<Value, ApiError> {
        let path = match target.subresource {
            Some(_) => target.path(),
            None => target.kind.path(target.namespace),
        };
        let path = path + &target.query();
        target.answer(&self.call(Method::POST, &path, Some(("application/json", object)), limit).await?)
    }

    /// Changes an object.
    pub async fn patch(
        &self,
        target: &Target<'_>,
        kind: PatchType,
        patch: &Value,
        limit: Duration,
    ) -> Result<Value, ApiError> {
        let address = target.path() + &target.query();
        target.answer(&self.call(Method::PATCH, &address, Some((kind.mime(), patch)), limit).await?)
    }

    /// Deletes an object.
    pub async fn delete(&self, target: &Target<'_>, options: &Value, limit: Duration) -> Result<Value, ApiError> {
        target.answer(&self.call(Method::DELETE, &target.path(), Some(("application/json", options)), limit).await?)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
        limit: Duration,
    ) -> Result<Bytes, ApiError> {
        match timeout(limit, self.request(method, path, "application/json", body)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Timeout(limit)),
        }
    }

    /// Sends a request. Returns the body of a good answer.
    async fn request(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Bytes, ApiError> {
        let mut request = Request::builder().method(method).uri(path).header(http::header::ACCEPT, accept);
        let mut bytes = Vec::new();
        if let Some((mime, value)) = body {
            request = request.header(http::header::CONTENT_TYPE, mime);
            bytes.reserve(BODY);
            serde_json::to_writer(&mut bytes, value).map_err(|error| ApiError::Transport(error.to_string()))?;
        }
        let request = request.body(Body::from(bytes)).map_err(|error| ApiError::Transport(error.to_string()))?;
        self.exchange(request).await
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Bytes, ApiError> {
        let transport = |error: &dyn std::error::Error| ApiError::Transport(chain(error));
        let answer = self.client.send(request).await.map_err(|error| transport(&error))?;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.map_err(|error| transport(&error))?.to_bytes();
        if parts.status.is_success() {
            return Ok(bytes);
        }
        let status: StatusBody = serde_json::from_slice(&bytes).unwrap_or_default();
        let header = parts.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let seconds = header.unwrap_or(status.details.retry_after_seconds);
        Err(ApiError::Status {
            code: parts.status,
            message: if status.message.is_empty() { format!("HTTP {}", parts.status) } else { status.message },
            reason: status.reason,
            retry_after: (seconds > 0).then(|| Duration::from_secs(seconds)),
        })
    }
}

/// Parses the body of an answer. It may hold a Secret, so the error names the position, never the content.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::Transport(format!("the answer is no JSON at line {} column {}", error.line(), error.column()))
    })
}

/// Returns an error with its causes, as one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

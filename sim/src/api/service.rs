//! HTTP service of a cluster: what a `kube::Client` talks to.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Collected};
use hyper::body::{Body as HttpBody, Frame};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::Service;

use super::discovery;
use super::object::bytes_of;
use super::request::{Request, RequestOptions, ResourceRoute, Route, Verb, resource_of, route, verb};
use super::server::{Answer, Content, State};
use super::status::Status;
use super::watch::Watch;

/// HTTP service of a cluster for one user.
#[derive(Clone)]
pub struct ApiService {
    state: Arc<Mutex<State>>,
    user: Arc<str>,
}

/// Body of an answer. Each frame of a watch holds whole lines.
pub struct ApiBody(Kind);

enum Kind {
    Once(Option<Bytes>),
    Watch(Box<Watch>),
}

impl From<Bytes> for ApiBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Once(Some(bytes)))
    }
}

impl HttpBody for ApiBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Once(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Watch(watch) => watch.poll_line(cx).map(|line| line.map(|line| Ok(Frame::data(line)))),
        }
    }
}

impl ApiService {
    pub(super) fn new(state: Arc<Mutex<State>>, user: &str) -> Self {
        Self { state, user: Arc::from(user) }
    }

    /// Answers an HTTP request.
    pub fn answer(&self, request: http::Request<Body>) -> Response<ApiBody> {
        let (parts, body) = request.into_parts();
        // The body of a client is in memory, so it is read without waiting.
        let body = body.collect().now_or_never().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
        self.answer_to(&parts, &body)
    }

    /// Answers the head and the body of an HTTP request.
    pub fn answer_to(&self, parts: &Parts, body: &Bytes) -> Response<ApiBody> {
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        match route(path) {
            Route::Object(route) => match self.read(&route, query, parts, body) {
                Ok(Some(request)) => self.perform(&request),
                Ok(None) => self.unknown(&route),
                Err(status) => refusal(&status),
            },
            other => {
                let text = discovery::answer(&self.state.lock(), &other);
                text.map_or_else(page_not_found, |text| response(200, "application/json", text))
            }
        }
    }

    fn perform(&self, request: &Request) -> Response<ApiBody> {
        let mut state = self.state.lock();
        match state.handle(request) {
            Ok(Answer { code, content }) => match content {
                Content::Object(object) => response(code, "application/json", object.text()),
                Content::Value(value) => response(code, "application/json", bytes_of(&value)),
                Content::Text(text) => response(code, "application/json", text),
                Content::Watch(start) => {
                    let id = state.next_watch();
                    drop(state);
                    let watch = Watch::new(Arc::clone(&self.state), start, id);
                    with_body(code, "application/json", ApiBody(Kind::Watch(Box::new(watch))))
                }
            },
            Err(status) => refusal(&status),
        }
    }

    /// Reads a request; `None` when no resource has this path.
    fn read(
        &self,
        route: &ResourceRoute<'_>,
        query: &str,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Option<Request>, Status> {
        let Some(resource) = resource_of(&self.state.lock().store, route) else { return Ok(None) };
        let (options, is_watch) = RequestOptions::parse(query);
        let verb = verb(&parts.method, route, is_watch, header(&parts.headers, CONTENT_TYPE.as_str()))?;
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).map_err(|error| unreadable(verb, &error))?
        };
        Ok(Some(Request {
            user: self.user.to_string(),
            verb,
            resource,
            namespace: route.namespace.to_owned(),
            name: route.name.to_owned(),
            subresource: route.subresource.to_owned(),
            options,
            metadata_only: header(&parts.headers, ACCEPT.as_str()).contains("as=PartialObjectMetadata"),
            body,
        }))
    }

    fn unknown(&self, route: &ResourceRoute<'_>) -> Response<ApiBody> {
        if self.state.lock().store.serves_group(route.group, route.version) {
            refusal(&Status::not_served())
        } else {
            page_not_found()
        }
    }
}

impl Service<http::Request<Body>> for ApiService {
    type Response = Response<ApiBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        ready(Ok(self.answer(request)))
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn unreadable(verb: Verb, error: &serde_json::Error) -> Status {
    if matches!(verb, Verb::Patch(_)) {
        return Status::bad_request("invalid JSON patch");
    }
    Status::bad_request(format!("the object provided is unrecognized: {error}"))
}

/// An error as an HTTP answer.
pub fn refusal(status: &Status) -> Response<ApiBody> {
    let mut answer = response(status.code, "application/json", bytes_of(&status.to_value()));
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after) {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn page_not_found() -> Response<ApiBody> {
    response(404, "text/plain", Bytes::from_static(b"404 page not found\n"))
}

fn response(code: u16, mime: &'static str, body: Bytes) -> Response<ApiBody> {
    with_body(code, mime, ApiBody::from(body))
}

fn with_body(code: u16, mime: &'static str, body: ApiBody) -> Response<ApiBody> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(mime));
    response
}

/// The answer of `/version`.
pub(super) fn version_body() -> Value {
    json!({
        "major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36", "gitVersion": "v1.37.2", "gitCommit": "", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc", "platform": "linux/amd64",
    })
}

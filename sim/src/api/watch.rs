//! Watches: the changes of one resource, as lines of JSON text.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use serde_json::json;
use tenet_mapper::kinds;
use tokio::time::{Sleep, sleep};

use super::object::{Object, bytes_of};
use super::read::{list_options, parse_version};
use super::request::Request;
use super::resource::ResourceId;
use super::selector::Selector;
use super::server::{Answer, Content, State};
use super::status::{Cause, Status};
use super::store::{Event, Table};

/// Pause between two bookmarks.
const BOOKMARK: Duration = Duration::from_secs(60);
/// Length of a watch without `timeoutSeconds`.
const LONGEST: Duration = Duration::from_secs(1800);

/// Start of a watch.
#[derive(Debug)]
pub struct WatchStart {
    resource: ResourceId,
    namespace: String,
    selector: Selector,
    metadata_only: bool,
    bookmarks: bool,
    /// Changes up to this version were told.
    seen: u64,
    era: u64,
    timeout: Duration,
    first: VecDeque<Bytes>,
}

/// Starts a watch.
pub(super) fn start(state: &State, request: &Request) -> Result<Answer, Status> {
    let (table, options) = (&state.store.tables[request.resource], &request.options);
    let selector = Selector::parse(&table.resource, &options.labels, &options.fields)?;
    if options.initial_events && options.version_match != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(list_options(&[Cause::forbidden("resourceVersionMatch", why)]));
    }
    if !options.initial_events && !options.version_match.is_empty() {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        return Err(list_options(&[Cause::forbidden("resourceVersionMatch", why)]));
    }
    let version = parse_version(&options.resource_version)?;
    let mut start = WatchStart {
        resource: request.resource,
        namespace: request.namespace.clone(),
        selector,
        metadata_only: request.metadata_only,
        // An API server serves events past its watch cache, which is what sends bookmarks.
        bookmarks: options.bookmarks && table.resource.kind != kinds::EVENT,
        seen: version,
        era: state.store.era,
        timeout: options.timeout.map_or(LONGEST, Duration::from_secs),
        first: VecDeque::new(),
    };
    if version == 0 || options.initial_events {
        start.seen = state.store.version;
        let objects = table.select(&start.namespace, "").filter(|object| start.selector.selects(object));
        let first: VecDeque<_> = objects.map(|object| start.line("ADDED", object)).collect();
        start.first = first;
        if options.initial_events && options.bookmarks {
            start.first.push_back(start.bookmark(table, true));
        }
    } else if version < table.floor {
        let why = format!("too old resource version: {version} ({})", table.floor);
        if state.refuses_expired {
            return Err(Status::expired(why));
        }
        start.first.push_back(error_line(&Status::expired(why)));
        start.timeout = Duration::ZERO;
    }
    Ok(Answer { code: 200, content: Content::Watch(start) })
}

fn error_line(status: &Status) -> Bytes {
    let mut line = BytesMut::from(bytes_of(&json!({"type": "ERROR", "object": status.to_value()})));
    line.put_u8(b'\n');
    line.freeze()
}

impl WatchStart {
    fn line(&self, kind: &str, object: &Object) -> Bytes {
        let text = if self.metadata_only { object.metadata_only_text() } else { object.text() };
        let mut line = BytesMut::with_capacity(text.len() + 40);
        line.put_slice(format!(r#"{{"type":"{kind}","object":"#).as_bytes());
        line.put(text);
        line.put_slice(b"}\n");
        line.freeze()
    }

    fn bookmark(&self, table: &Table, is_initial: bool) -> Bytes {
        let kind = &table.resource.kind;
        let version = self.seen.max(table.seen).to_string();
        let (kind, api_version) = if self.metadata_only {
            ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned())
        } else {
            (kind.kind, kind.api_version())
        };
        let mut object = json!({"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": version}});
        if is_initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut line = BytesMut::from(bytes_of(&json!({"type": "BOOKMARK", "object": object})));
        line.put_u8(b'\n');
        line.freeze()
    }

    /// The line that tells a change; `None` when the watch does not select the object.
    fn tell(&self, event: &Event) -> Option<Bytes> {
        if !self.namespace.is_empty() && !is_in(&event.key, &self.namespace) {
            return None;
        }
        let selected = |object: &Option<Arc<Object>>| {
            object.clone().filter(|object| self.selector.is_empty() || self.selector.selects(object))
        };
        match (selected(&event.before), selected(&event.after)) {
            (None, Some(after)) => Some(self.line("ADDED", &after)),
            (Some(_), Some(after)) => Some(self.line("MODIFIED", &after)),
            // The last state that was selected, with the version of the change.
            (Some(before), None) => Some(match &event.gone {
                Some(gone) => self.line("DELETED", gone),
                None => self.line("DELETED", &Object::new(before.value().clone(), event.version)),
            }),
            (None, None) => None,
        }
    }
}

fn is_in(key: &str, namespace: &str) -> bool {
    key.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/'))
}

/// A running watch.
pub(super) struct Watch {
    state: Arc<Mutex<State>>,
    start: WatchStart,
    id: u64,
    end: Pin<Box<Sleep>>,
    bookmark: Pin<Box<Sleep>>,
    is_over: bool,
}

impl Watch {
    /// Runs a watch; `id` orders the watches that wait for one change.
    pub(super) fn new(state: Arc<Mutex<State>>, start: WatchStart, id: u64) -> Self {
        let end = Box::pin(sleep(start.timeout));
        let before_end = start.timeout.saturating_sub(Duration::from_secs(2));
        let bookmark = if start.bookmarks { BOOKMARK.min(before_end) } else { LONGEST * 2 };
        Self { state, start, id, end, bookmark: Box::pin(sleep(bookmark)), is_over: false }
    }

    /// Returns the next line, or `None` at the end.
    pub(super) fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(line) = self.start.first.pop_front() {
            return Poll::Ready(Some(line));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let mut state = self.state.lock();
        let (era, version) = (state.store.era, state.store.version);
        let table = &mut state.store.tables[self.start.resource];
        if era != self.start.era || !table.is_served {
            self.is_over = true;
            return Poll::Ready(None);
        }
        let mut lines = BytesMut::new();
        for line in table.since(self.start.seen).filter_map(|event| self.start.tell(event)) {
            lines.put(line);
        }
        // A watch from a version of the future is silent until the store gets there.
        self.start.seen = self.start.seen.max(version);
        if !lines.is_empty() {
            return Poll::Ready(Some(lines.freeze()));
        }
        if self.end.as_mut().poll(cx).is_ready() {
            self.is_over = true;
            return Poll::Ready(None);
        }
        if self.start.bookmarks && self.bookmark.as_mut().poll(cx).is_ready() {
            self.bookmark = Box::pin(sleep(BOOKMARK));
            return Poll::Ready(Some(self.start.bookmark(table, false)));
        }
        table.wait(self.id, cx.waker());
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.lock().store.tables[self.start.resource].leave(self.id);
    }
}

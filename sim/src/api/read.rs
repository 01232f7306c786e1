//! Reads: one object, and lists in pages.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::object::{Object, partial_metadata};
use super::request::Request;
use super::selector::Selector;
use super::server::{Answer, Content, State};
use super::status::{Cause, Status};
use super::store::{Table, key};

/// Answers a read of one object.
pub(super) fn get(state: &State, request: &Request) -> Result<Answer, Status> {
    let table = &state.store.tables[request.resource];
    if !matches!(request.subresource.as_str(), "" | "status") {
        return Err(Status::not_served());
    }
    let key = key(&request.namespace, &request.name);
    let past = past(table, request)?;
    let found = past.as_ref().unwrap_or(table).objects.get(&key);
    let found = found.ok_or_else(|| Status::not_found(&table.resource, &request.name))?;
    Ok(if request.metadata_only {
        Answer::value(200, partial_metadata(found))
    } else {
        Answer::object(200, Arc::clone(found))
    })
}

/// The table as a cache that lags behind has it.
fn past(table: &Table, request: &Request) -> Result<Option<Table>, Status> {
    let Some(version) = request.options.as_of else { return Ok(None) };
    table.at(version).map(Some).ok_or_else(|| too_old(version))
}

/// One page of a list.
struct Page<'p> {
    version: u64,
    items: Vec<&'p Arc<Object>>,
    next: Option<String>,
    remaining: usize,
}

/// Answers a list.
pub(super) fn list(state: &State, request: &Request) -> Result<Answer, Status> {
    let table = &state.store.tables[request.resource];
    let selector = Selector::parse(&table.resource, &request.options.labels, &request.options.fields)?;
    let (version, from) = start(state, request)?;
    let past = match (version, past(table, request)?) {
        (_, Some(past)) => Some(past),
        (Some(version), None) if version < state.store.version => {
            Some(table.at(version).ok_or_else(|| too_old_list(request, version))?)
        }
        _ => None,
    };
    let told = request.options.as_of.or(version).unwrap_or(state.store.version);
    let page = page(past.as_ref().unwrap_or(table), told, request, &selector, &from);
    let remaining = (page.next.is_some() && selector.is_empty()).then_some(page.remaining);
    Ok(Answer { code: 200, content: Content::Text(text(table, request, &page, remaining)) })
}

fn page<'p>(table: &'p Table, version: u64, request: &Request, selector: &Selector, from: &str) -> Page<'p> {
    let limit = if request.options.limit == 0 { usize::MAX } else { request.options.limit };
    let mut selected =
        table.select(&request.namespace, from).filter(|object| selector.is_empty() || selector.selects(object));
    let items: Vec<_> = selected.by_ref().take(limit).collect();
    let remaining = selected.count();
    let next = items.last().filter(|_| remaining > 0).map(|last| key(last.namespace(), last.name()) + "\0");
    Page { version, items, next, remaining }
}

/// Start of a list: the version, if it is not the latest, and the key.
fn start(state: &State, request: &Request) -> Result<(Option<u64>, String), Status> {
    let options = &request.options;
    if !options.continue_token.is_empty() {
        let (version, start) = read_token(&options.continue_token)?;
        let prefix = if request.namespace.is_empty() { String::new() } else { format!("{}/", request.namespace) };
        return Ok((Some(version), prefix + start.trim_start_matches('/')));
    }
    if !options.version_match.is_empty() && options.resource_version.is_empty() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        return Err(list_options(&[Cause::forbidden("resourceVersionMatch", why)]));
    }
    let version = parse_version(&options.resource_version)?;
    if version > state.store.version {
        return Err(Status::too_large_version(version, state.store.version));
    }
    Ok(match options.version_match.as_str() {
        "Exact" => (Some(version), String::new()),
        _ => (None, String::new()),
    })
}

/// The error of wrong list options.
pub(super) fn list_options(causes: &[Cause]) -> Status {
    Status::invalid_options("meta.k8s.io", "ListOptions", causes.to_vec())
}

/// Reads a resource version; none is 0.
pub(super) fn parse_version(text: &str) -> Result<u64, Status> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        let why = format!("strconv.ParseUint: parsing \"{text}\": invalid syntax");
        Status::internal(format!("resourceVersion: Invalid value: \"{text}\": {why}"))
    })
}

fn too_old(version: u64) -> Status {
    Status::expired(format!("The resourceVersion for the provided list is too old: {version}"))
}

fn too_old_list(request: &Request, version: u64) -> Status {
    if request.options.continue_token.is_empty() {
        return too_old(version);
    }
    Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter.",
    )
}

fn write_token(request: &Request, version: u64, next: &str) -> String {
    let prefix = if request.namespace.is_empty() { String::new() } else { format!("{}/", request.namespace) };
    let start = next.strip_prefix(prefix.as_str()).unwrap_or(next);
    BASE64.encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": format!("/{start}")}).to_string())
}

fn read_token(token: &str) -> Result<(u64, String), Status> {
    let wrong = || Status::bad_request("invalid continue token: continue key is not valid");
    let text = BASE64.decode(token.trim_end_matches('=')).map_err(|_| wrong())?;
    let token: Value = serde_json::from_slice(&text).map_err(|_| wrong())?;
    let (version, start) = (token["rv"].as_u64(), token["start"].as_str());
    version.zip(start.map(str::to_owned)).ok_or_else(wrong)
}

fn text(table: &Table, request: &Request, page: &Page<'_>, remaining: Option<usize>) -> Bytes {
    let kind = &table.resource.kind;
    let (list, api_version) = if request.metadata_only {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (format!("{}List", kind.kind), kind.api_version())
    };
    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    if let Some(next) = &page.next {
        metadata["continue"] = json!(write_token(request, page.version, next));
        if let Some(remaining) = remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    let head = format!(r#"{{"kind":"{list}","apiVersion":"{api_version}","metadata":{metadata},"items":"#);
    let items: Vec<_> = page
        .items
        .iter()
        .map(|object| if request.metadata_only { object.metadata_only_text() } else { object.item_text() })
        .collect();
    let length: usize = items.iter().map(|item| item.len() + 1).sum();
    let mut text = BytesMut::with_capacity(head.len() + length + 2);
    text.put_slice(head.as_bytes());
    if request.metadata_only && page.items.is_empty() {
        text.put_slice(b"null}");
        return text.freeze();
    }
    text.put_u8(b'[');
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            text.put_u8(b',');
        }
        text.put(item);
    }
    text.put_slice(b"]}");
    text.freeze()
}

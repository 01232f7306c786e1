//! Deletes: preconditions, grace, finalizers.

use std::sync::Arc;

use serde_json::{Value, json};
use tenet_mapper::kinds;
use time::{Duration, OffsetDateTime};

use super::object::Object;
use super::request::{Request, RequestOptions};
use super::resource::Resource;
use super::selector::Selector;
use super::server::{Answer, Content, State, parse_time, timestamp};
use super::status::Status;
use super::store::key;
use super::{create, read};

/// Finalizers by which the garbage collector is asked to act first.
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Namespaces that are never deleted.
const PERMANENT: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Deletes an object.
pub(super) fn delete(state: &mut State, resource: &Resource, request: &Request) -> Result<Answer, Status> {
    let name = &request.name;
    if resource.kind == kinds::NAMESPACE && PERMANENT.contains(&name.as_str()) {
        return Err(Status::forbidden(resource, name, "this namespace may not be deleted"));
    }
    let key = key(&request.namespace, name);
    let Some(old) = state.store.get(request.resource, &key).cloned() else {
        return Err(Status::not_found(resource, name));
    };
    check_preconditions(resource, request, &old)?;
    if resource.kind == kinds::NAMESPACE
        && let Some(answer) = delete_namespace(state, resource, request, &key, &old)
    {
        return Ok(answer);
    }
    let now = state.now();
    let grace = match (resource.kind == kinds::POD, grace(&old, &request.body, now)) {
        (true, Grace::Pending) => return Ok(Answer::object(200, old)),
        (true, Grace::Set(seconds, end)) => Some((seconds, end)),
        _ => None,
    };
    let finalizers = finalizers(resource, &old, &request.body);
    if grace.is_none() && finalizers.is_empty() {
        return Ok(remove(state, resource, request, &key, &old));
    }
    let mut new = old.value().clone();
    set_finalizers(&mut new, &finalizers);
    match grace {
        Some((seconds, end)) => mark(&mut new, &old, seconds, end),
        None if old.is_deleting() => new["metadata"]["deletionGracePeriodSeconds"] = json!(0),
        None => mark(&mut new, &old, 0, now),
    }
    let is_over = finalizers.is_empty() && grace.is_none_or(|(seconds, _)| seconds == 0);
    let is_changed = !create::is_same(&old, &new);
    if request.options.dry_run {
        return Ok(Answer::value(200, new));
    }
    let stored = if is_changed { state.store.put(request.resource, &key, new) } else { old };
    if is_over { Ok(remove(state, resource, request, &key, &stored)) } else { Ok(Answer::object(200, stored)) }
}

/// Deletes every object of a collection. Answers with what was found.
pub(super) fn delete_collection(state: &mut State, resource: &Resource, request: &Request) -> Result<Answer, Status> {
    let selector = Selector::parse(resource, &request.options.labels, &request.options.fields)?;
    let table = &state.store.tables[request.resource];
    let found = table.select(&request.namespace, "").filter(|object| selector.selects(object));
    let found: Vec<_> = found.map(|object| (object.namespace().to_owned(), object.name().to_owned())).collect();
    let list = Request { options: RequestOptions { dry_run: false, ..request.options.clone() }, ..request.clone() };
    let answer = read::list(state, &list)?;
    for (namespace, name) in found {
        let one = Request { namespace, name, ..request.clone() };
        match delete(state, resource, &one) {
            Ok(_) | Err(Status { code: 404, .. }) => {}
            Err(status) => return Err(status),
        }
    }
    Ok(answer)
}

pub(super) fn check_preconditions(resource: &Resource, request: &Request, old: &Object) -> Result<(), Status> {
    let wanted = &request.body["preconditions"];
    let is_namespace = resource.kind == kinds::NAMESPACE;
    let found = old.uid();
    if let Some(uid) = wanted["uid"].as_str().filter(|uid| *uid != found) {
        if is_namespace {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}");
            return Err(Status::conflict(resource, &request.name, &why));
        }
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({found}). \
             The object might have been deleted and then recreated"
        );
        return Err(Status::precondition(resource, &request.name, &why));
    }
    let found = old.version().to_string();
    if let Some(version) = wanted["resourceVersion"].as_str().filter(|version| *version != found) {
        if is_namespace {
            let why = format!(
                "Precondition failed: ResourceVersion in precondition: {version}, \
                 ResourceVersion in object meta: {found}"
            );
            return Err(Status::conflict(resource, &request.name, &why));
        }
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
             ({found}). The object might have been modified"
        );
        return Err(Status::precondition(resource, &request.name, &why));
    }
    Ok(())
}

/// First delete of a namespace: it ends when its content and its finalizers are gone.
fn delete_namespace(
    state: &mut State,
    resource: &Resource,
    request: &Request,
    key: &str,
    old: &Arc<Object>,
) -> Option<Answer> {
    if !old.is_deleting() {
        let mut new = old.value().clone();
        set_finalizers(&mut new, &finalizers(resource, old, &request.body));
        new["metadata"]["deletionTimestamp"] = json!(timestamp(state.now()));
        new["status"]["phase"] = json!("Terminating");
        return Some(if request.options.dry_run {
            Answer::value(200, new)
        } else {
            Answer::object(200, state.store.put(request.resource, key, new))
        });
    }
    let waits = old.value().pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    waits.then(|| Answer::object(200, Arc::clone(old)))
}

/// Time for which a pod may still run.
enum Grace {
    /// The server does not ask.
    None,
    /// Until this time.
    Set(i64, OffsetDateTime),
    /// An earlier delete gave at most that long.
    Pending,
}

fn grace(pod: &Object, options: &Value, now: OffsetDateTime) -> Grace {
    let asked = options["gracePeriodSeconds"].as_i64().map(|seconds| if seconds < 0 { 1 } else { seconds });
    let metadata = &pod.value()["metadata"];
    if pod.is_deleting() {
        let had = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        return match (had, asked) {
            (0, _) => Grace::None,
            (had, Some(seconds)) if seconds < had => {
                let end = parse_time(&metadata["deletionTimestamp"]).unwrap_or(now);
                let end = end - Duration::seconds(had) + Duration::seconds(seconds);
                let (end, seconds) = if end < now { (now, seconds.min(1)) } else { (end, seconds) };
                Grace::Set(seconds, end)
            }
            _ => Grace::Pending,
        };
    }
    let spec = &pod.value()["spec"];
    let is_bound = spec["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let is_final = matches!(pod.value()["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    let seconds = asked.or_else(|| spec["terminationGracePeriodSeconds"].as_i64()).unwrap_or(0);
    let seconds = if is_bound && !is_final { if seconds < 0 { 1 } else { seconds } } else { 0 };
    Grace::Set(seconds, now + Duration::seconds(seconds))
}

/// The finalizers that the object keeps, with those that the options ask for.
fn finalizers(resource: &Resource, object: &Object, options: &Value) -> Vec<String> {
    let found = object.value()["metadata"]["finalizers"].as_array();
    let found: Vec<_> = found.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if resource.kind == kinds::EVENT {
        // The garbage collector does not know events.
        return found;
    }
    let policy = options["propagationPolicy"].as_str();
    let has = |name: &str| found.iter().any(|finalizer| finalizer == name);
    let orphans = policy
        .map_or_else(|| options["orphanDependents"].as_bool().unwrap_or(has(ORPHAN)), |policy| policy == "Orphan");
    let waits = policy.map_or_else(|| !orphans && has(FOREGROUND), |policy| policy == "Foreground");
    let kept = found.iter().filter(|finalizer| *finalizer != ORPHAN && *finalizer != FOREGROUND);
    let mut kept: Vec<_> = kept.cloned().collect();
    kept.extend(orphans.then(|| ORPHAN.to_owned()));
    kept.extend(waits.then(|| FOREGROUND.to_owned()));
    kept
}

fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        object["metadata"].as_object_mut().map(|metadata| metadata.remove("finalizers"));
    } else {
        object["metadata"]["finalizers"] = json!(finalizers);
    }
}

/// Writes into an object that it is being deleted.
fn mark(new: &mut Value, old: &Object, seconds: i64, end: OffsetDateTime) {
    let metadata = &mut new["metadata"];
    metadata["deletionTimestamp"] = json!(timestamp(end));
    metadata["deletionGracePeriodSeconds"] = json!(seconds);
    if let Some(generation) = metadata.get("generation").and_then(Value::as_u64).filter(|_| !old.is_deleting()) {
        metadata["generation"] = json!(generation + 1);
    }
}

fn remove(state: &mut State, resource: &Resource, request: &Request, key: &str, last: &Arc<Object>) -> Answer {
    let gone = if request.options.dry_run {
        Arc::clone(last)
    } else {
        let gone = state.store.remove(request.resource, key).unwrap_or_else(|| Arc::clone(last));
        state.released(resource, &gone);
        gone
    };
    if resource.returns_deleted {
        return Answer { code: 200, content: Content::Object(gone) };
    }
    let mut details = json!({"name": gone.name(), "kind": resource.kind.plural, "uid": gone.uid()});
    if !resource.kind.group.is_empty() {
        details["group"] = json!(resource.kind.group);
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Answer::value(200, status)
}

//! Updates and patches of objects that exist.

use std::sync::Arc;

use serde_json::{Value, json};
use tenet_mapper::kinds;

use super::create::{check_namespace_of_body, decode, is_same, text};
use super::object::Object;
use super::request::{PatchType, Request, Verb};
use super::resource::Resource;
use super::server::{Answer, State};
use super::status::{Cause, Status};
use super::store::key;
use super::{create, defaults, patch, subresource, transition, validation};

/// Changes an object.
pub(super) fn update(state: &mut State, resource: &Resource, request: &Request) -> Result<Answer, Status> {
    if !subresource::can_change(resource, &request.subresource) {
        return Err(Status::not_served());
    }
    let key = key(&request.namespace, &request.name);
    let Some(old) = state.store.get(request.resource, &key).cloned() else {
        if request.verb == Verb::Update {
            check_body(resource, request, &decode(resource, request.body.clone())?)?;
            if resource.creates_on_update && request.subresource.is_empty() {
                check_uid(resource, request, &key, "")?;
                return create::create(state, resource, request);
            }
        }
        return Err(Status::not_found(resource, &request.name));
    };
    let mut new = changed(resource, request, &old)?;
    check_body(resource, request, &new)?;
    if request.verb == Verb::Update {
        check_uid(resource, request, &key, old.uid())?;
    }
    defaults::decoded(resource, &mut new);
    state.admit(request, resource, Some(&old), &mut new)?;
    check_version(resource, request, &old, &new)?;
    new["metadata"]["resourceVersion"] = old.value()["metadata"]["resourceVersion"].clone();
    transition::keep(resource, &request.subresource, &old, &mut new);
    if resource.kind == kinds::SERVICE && request.subresource.is_empty() {
        transition::service(&old, &mut new);
    }
    keep_metadata(&old, &mut new);
    if resource.kind == kinds::SERVICE && request.subresource.is_empty() {
        let causes = validation::families(&new);
        if !causes.is_empty() {
            return Err(Status::invalid(resource, &request.name, causes));
        }
    }
    let mut causes = validation::metadata(&old, &new);
    causes.extend(validation::updated(resource, &request.subresource, &old, &new));
    if !causes.is_empty() {
        return Err(Status::invalid(resource, &request.name, causes));
    }
    if request.subresource == "resize" {
        check_node(state, resource, &old)?;
    }
    if resource.kind == kinds::SERVICE && request.subresource.is_empty() {
        let dry_run = request.options.dry_run;
        let causes = state.addresses.allocate(&mut state.random, Some(old.value()), &mut new, dry_run);
        if !causes.is_empty() {
            return Err(Status::invalid(resource, &request.name, causes));
        }
    }
    Ok(store(state, resource, request, &key, &old, new))
}

/// Stores the new state, unless nothing differs; an object that waited for its finalizers goes with the last one.
fn store(
    state: &mut State,
    resource: &Resource,
    request: &Request,
    key: &str,
    old: &Arc<Object>,
    new: Value,
) -> Answer {
    let ends = is_finished(resource, old, &new);
    if request.options.dry_run || (!ends && is_same(old, &new)) {
        return if is_same(old, &new) { Answer::object(200, Arc::clone(old)) } else { Answer::value(200, new) };
    }
    if ends {
        state.store.remove(request.resource, key);
        state.released(resource, old);
        return Answer::value(200, new);
    }
    if resource.kind == kinds::SERVICE {
        let stored = state.store.put(request.resource, key, new);
        state.addresses.release(old.value());
        state.addresses.take(stored.value());
        return Answer::object(200, stored);
    }
    Answer::object(200, state.store.put(request.resource, key, new))
}

/// Returns true if a deleted object has nothing left to wait for.
fn is_finished(resource: &Resource, old: &Object, new: &Value) -> bool {
    let has = |pointer: &str| new.pointer(pointer).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let grace = old.value()["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    old.is_deleting()
        && grace == 0
        && !has("/metadata/finalizers")
        && (resource.kind != kinds::NAMESPACE || !has("/spec/finalizers"))
}

/// The object after the change that the request asks for.
fn changed(resource: &Resource, request: &Request, old: &Object) -> Result<Value, Status> {
    let Verb::Patch(kind) = request.verb else { return decode(resource, request.body.clone()) };
    let mut new = old.value().clone();
    match kind {
        PatchType::Json => patch::json(&mut new, &request.body)?,
        PatchType::Merge => json_patch::merge(&mut new, &request.body),
        PatchType::Strategic => patch::strategic(resource, &mut new, &request.body),
    }
    decode(resource, new)
}

fn check_body(resource: &Resource, request: &Request, object: &Value) -> Result<(), Status> {
    let name = text(object, "name");
    if name != request.name {
        let (name, path) = (name, &request.name);
        let why = format!("the name of the object ({name}) does not match the name on the URL ({path})");
        return Err(Status::bad_request(why));
    }
    check_namespace_of_body(resource, request, object)
}

/// Checks that the node of a pod exists: a resize depends on it.
fn check_node(state: &State, resource: &Resource, pod: &Object) -> Result<(), Status> {
    let Some(node) = pod.value()["spec"]["nodeName"].as_str() else { return Ok(()) };
    let found = state.store.find(kinds::NODE).and_then(|nodes| state.store.get(nodes, node));
    if found.is_some() {
        return Ok(());
    }
    Err(Status::forbidden(resource, pod.name(), &format!("node \"{node}\" not found")))
}

/// Checks that a replacement names the object that is stored.
fn check_uid(resource: &Resource, request: &Request, key: &str, found: &str) -> Result<(), Status> {
    let wanted = text(&request.body, "uid");
    if wanted.is_empty() || wanted == found {
        return Ok(());
    }
    let why = format!("UID in precondition: {wanted}, UID in object meta: {found}");
    Err(Status::storage_conflict(resource, &resource.storage_key(key, request.options.dry_run), &request.name, &why))
}

fn check_version(resource: &Resource, request: &Request, old: &Object, new: &Value) -> Result<(), Status> {
    let version = text(new, "resourceVersion");
    if version.is_empty() {
        if request.verb == Verb::Update && resource.needs_version {
            let cause = Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
            let plural = resource.kind.resource();
            let status = Status::invalid(resource, &request.name, vec![cause]);
            let message = status.message.replacen(&resource.kind.to_string(), &plural, 1);
            let status = Status { message, ..status };
            return Err(status.detailed(|details| resource.kind.plural.clone_into(&mut details.kind)));
        }
        return Ok(());
    }
    if version.parse() == Ok(old.version()) {
        return Ok(());
    }
    if version.parse::<u64>().is_err() {
        let why = format!("Invalid value: \"{version}\": strconv.ParseUint: parsing \"{version}\": invalid syntax");
        return Err(Status::internal(format!("resourceVersion: {why}")));
    }
    Err(Status::modified(resource, &request.name))
}

/// Restores what no update changes.
fn keep_metadata(old: &Object, new: &mut Value) {
    let old = &old.value()["metadata"];
    let Some(metadata) = new["metadata"].as_object_mut() else { return };
    if let Some(end) = old.get("deletionTimestamp") {
        metadata.insert("deletionTimestamp".to_owned(), end.clone());
    }
    for member in ["creationTimestamp", "namespace", "generateName"] {
        match old.get(member) {
            Some(value) => drop(metadata.insert(member.to_owned(), value.clone())),
            None => drop(metadata.remove(member)),
        }
    }
    for member in ["uid", "deletionGracePeriodSeconds"] {
        if let (Some(value), None) = (old.get(member), metadata.get(member)) {
            metadata.insert(member.to_owned(), value.clone());
        }
    }
}

impl State {
    /// Frees what an object that is gone had.
    pub(super) fn released(&mut self, resource: &Resource, gone: &Object) {
        if resource.kind == kinds::SERVICE {
            self.addresses.release(gone.value());
        }
    }
}

//! Creates.

use serde_json::{Value, json};
use tenet_mapper::kinds;

use super::object::Object;
use super::request::{Request, Verb};
use super::resource::Resource;
use super::server::{Answer, State, timestamp};
use super::status::{Cause, Status};
use super::store::key;
use super::{account, defaults, quota, validation};

/// Creates an object.
pub(super) fn create(state: &mut State, resource: &Resource, request: &Request) -> Result<Answer, Status> {
    let mut object = decode(resource, request.body.clone())?;
    prepare_metadata(state, resource, request, &mut object)?;
    check_namespace(state, resource, request, &object)?;
    defaults::decoded(resource, &mut object);
    account::admit(state, resource, &mut object)?;
    defaults::admitted(resource, &mut object);
    state.admit(request, resource, None, &mut object)?;
    if state.admission.is_some() {
        // Fields that a webhook adds get their defaults too.
        defaults::decoded(resource, &mut object);
    }
    quota::check(state, resource, &request.namespace, &object)?;
    let now = timestamp(state.now());
    defaults::created(resource, &mut object, &now);
    name_it(state, resource, &mut object)?;
    let name = text(&object, "name").to_owned();
    let causes = validation::created(resource, &object);
    if !causes.is_empty() {
        return Err(Status::invalid(resource, &name, causes));
    }
    let key = key(&request.namespace, &name);
    if resource.kind == kinds::SERVICE {
        let causes = state.addresses.allocate(&mut state.random, None, &mut object, request.options.dry_run);
        if !causes.is_empty() {
            return Err(Status::invalid(resource, &name, causes));
        }
    }
    if let Err(status) = check_free(state, resource, request, &key, &object) {
        if resource.kind == kinds::SERVICE && !request.options.dry_run {
            state.addresses.release(&object);
        }
        return Err(status);
    }
    if request.options.dry_run {
        return Ok(Answer::value(201, object));
    }
    Ok(Answer::object(201, state.store.put(request.resource, &key, object)))
}

/// Checks what the store itself checks.
fn check_free(state: &State, resource: &Resource, request: &Request, key: &str, object: &Value) -> Result<(), Status> {
    let has_version = !matches!(text(object, "resourceVersion"), "" | "0");
    if has_version && request.verb == Verb::Create && !request.options.dry_run {
        return Err(Status::internal("resourceVersion should not be set on objects to be created"));
    }
    let Some(found) = state.store.get(request.resource, key) else { return Ok(()) };
    let status = Status::already_exists(resource, text(object, "name"));
    if !found.is_deleting() {
        return Err(status);
    }
    Err(Status { message: format!("object is being deleted: {}", status.message), ..status })
}

/// Reads the body of a create or an update: it has the kind of its resource.
pub(super) fn decode(resource: &Resource, mut object: Value) -> Result<Value, Status> {
    let kind = &resource.kind;
    if !object.is_object() {
        return Err(Status::bad_request(format!("the body is no {}", kind.kind)));
    }
    let said = object["kind"].as_str().unwrap_or(kind.kind);
    if said != kind.kind {
        return Err(Status::bad_request(format!(
            "{said} in version \"{}\" cannot be handled as a {}: converting (v1.{said}) to (core.{}): unknown conversion",
            kind.version, kind.kind, kind.kind
        )));
    }
    object["kind"] = json!(kind.kind);
    object["apiVersion"] = json!(kind.api_version());
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    Ok(object)
}

/// Sets what the server decides of the metadata.
fn prepare_metadata(
    state: &mut State,
    resource: &Resource,
    request: &Request,
    object: &mut Value,
) -> Result<(), Status> {
    check_namespace_of_body(resource, request, object)?;
    let (uid, now) = (state.random.uid(), timestamp(state.now()));
    let metadata = &mut object["metadata"];
    if resource.kind.namespaced {
        metadata["namespace"] = json!(request.namespace);
    } else if let Some(members) = metadata.as_object_mut() {
        members.remove("namespace");
    }
    metadata["uid"] = json!(uid);
    metadata["creationTimestamp"] = json!(now);
    if let Some(members) = metadata.as_object_mut() {
        for member in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink", "managedFields"] {
            members.remove(member);
        }
    }
    if resource.has_generation {
        metadata["generation"] = json!(1);
    }
    Ok(())
}

/// Generates the name of an object that has none.
fn name_it(state: &mut State, resource: &Resource, object: &mut Value) -> Result<(), Status> {
    let metadata = &mut object["metadata"];
    if name_of(metadata).is_some() {
        return Ok(());
    }
    let Some(base) = metadata["generateName"].as_str().filter(|base| !base.is_empty()) else {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Status::invalid(resource, "", vec![cause]));
    };
    metadata["name"] = json!(format!("{base}{}", state.random.suffix()));
    Ok(())
}

/// The name by which admission knows an object, which may still be without one.
pub(super) fn admission_name(object: &Value) -> &str {
    let metadata = &object["metadata"];
    name_of(metadata).or_else(|| metadata["generateName"].as_str()).unwrap_or_default()
}

fn name_of(metadata: &Value) -> Option<&str> {
    metadata["name"].as_str().filter(|name| !name.is_empty())
}

/// Checks that the body does not name another namespace than the path.
pub(super) fn check_namespace_of_body(resource: &Resource, request: &Request, object: &Value) -> Result<(), Status> {
    let named = text(object, "namespace");
    if !resource.kind.namespaced || named.is_empty() || named == request.namespace {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// Checks that the namespace takes new objects.
pub(super) fn check_namespace(
    state: &State,
    resource: &Resource,
    request: &Request,
    object: &Value,
) -> Result<(), Status> {
    if !resource.kind.namespaced {
        return Ok(());
    }
    let Some(namespaces) = state.store.find(kinds::NAMESPACE) else { return Ok(()) };
    let Some(namespace) = state.store.get(namespaces, &request.namespace) else {
        return Err(Status::not_found(&state.store.tables[namespaces].resource, &request.namespace));
    };
    if !namespace.is_deleting() {
        return Ok(());
    }
    let (name, namespace) = (admission_name(object), &request.namespace);
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let cause = Cause {
        reason: "NamespaceTerminating",
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    };
    Err(Status::forbidden(resource, name, &why).because(cause))
}

/// A member of the metadata as text.
pub(super) fn text<'o>(object: &'o Value, member: &str) -> &'o str {
    object["metadata"][member].as_str().unwrap_or_default()
}

/// Returns true if two objects say the same, apart from their versions.
pub(super) fn is_same(old: &Object, new: &Value) -> bool {
    fn members<'o>(object: &'o Value, but: &'static str) -> impl Iterator<Item = (&'o String, &'o Value)> {
        object.as_object().into_iter().flatten().filter(move |(name, _)| *name != but)
    }
    let (old_metadata, new_metadata) = (&old.value()["metadata"], &new["metadata"]);
    members(old_metadata, "resourceVersion").eq(members(new_metadata, "resourceVersion"))
        && members(old.value(), "metadata").eq(members(new, "metadata"))
}

//! Subresources: bindings, evictions, tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use tenet_mapper::kinds;
use time::Duration;

use super::create::is_same;
use super::delete;
use super::object::Object;
use super::request::{Request, Verb};
use super::resource::Resource;
use super::server::{Answer, State, timestamp};
use super::status::{Cause, Status};
use super::store::key;

/// Audience of a token that asks for none.
const AUDIENCE: &str = "https://kubernetes.default.svc";

/// Returns true if a subresource is written by updates and patches.
pub(super) fn can_change(resource: &Resource, subresource: &str) -> bool {
    match subresource {
        "" => true,
        "status" => resource.has_status,
        "finalize" => resource.kind == kinds::NAMESPACE,
        "ephemeralcontainers" | "resize" => resource.kind == kinds::POD,
        _ => false,
    }
}

/// Posts to a subresource.
pub(super) fn create(
    state: &mut State,
    resource: &Resource,
    request: &Request,
    subresource: &str,
) -> Result<Answer, Status> {
    match (resource.kind.kind, subresource) {
        ("Pod", "binding") => bind(state, resource, request),
        ("Pod", "eviction") => evict(state, resource, request),
        ("ServiceAccount", "token") => token(state, resource, request),
        _ => Err(Status::not_served()),
    }
}

fn bind(state: &mut State, resource: &Resource, request: &Request) -> Result<Answer, Status> {
    let (name, body) = (&request.name, &request.body);
    let Some(node) = body["target"]["name"].as_str().filter(|node| !node.is_empty()) else {
        return Err(Status::internal("target.name: Required value"));
    };
    if body["metadata"]["name"].as_str().unwrap_or_default() != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let key = key(&request.namespace, name);
    let Some(old) = state.store.get(request.resource, &key).cloned() else {
        return Err(Status::not_found(resource, name));
    };
    check_preconditions(resource, request, &key, &old)?;
    let refuse = |why: String| {
        let message = format!("Operation cannot be fulfilled on pods/binding \"{name}\": {why}");
        let status = Status::new(409, "Conflict", message).about(resource, name);
        Err(status.detailed(|details| "pods/binding".clone_into(&mut details.kind)))
    };
    if old.is_deleting() {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let spec = &old.value()["spec"];
    if let Some(node) = spec["nodeName"].as_str().filter(|node| !node.is_empty()) {
        return refuse(format!("pod {name} is already assigned to node \"{node}\""));
    }
    if spec["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut new = old.value().clone();
    new["spec"]["nodeName"] = json!(node);
    for member in ["annotations", "labels"] {
        for (key, value) in body["metadata"][member].as_object().into_iter().flatten() {
            new["metadata"][member][key] = value.clone();
        }
    }
    let now = timestamp(state.now());
    set_condition(
        &mut new,
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
    );
    if !request.options.dry_run {
        state.store.put(request.resource, &key, new);
    }
    Ok(Answer::success(201))
}

/// Sets a condition of a pod; its time stays unless its status changes.
fn set_condition(pod: &mut Value, mut condition: Value) {
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else { return };
    match conditions.iter_mut().find(|found| found["type"] == condition["type"]) {
        Some(found) => {
            if found["status"] == condition["status"] {
                condition["lastTransitionTime"] = found["lastTransitionTime"].clone();
            }
            *found = condition;
        }
        None => conditions.push(condition),
    }
}

fn check_preconditions(resource: &Resource, request: &Request, key: &str, old: &Object) -> Result<(), Status> {
    let (metadata, name) = (&request.body["metadata"], &request.name);
    let refuse = |what: &str, wanted: &str, found: &str| {
        let why = format!("{what} in precondition: {wanted}, {what} in object meta: {found}");
        Err(Status::storage_conflict(resource, &resource.storage_key(key, false), name, &why))
    };
    if let Some(uid) = metadata["uid"].as_str().filter(|uid| !uid.is_empty() && *uid != old.uid()) {
        return refuse("UID", uid, old.uid());
    }
    let found = old.version().to_string();
    let version = metadata["resourceVersion"].as_str().filter(|version| !version.is_empty() && *version != found);
    version.map_or(Ok(()), |version| refuse("ResourceVersion", version, &found))
}

/// An eviction is a delete, as far as no disruption budget is counted.
fn evict(state: &mut State, resource: &Resource, request: &Request) -> Result<Answer, Status> {
    let options = request.body.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
    if request.body["metadata"]["name"].as_str().unwrap_or_default() != request.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let delete = Request { verb: Verb::Delete, subresource: String::new(), body: options, ..request.clone() };
    let key = key(&request.namespace, &request.name);
    if let Some(old) = state.store.get(request.resource, &key).filter(|_| !request.options.dry_run).cloned() {
        delete::check_preconditions(resource, &delete, &old)?;
        let mut new = old.value().clone();
        let disrupted = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": timestamp(state.now()),
        });
        set_condition(&mut new, disrupted);
        if !is_same(&old, &new) {
            state.store.put(request.resource, &key, new);
        }
    }
    delete::delete(state, resource, &delete).map(|_| Answer::success(201))
}

fn token(state: &mut State, resource: &Resource, request: &Request) -> Result<Answer, Status> {
    let Some(account) = state.store.get(request.resource, &key(&request.namespace, &request.name)).cloned() else {
        return Err(Status::not_found(resource, &request.name));
    };
    let spec = &request.body["spec"];
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(3600);
    if seconds < 600 {
        let why = "may not specify a duration less than 10 minutes";
        let cause = Cause::invalid("spec.expirationSeconds", &json!(seconds), why);
        return Err(Status::invalid_options("authentication.k8s.io", "TokenRequest", vec![cause]));
    }
    let bound = spec.get("boundObjectRef").filter(|bound| !bound.is_null()).cloned();
    if let Some(bound) = &bound {
        check_bound(state, request, bound)?;
    }
    let audiences = spec["audiences"].as_array().filter(|audiences| !audiences.is_empty());
    let audiences = audiences.map_or_else(|| json!([AUDIENCE]), |audiences| Value::Array(audiences.clone()));
    let now = state.now();
    let (issued, end) = (now.unix_timestamp(), now + Duration::seconds(seconds));
    let claims = json!({
        "aud": audiences, "iat": issued, "exp": end.unix_timestamp(), "iss": AUDIENCE, "jti": state.random.uid(),
        "sub": format!("system:serviceaccount:{}:{}", request.namespace, request.name), "bound": bound,
    });
    let token = format!("{}.{}.{}", BASE64.encode(r#"{"alg":"none"}"#), BASE64.encode(claims.to_string()), "simulated");
    let body = json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": request.name, "namespace": request.namespace, "uid": account.uid(),
            "creationTimestamp": timestamp(now),
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound},
        "status": {"token": token, "expirationTimestamp": timestamp(end)},
    });
    Ok(Answer::value(201, body))
}

/// Checks that the object that a token is bound to is there, under its UID.
fn check_bound(state: &State, request: &Request, bound: &Value) -> Result<(), Status> {
    let kind = if bound["kind"] == "Secret" { kinds::SECRET } else { kinds::POD };
    let Some(id) = state.store.find(kind) else { return Ok(()) };
    let (resource, name) = (&state.store.tables[id].resource, bound["name"].as_str().unwrap_or_default());
    let Some(found) = state.store.get(id, &key(&request.namespace, name)) else {
        return Err(Status::not_found(resource, name));
    };
    if kind == kinds::POD && found.value()["spec"]["serviceAccountName"] != request.name.as_str() {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount \"{}\" to pod running with different serviceaccount name.",
            request.name
        )));
    }
    match bound["uid"].as_str().filter(|uid| !uid.is_empty() && *uid != found.uid()) {
        None => Ok(()),
        Some(uid) => {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. \
                 The object might have been deleted and then recreated"
            );
            Err(Status::precondition(resource, name, &why))
        }
    }
}

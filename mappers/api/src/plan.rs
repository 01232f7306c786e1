//! Plans: the requests that perform an effect, given what is known of its object.
//!
//! One pure function says what is sent. The gate of the engine sends it, the test kit performs it on its objects, so an
//! effect has one meaning. Checks of ownership are part of the plan: a foreign object has none.

mod delete;
pub mod event;
mod host;
mod proof;
mod virt;

pub use proof::{Proof, may_be_copy, proof, without_copy};
use serde_json::{Map, Value, json};
use tenet_translate::keys::BOUND;
use tenet_translate::owner::{OwnerRecord, Ownership};

use crate::patch::same;
use crate::{Bind, Effect, Facts, Kind, MapError, Object, ObjectRef, Projection, Side, kinds};

/// Inputs of a plan besides the effect and its object.
#[derive(Clone, Copy)]
pub struct PlanContext<'p> {
    /// Names and identity.
    pub facts: &'p Facts,
    /// Projection with which the object is cached.
    pub projection: &'p Projection,
    /// The tokens that were minted for [`Effect::MintTokens`], in its order.
    pub minted: &'p [MintedToken],
}

/// A token of the virtual API server.
#[derive(Clone)]
pub struct MintedToken {
    /// The token, as `data` of a Secret has it: base64.
    pub data: String,
    /// Time of issue, in unix seconds.
    pub issued: i64,
    /// Time of expiry, in unix seconds.
    pub expires: i64,
}

/// One request to an API server.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::plan::{Payload, status};
/// use tenet_mapper::{Object, kinds};
///
/// let pod = Object::new(json!({"metadata": {"namespace": "shop", "name": "web", "uid": "u", "resourceVersion": "7"}}));
/// let writes = status(kinds::POD, &pod, &json!({"reason": "SyncRefused"}));
/// assert_eq!((writes[0].target.name.as_ref(), writes[0].subresource), ("web", Some("status")));
/// let Payload::Merge(body) = &writes[0].payload else { panic!("a merge patch") };
/// assert_eq!(body["metadata"]["resourceVersion"], "7", "another version answers with a conflict");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The object that is written.
    pub target: ObjectRef,
    /// The subresource, if it is not the object itself.
    pub subresource: Option<&'static str>,
    /// Request to send.
    pub payload: Payload,
}

/// Change of an object by a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Creates it.
    Create {
        /// The object.
        object: Value,
        /// Alternative object when the server rejects the first as invalid (HTTP 422).
        fallback: Option<Value>,
    },
    /// RFC 6902.
    Json(Vec<Value>),
    /// RFC 7386.
    Merge(Value),
    /// The Kubernetes strategic merge.
    Strategic(Value),
    /// Deletes it, with these `DeleteOptions`.
    Delete(Value),
}

/// The requests that perform an effect, in order; none when nothing differs. `cached` is what is known of the effect's
/// target, cut by the projection in `cx`.
pub fn plan(effect: &Effect, cached: Option<&Object>, cx: &PlanContext<'_>) -> Result<Vec<Write>, MapError> {
    match effect {
        Effect::ApplyHost(apply) => host::apply(apply, cached, cx),
        Effect::MintTokens(mint) => host::mint(mint, cached, cx),
        Effect::RequestCertificate(request) => Ok(virt::request(request, cached)),
        Effect::PatchHost(patch) => host::patch(patch, cached, cx),
        Effect::ApplyVirtual(apply) => virt::apply(apply, cached, cx),
        Effect::PatchVirtual(patch) => virt::patch(patch, cached),
        Effect::Bind(bind) => Ok(plan_bind(bind, cached)),
        Effect::Delete(deletion) => delete::delete(deletion, cached, cx),
        Effect::Emit(event) => Ok(vec![event::create(event, &cx.facts.names)]),
    }
}

/// The request that sets members of the status of a virtual object, which were derived from this very version.
pub fn status(kind: Kind, virt: &Object, status: &Value) -> Vec<Write> {
    let body = json!({
        "metadata": {"uid": virt.uid(), "resourceVersion": virt.resource_version()},
        "status": status,
    });
    let target = ObjectRef::new(Side::Virtual, kind, virt.namespace(), virt.name());
    vec![Write { target, subresource: Some("status"), payload: Payload::Merge(body) }]
}

/// Returns true if the answer to a merge patch is the object that was known with exactly what was written, but for its
/// version. Both are cut by one projection. The answer to another request is taken for news.
pub fn is_as_written(write: &Write, known: &Object, answer: &Object) -> bool {
    let Payload::Merge(body) = &write.payload else { return false };
    let (Some(known), Some(answer), Some(body)) =
        (known.value().as_object(), answer.value().as_object(), body.as_object())
    else {
        return false;
    };
    let empty = Map::new();
    members(known, answer, body).all(|name| match name.as_str() {
        "metadata" => {
            let [known, answer, body] =
                [known, answer, body].map(|object| object.get(name).and_then(Value::as_object).unwrap_or(&empty));
            let mut names = members(known, answer, body).filter(|name| *name != "resourceVersion");
            names.all(|name| is_merged(known.get(name), body.get(name), answer.get(name)))
        }
        _ => is_merged(known.get(name), body.get(name), answer.get(name)),
    })
}

/// Returns true if `found` is what a merge patch makes of `from`. A null stands for an absent member.
fn is_merged(from: Option<&Value>, patch: Option<&Value>, found: Option<&Value>) -> bool {
    let same = |a: Option<&Value>, b: Option<&Value>| same(a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null));
    match (patch, found) {
        (None, found) => same(from, found),
        (Some(Value::Object(patch)), Some(Value::Object(found))) => {
            let empty = Map::new();
            let from = from.and_then(Value::as_object).unwrap_or(&empty);
            members(from, found, patch).all(|name| is_merged(from.get(name), patch.get(name), found.get(name)))
        }
        (Some(Value::Object(_)), _) => false,
        (patch, found) => same(patch, found),
    }
}

/// The names of the members of three objects; some occur more than once.
fn members<'m>(
    a: &'m Map<String, Value>,
    b: &'m Map<String, Value>,
    c: &'m Map<String, Value>,
) -> impl Iterator<Item = &'m String> {
    a.keys().chain(b.keys()).chain(c.keys())
}

fn plan_bind(bind: &Bind, cached: Option<&Object>) -> Vec<Write> {
    let Bind { pod, uid, node } = bind;
    if cached.is_some_and(|cached| cached.uid() == uid && cached.str_at("/spec/nodeName") == Some(node)) {
        return Vec::new();
    }
    let object = json!({
        "apiVersion": "v1", "kind": "Binding",
        // The API server copies annotations of a binding to the pod.
        "metadata": {"name": pod.name(), "namespace": pod.namespace(), "uid": uid, "annotations": {BOUND: uid}},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let payload = Payload::Create { object, fallback: None };
    vec![Write { target: ObjectRef::virt(kinds::POD, pod), subresource: Some("binding"), payload }]
}

/// Writes a binding into a pod, as the API server does.
pub fn note_binding(pod: &mut Value, bind: &Bind) {
    if pod.pointer("/metadata/uid").and_then(Value::as_str) != Some(&bind.uid) {
        return;
    }
    pod["metadata"]["annotations"][BOUND] = json!(bind.uid);
    pod["spec"]["nodeName"] = json!(bind.node);
    let Some(status) = pod.get_mut("status").and_then(Value::as_object_mut) else { return };
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|condition| condition["type"] != "PodScheduled");
        conditions.push(json!({"type": "PodScheduled", "status": "True"}));
    }
}

/// Returns true if a pod is as [`note_binding`] has left it: the version that the binding has made is not known yet.
pub fn is_binding_noted(pod: &Object) -> bool {
    let is_noted = |condition: &Value| {
        condition["type"] == "PodScheduled"
            && condition["status"] == "True"
            && condition.get("lastTransitionTime").is_none()
    };
    pod.list_at("/status/conditions").iter().any(is_noted)
}

/// Returns true if a pod is what [`note_binding`] has noted, with the version and the times of the API server.
pub fn is_binding_shown(noted: &Object, shown: &Object) -> bool {
    if !is_binding_noted(noted) {
        return false;
    }
    let (noted, shown) = (noted.value(), shown.value());
    let is_shown = |name: &str| match (noted.get(name), shown.get(name)) {
        (Some(Value::Object(noted)), Some(Value::Object(shown))) => noted.keys().chain(shown.keys()).all(|member| {
            let (noted, shown) = (noted.get(member), shown.get(member));
            match (name, member.as_str()) {
                ("metadata", "resourceVersion") => true,
                ("status", "conditions") => are_conditions_shown(noted, shown),
                _ => noted == shown,
            }
        }),
        (noted, shown) => noted == shown,
    };
    [noted, shown].into_iter().filter_map(Value::as_object).flat_map(Map::keys).all(|name| is_shown(name))
}

fn are_conditions_shown(noted: Option<&Value>, shown: Option<&Value>) -> bool {
    let (Some(Value::Array(noted)), Some(Value::Array(shown))) = (noted, shown) else { return false };
    let is_bound = |condition: &Value| condition["type"] == "PodScheduled" && condition["status"] == "True";
    noted.len() == shown.len()
        && noted.iter().zip(shown).all(|(noted, shown)| noted == shown || (is_bound(noted) && is_bound(shown)))
}

impl PlanContext<'_> {
    /// Checks that a host object belongs to exactly this virtual object.
    pub fn check_owner(&self, kind: Kind, host: &Object, owner: &OwnerRecord) -> Result<(), MapError> {
        let foreign = |why: String| Err(MapError::foreign(Side::Host, kind, host, why));
        match self.facts.ownership(host) {
            Ownership::Ours(found) if found == *owner => Ok(()),
            // A reservation is for whatever comes under the name.
            Ownership::Ours(found)
                if found.is_reservation() && (OwnerRecord { uid: owner.uid.clone(), ..found.clone() }) == *owner =>
            {
                Ok(())
            }
            // An earlier incarnation: its own reconcile removes it.
            Ownership::Ours(found)
                if found.uid != owner.uid
                    && (found.kind, &found.namespace, &found.name) == (owner.kind, &owner.namespace, &owner.name) =>
            {
                Err(MapError::Conflict(format!("{kind} {} still belongs to {}", host.name(), found.uid)))
            }
            Ownership::Ours(found) => {
                foreign(format!("it belongs to {} {}/{}", found.kind, found.namespace, found.name))
            }
            Ownership::Foreign(why) => foreign(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualKey;

    #[test]
    fn a_binding_that_the_api_server_shows_is_told_from_other_changes() {
        let bind = Bind { pod: VirtualKey::new("shop", "web"), uid: "u".to_owned(), node: "n".to_owned() };
        let mut pod = json!({"metadata": {"name": "web", "uid": "u", "resourceVersion": "7"}, "spec": {},
                             "status": {"phase": "Pending", "conditions": [{"type": "Mine", "status": "True"}]}});
        note_binding(&mut pod, &bind);
        let noted = Object::new(pod.clone());
        pod["metadata"]["resourceVersion"] = json!("8");
        pod["status"]["conditions"][1]["lastTransitionTime"] = json!("2027-01-15T08:00:00Z");
        assert!(is_binding_shown(&noted, &Object::new(pod.clone())));
        for (pointer, value) in [
            ("/metadata/labels", json!({"topology.kubernetes.io/zone": "a"})),
            ("/spec/nodeName", json!("m")),
            ("/status/phase", json!("Failed")),
            ("/status/conditions/0/status", json!("False")),
            ("/status/conditions/1/status", json!("False")),
            ("/status/conditions", json!([])),
            ("/other", json!(1)),
        ] {
            let mut changed = pod.clone();
            crate::pointer::set(&mut changed, pointer, value);
            assert!(!is_binding_shown(&noted, &Object::new(changed)), "{pointer}");
        }
        assert!(!is_binding_shown(&Object::new(pod.clone()), &Object::new(pod)), "nothing was noted");
    }

    #[test]
    fn an_answer_that_shows_what_was_written_is_told_from_news() {
        let known = json!({"metadata": {"name": "web", "uid": "u", "resourceVersion": "7"},
                           "spec": {"a": 1}, "status": {"phase": "Pending", "ip": "x", "list": [1, 2]}});
        let write = |payload: Payload| Write {
            target: ObjectRef::new(Side::Virtual, kinds::POD, "shop", "web"),
            subresource: Some("status"),
            payload,
        };
        let body = json!({"metadata": {"uid": "u", "resourceVersion": "7"},
                          "status": {"phase": "Running", "ip": null, "list": [3]}});
        let written = json!({"metadata": {"name": "web", "uid": "u", "resourceVersion": "8"},
                             "spec": {"a": 1}, "status": {"phase": "Running", "list": [3]}});
        let patch = write(Payload::Merge(body.clone()));
        for (pointer, value, is_known) in [
            ("/metadata/resourceVersion", json!("9"), true),
            ("/status/ip", json!(null), true),
            ("/status/ip", json!("y"), false),
            ("/status/phase", json!("Failed"), false),
            ("/status/list", json!([3, 4]), false),
            ("/status/other", json!(1), false),
            ("/spec/a", json!(2), false),
            ("/spec/b", json!(2), false),
            ("/metadata/labels", json!({"a": "b"}), false),
        ] {
            let mut answer = written.clone();
            crate::pointer::set(&mut answer, pointer, value);
            let answer = Object::new(answer);
            let known = Object::new(known.clone());
            assert_eq!(is_as_written(&patch, &known, &answer), is_known, "{pointer}");
            let strategic = write(Payload::Strategic(body.clone()));
            assert!(!is_as_written(&strategic, &known, &answer), "lists are merged by key");
        }
    }
}

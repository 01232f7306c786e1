//! Plans: the requests that perform an effect, given what is known of its object.
//!
//! One pure function says what is sent. The gate of the engine sends it, the test kit performs it on its objects, so an
//! effect has one meaning. Checks of ownership are part of the plan: a foreign object has none.

mod delete;
pub mod event;
mod host;
mod virt;

pub use delete::{Proof, proof};
use serde_json::{Value, json};
use tenet_translate::keys::BOUND;
use tenet_translate::owner::{OwnerRecord, Ownership};

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

impl PlanContext<'_> {
    /// Checks that a host object belongs to exactly this virtual object.
    pub fn check_owner(&self, kind: Kind, host: &Object, owner: &OwnerRecord) -> Result<(), MapError> {
        let foreign = |why: String| {
            Err(MapError::Foreign { object: format!("{kind} {}/{}", host.namespace(), host.name()), why })
        };
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

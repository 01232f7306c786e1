//! Owners of host pods. A `ReplicaSet` of the host takes every pod without a controller that its selector matches, and
//! deletes what is too much; and `kubectl drain` evicts no pod without one. So every host pod has one, a `ConfigMap` of
//! the syncer.
//!
//! The garbage collector deletes an object when the last of its owners is gone. So the host namespace is an owner, too:
//! when somebody deletes the `ConfigMap`, the pods lose that owner alone, stay, and get the next one.

use serde_json::{Value, json};
use tenet_mapper::keys::{KIND, NAME};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::translate::names::POD_OWNER;
use tenet_mapper::{
    ApplyHost, Context, Dependency, Effect, HostKey, HostPatch, Input, KeysOf, MapError, Object, Outcome, PatchFormat,
    Projection, Side, VirtualKey, kinds,
};

use super::Subject;

/// The virtual namespace that identifies the virtual cluster; the `ConfigMap` belongs to it.
const SYSTEM: &str = "kube-system";

/// The key whose reconcile follows a change of the owner. Pods have a namespace, so no pod has it.
const KEY: &str = "owner";

/// State of the owner of a pod.
pub(super) enum Owner {
    /// The references to it are these.
    Known(Value),
    /// It must be [created](create) first.
    Missing(Dependency),
}

/// Finds the owner of the pods of a virtual cluster.
pub(super) fn find(cx: &Context<'_>) -> Result<Owner, MapError> {
    let host_key = host_key(cx);
    let Some(found) = cx.host(kinds::CONFIG_MAP, &host_key) else {
        return Ok(Owner::Missing(Dependency::host(kinds::CONFIG_MAP, &host_key)));
    };
    cx.owned_by(kinds::NAMESPACE, &VirtualKey::new("", SYSTEM), &found)?;
    let namespace = (found.namespace(), &cx.facts().host_namespace_uid);
    Ok(Owner::Known(json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "name": found.name(), "uid": found.uid(), "controller": true},
        {"apiVersion": "v1", "kind": "Namespace", "name": namespace.0, "uid": namespace.1},
    ])))
}

/// Returns the input that shows the owner.
pub(super) fn input() -> Input {
    Input::new(Side::Host, kinds::CONFIG_MAP, Projection::Metadata, KeysOf::With(of_owner))
}

fn of_owner(map: &Object) -> Vec<VirtualKey> {
    let is_owner = map.annotation(NAME) == Some(SYSTEM)
        && map.annotation(KIND) == Some(kinds::NAMESPACE.kind)
        && map.name().starts_with(POD_OWNER);
    if is_owner { vec![VirtualKey::new("", KEY)] } else { Vec::new() }
}

/// Creates an owner that was deleted; as soon as there is one again, every pod is due to get it. `None` for the key of
/// something else.
pub(super) fn heal(cx: &Context<'_>, key: &VirtualKey) -> Option<Outcome> {
    (key.name() == KEY).then(|| match find(cx) {
        Ok(Owner::Known(_)) => Outcome::done().with_all(),
        Ok(Owner::Missing(_)) => Outcome::one(create(cx)),
        // Each pod reports the object that has its name.
        Err(_) => Outcome::done(),
    })
}

/// Creates the owner.
pub(super) fn create(cx: &Context<'_>) -> Effect {
    let (key, facts) = (host_key(cx), cx.facts());
    let owner = OwnerRecord {
        cluster: facts.cluster_id.clone(),
        kind: kinds::NAMESPACE.group_kind(),
        namespace: String::new(),
        name: SYSTEM.to_owned(),
        uid: facts.cluster_id.clone(),
    };
    let desired = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": key.name(), "namespace": key.namespace(),
            "labels": owner.labels(&facts.names.cluster), "annotations": owner.annotations(key.namespace(), key.name()),
        },
        "data": {"about": "Owner of the pods of this virtual cluster. They stay when it is deleted, and get a new one."},
    });
    Effect::ApplyHost(Box::new(ApplyHost { kind: kinds::CONFIG_MAP, key, owner, desired, table: None, fallback: None }))
}

/// Returns the patch that gives a host pod its owners, which it lacks when it is older than they are. One that another
/// controller has taken stays as it is: the API allows one controller.
pub(super) fn adopt(pod: &Subject<'_, '_>, host: &Object, owners: &Value) -> Option<Effect> {
    let (found, name) = (host.list_at("/metadata/ownerReferences"), host_key(pod.cx));
    let wanted = owners.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ours = |owner: &&Value| {
        (owner["kind"] == "ConfigMap" && owner["name"] == name.name())
            || (owner["kind"] == "Namespace" && owner["apiVersion"] == "v1")
    };
    let is_missing = |owner: &Value| !found.iter().any(|found| found["uid"] == owner["uid"]);
    let is_taken = found.iter().any(|owner| owner["controller"] == true && !is_ours(&owner));
    if is_taken || !wanted.iter().any(is_missing) {
        return None;
    }
    let others = found.iter().filter(|owner| !is_ours(owner));
    let owners: Vec<_> = others.chain(wanted).collect();
    let body = json!({"metadata": {"resourceVersion": host.resource_version(), "ownerReferences": owners}});
    let (kind, key, owner) = (kinds::POD, pod.host_key.clone(), pod.owner());
    Some(Effect::PatchHost(HostPatch { kind, key, owner, subresource: None, format: PatchFormat::Merge, body }))
}

fn host_key(cx: &Context<'_>) -> HostKey {
    let names = &cx.facts().names;
    HostKey::new(names.host_namespace(SYSTEM), names.pod_owner_name())
}

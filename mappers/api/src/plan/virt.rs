use serde_json::{Value, json};
use tenet_translate::keys::MANAGED_BY;
use tenet_translate::pointer;

use super::{Payload, PlanContext, Write};
use crate::patch::merge_diff;
use crate::{ApplyVirtual, MapError, Object, ObjectRef, RequestCertificate, VirtualPatch, condition, kinds};

/// The subresource, and the member of objects.
const STATUS: &str = "status";

/// A request never changes: one that exists is the answer to an earlier try.
pub(super) fn request(request: &RequestCertificate, cached: Option<&Object>) -> Vec<Write> {
    if cached.is_some() {
        return Vec::new();
    }
    let target = ObjectRef::virt(kinds::POD_CERTIFICATE_REQUEST, &request.key);
    let payload = Payload::Create { object: request.desired.clone(), fallback: None };
    vec![Write { target, subresource: None, payload }]
}

/// A picture of something of the host carries our mark; an object without it is somebody else's.
pub(super) fn apply(
    apply: &ApplyVirtual,
    cached: Option<&Object>,
    cx: &PlanContext<'_>,
) -> Result<Vec<Write>, MapError> {
    let (cluster, target) = (&cx.facts.names.cluster, ObjectRef::virt(apply.kind, &apply.key));
    let mut desired = apply.desired.clone();
    desired["metadata"]["labels"][MANAGED_BY] = json!(cluster);
    let Some(cached) = cached else {
        let payload = Payload::Create { object: desired, fallback: None };
        return Ok(vec![Write { target, subresource: None, payload }]);
    };
    if !apply.adopt && !cx.facts.has_made(cached) {
        return Err(MapError::not_made(apply.kind, cached));
    }
    let mut writes = Vec::new();
    for subresource in [None, Some(STATUS)] {
        let mut body = changes(&desired, cached.value(), subresource);
        if body != json!({}) {
            body["metadata"]["uid"] = json!(cached.uid());
            writes.push(Write { target: target.clone(), subresource, payload: Payload::Merge(body) });
        }
    }
    Ok(writes)
}

/// Differences to write: of the metadata, labels and annotations that the picture has; of
/// the rest, everything that it has, either the status or all but the status.
fn changes(desired: &Value, found: &Value, subresource: Option<&str>) -> Value {
    let mut body = json!({});
    let Some(members) = desired.as_object() else { return body };
    for (name, wanted) in members {
        let found = found.get(name).unwrap_or(&Value::Null);
        let change = match name.as_str() {
            "metadata" if subresource.is_none() => metadata_changes(wanted, found),
            "apiVersion" | "kind" | "metadata" => None,
            _ if subresource.map_or(name == STATUS, |subresource| subresource != name) => None,
            // The API server shows an empty list that has no `omitempty` as null.
            _ if found.is_null() && wanted.as_array().is_some_and(Vec::is_empty) => None,
            _ => merge_diff(found, wanted),
        };
        if let Some(change) = change {
            body[name] = change;
        }
    }
    body
}

fn metadata_changes(wanted: &Value, found: &Value) -> Option<Value> {
    let mut change = json!({});
    for map in ["labels", "annotations"] {
        for (key, value) in wanted.get(map).and_then(Value::as_object).into_iter().flatten() {
            if found.get(map).and_then(|map| map.get(key)) != Some(value) {
                change[map][key] = value.clone();
            }
        }
    }
    (change != json!({})).then_some(change)
}

/// Parts of a virtual object that the host owns: status, addresses. The condition of the engine stays as it is.
pub(super) fn patch(wanted: &VirtualPatch, cached: Option<&Object>) -> Result<Vec<Write>, MapError> {
    let VirtualPatch { kind, key, uid, version, subresource, values, cause: _ } = wanted;
    let Some(cached) = cached.filter(|cached| cached.uid() == uid) else {
        return Err(MapError::Conflict(format!("{kind} {key} has changed since it was seen")));
    };
    let mut body = json!({});
    for (pointer, value) in values {
        let value = condition::keep(cached, pointer, value);
        if let Some(change) = merge_diff(cached.at(pointer).unwrap_or(&Value::Null), &value) {
            pointer::set(&mut body, pointer, change);
        }
    }
    if body == json!({}) {
        return Ok(Vec::new());
    }
    // The server compares the UID: another incarnation answers with a conflict.
    body["metadata"]["uid"] = json!(uid);
    match (version, subresource) {
        (Some(version), _) => body["metadata"]["resourceVersion"] = json!(version),
        // The present version may hold a change of the tenant that the mapper has not seen.
        (None, None) => {
            return Err(MapError::Malformed(format!(
                "a patch of {kind} {key} needs the version that it was derived from"
            )));
        }
        (None, Some(_)) => {}
    }
    Ok(vec![Write { target: ObjectRef::virt(*kind, key), subresource: *subresource, payload: Payload::Merge(body) }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{VirtualKey, kinds};

    #[test]
    fn a_change_of_the_tenant_that_the_mapper_has_not_seen_is_not_reverted() {
        let service = |version: &str, port: u16| {
            Object::new(json!({"kind": "Service", "metadata": {"namespace": "shop", "name": "web", "uid": "u",
                "resourceVersion": version}, "spec": {"ports": [{"port": port}]}}))
        };
        let derived = |version: Option<&str>| VirtualPatch {
            kind: kinds::SERVICE,
            key: VirtualKey::new("shop", "web"),
            uid: "u".to_owned(),
            version: version.map(str::to_owned),
            subresource: None,
            values: vec![("/spec/ports".into(), json!([{"port": 80, "nodePort": 30_000}]))],
            cause: None,
        };
        // It was derived from version 1, with the port 80; the tenant has changed the port since.
        let writes = patch(&derived(Some("1")), Some(&service("2", 81))).unwrap();
        let Payload::Merge(body) = &writes[0].payload else { panic!("a merge patch") };
        assert_eq!(body["metadata"]["resourceVersion"], "1", "the server answers with a conflict");
        assert!(matches!(patch(&derived(None), Some(&service("2", 81))), Err(MapError::Malformed(_))));
    }

    #[test]
    fn a_picture_enforces_what_it_shows_and_leaves_the_rest() {
        let desired = json!({"kind": "Node", "metadata": {"name": "a", "labels": {"x": "1"}},
                             "spec": {"taints": []}, "status": {"phase": "on"}});
        let found = json!({"kind": "Node", "metadata": {"name": "a", "labels": {"x": "0", "theirs": "y"}},
                           "spec": {"taints": [{"key": "k"}], "podCIDR": "c"}, "status": {"phase": "off"}});
        assert_eq!(
            changes(&desired, &found, None),
            json!({"metadata": {"labels": {"x": "1"}}, "spec": {"taints": [], "podCIDR": null}})
        );
        assert_eq!(changes(&desired, &found, Some("status")), json!({"status": {"phase": "on"}}));
        assert_eq!(changes(&desired, &desired, None), json!({}));
        let (emptied, shown) = (json!({"endpoints": [], "ports": []}), json!({"endpoints": null, "ports": null}));
        assert_eq!(changes(&emptied, &shown, None), json!({}), "an API server shows an empty list as null");
        assert_eq!(changes(&emptied, &json!({"endpoints": [{}]}), None), json!({"endpoints": []}));
    }
}

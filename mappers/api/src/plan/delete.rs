use serde_json::json;
use tenet_translate::owner::{OwnerRecord, Ownership};

use super::{Payload, PlanContext, Write};
use crate::{Cause, Deletion, Facts, Kind, MapError, Object, ObjectRef, Side};

/// Returns the owner record of a host object, which must name an object of the kind `original`.
pub(super) fn record_of(kind: Kind, original: Kind, host: &Object, facts: &Facts) -> Result<OwnerRecord, MapError> {
    match facts.ownership(host) {
        Ownership::Ours(record) if record.kind == original => Ok(record),
        Ownership::Ours(record) => Err(belongs_to(kind, host, &record)),
        Ownership::Foreign(why) => Err(MapError::foreign(Side::Host, kind, host, why.to_string())),
    }
}

/// Returns the copy of a virtual object.
pub(super) fn copy_of(kind: Kind, virt: &Object, facts: &Facts) -> ObjectRef {
    let (names, namespace) = (&facts.names, virt.namespace());
    let name = names.host_name(kind.group_kind(), namespace, virt.name());
    ObjectRef::new(Side::Host, kind, names.host_namespace(namespace), &name)
}

/// On the host only what carries our record is deleted, on the virtual side pictures only with our mark.
pub(super) fn delete(
    deletion: &Deletion,
    cached: Option<&Object>,
    cx: &PlanContext<'_>,
) -> Result<Vec<Write>, MapError> {
    let ObjectRef { side, kind, name, .. } = deletion.target();
    let Some(cached) = cached.filter(|cached| cached.uid() == deletion.uid()) else {
        return Err(MapError::Conflict(format!("{kind} {name} has changed since it was seen")));
    };
    match side {
        Side::Host => check_host(deletion, cached, cx.facts)?,
        Side::Virtual => check_virtual(deletion, cached, cx.facts)?,
    }
    let mut options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions",
        "preconditions": {"uid": deletion.uid()}, "propagationPolicy": "Background",
    });
    if let Some(version) = deletion.version() {
        options["preconditions"]["resourceVersion"] = json!(version);
    }
    if let Some(grace) = deletion.grace() {
        options["gracePeriodSeconds"] = json!(grace);
    }
    Ok(vec![Write { target: deletion.target().clone(), subresource: None, payload: Payload::Delete(options) }])
}

fn check_host(deletion: &Deletion, host: &Object, facts: &Facts) -> Result<(), MapError> {
    let kind = deletion.target().kind;
    let record = match facts.ownership(host) {
        Ownership::Ours(record) => record,
        Ownership::Foreign(why) => return Err(MapError::foreign(Side::Host, kind, host, why.to_string())),
    };
    let is_meant = match deletion.cause() {
        Cause::TwinDeleting { twin, uid } => {
            record.kind == twin.kind
                && (record.namespace.as_str(), record.name.as_str()) == (&*twin.namespace, &*twin.name)
                && (record.is_reservation() || record.uid == *uid)
        }
        Cause::TwinAbsent { twin } => record.kind == *twin,
        Cause::Redundant => true,
        Cause::ShownAbsent | Cause::SourcesAbsent { .. } => false,
    };
    if is_meant { Ok(()) } else { Err(belongs_to(kind, host, &record)) }
}

fn check_virtual(deletion: &Deletion, virt: &Object, facts: &Facts) -> Result<(), MapError> {
    let kind = deletion.target().kind;
    match deletion.cause() {
        Cause::TwinDeleting { twin, .. } if *twin != copy_of(kind, virt, facts) => {
            Err(MapError::foreign(Side::Virtual, kind, virt, format!("{twin} is not its copy")))
        }
        Cause::TwinDeleting { .. } | Cause::TwinAbsent { .. } => Ok(()),
        _ if facts.has_made(virt) => Ok(()),
        _ => Err(MapError::not_made(kind, virt)),
    }
}

fn belongs_to(kind: Kind, host: &Object, record: &OwnerRecord) -> MapError {
    MapError::foreign(
        Side::Host,
        kind,
        host,
        format!("it belongs to {} {}/{}", record.kind, record.namespace, record.name),
    )
}

#[cfg(all(test, feature = "testing"))]
mod tests;

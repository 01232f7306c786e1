//! What a Service needs of the host before it is stored: addresses and node ports cannot be
//! changed afterwards, so the host gives them first.

use serde_json::{Value, json};
use tenet_mapper::{Admission, Context, MapError, Need, Object, Operation, Request, Scope, VirtualKey};

use super::growth::{self, addition};
use super::{ServiceMapper, address, api, change, is_external, ranges};

/// Updates that leave the spec alone need nothing of the host; the Service of the API server
/// itself is not copied; and from the samples the syncer learns before it can answer.
const CONDITIONS: &[(&str, &str)] = &[
    ("not-the-api-server", "!(request.namespace == 'default' && has(request.name) && request.name == 'kubernetes')"),
    (
        "not-a-sample",
        "!(has(request.dryRun) && request.dryRun && has(request.name) && request.name == 'tenet-defaults')",
    ),
    ("spec-changes", "request.operation == 'CREATE' || object.spec != oldObject.spec"),
];

const PREFERRED: &str = "PreferDualStack";
const SINGLE: &str = "SingleStack";

impl Admission for ServiceMapper {
    fn scope(&self) -> Scope {
        Scope {
            updates: true,
            conditions: CONDITIONS.iter().map(|(name, is_true)| ((*name).into(), (*is_true).into())).collect(),
        }
    }

    fn need(&self, cx: &Context<'_>, request: &Request, host: Option<&Object>) -> Result<Need, MapError> {
        if is_ignored(request) {
            return Ok(Need::Nothing);
        }
        let virt = whole(cx, request);
        let mut desired = match self.copies.desired(cx, &virt, host) {
            Err(MapError::Refused(_)) if self.was_refused(cx, request) => return Ok(Need::Nothing),
            other => other?,
        };
        if address::is_headless(&virt) {
            return Ok(Need::Nothing);
        }
        if let Some((outside, ranges)) = ranges::outside(cx, &address::asked(&virt)) {
            let why = format!("{outside} is outside of the service ranges of this cluster, {ranges}");
            return Err(MapError::refused("spec.clusterIP", why));
        }
        let Some(host) = host else {
            // It is stored and could not cross: how else would it be mended?
            if request.old.as_ref().is_some_and(|old| !is_external(old)) {
                return Ok(Need::Nothing);
            }
            prune(&mut desired);
            self.copies.note_applied(&mut desired)?;
            return Ok(Need::Create(desired));
        };
        if request.operation == Operation::Create && !fits(&virt, host) {
            return Ok(Need::Other);
        }
        Ok(Need::Change(addition(&virt, host)))
    }

    fn answer(&self, cx: &Context<'_>, request: &Request, host: &Object) -> Result<Vec<(String, Value)>, MapError> {
        let virt = whole(cx, request);
        if let Some((outside, ranges)) = ranges::outside(cx, &address::of(host)) {
            let why = format!("the service ranges differ: the host gives it {outside}, and this cluster has {ranges}");
            return Err(MapError::refused("spec.clusterIP", why));
        }
        let mut values = Vec::new();
        // An address that was stored stays, whatever the host has: the mapper repairs it.
        if address::of(host).starts_with(&address::asked(&virt)) {
            values.extend(addresses(&request.object, host));
        }
        if growth::has_node_ports(&virt) {
            values.push(("/spec/ports".to_owned(), ports(&virt, host)));
        }
        if let Some(port) = host.at("/spec/healthCheckNodePort").filter(|_| growth::has_health_port(&virt)) {
            values.push(("/spec/healthCheckNodePort".to_owned(), port.clone()));
        }
        Ok(values)
    }
}

impl ServiceMapper {
    /// What could not cross before may be changed: how else would it be mended?
    fn was_refused(&self, cx: &Context<'_>, request: &Request) -> bool {
        let old = request.old.as_ref().filter(|old| !is_external(old));
        old.is_some_and(|old| matches!(self.copies.desired(cx, old, None), Err(MapError::Refused(_))))
    }
}

/// What is no matter of the host, or the syncer's own doing.
fn is_ignored(request: &Request) -> bool {
    let key = VirtualKey::new(request.object.namespace(), request.object.name());
    api::is_api(&key) || is_external(&request.object) || request.old.as_ref().is_some_and(change::is_open)
}

/// The object with what the API server carries over from the stored one by itself.
fn whole(cx: &Context<'_>, request: &Request) -> Object {
    let mut object = match &request.old {
        Some(old) if !is_external(old) => address::carried(request.object.value(), old),
        _ => request.object.value().clone(),
    };
    let policy = object.pointer_mut("/spec/ipFamilyPolicy").filter(|policy| **policy == PREFERRED);
    if let Some(policy) = policy.filter(|_| !ranges::are_of_both_families(cx)) {
        *policy = json!(SINGLE);
    }
    Object::new(object)
}

/// Whether a reservation will do for another request to create the Service: an address
/// cannot be changed.
fn fits(virt: &Object, host: &Object) -> bool {
    !address::is_headless(host) && address::of(host).starts_with(&address::asked(virt))
}

/// Both lists and the families; a policy that asks for a family which the host does not have
/// would make the API server add an address of its own.
fn addresses(virt: &Object, host: &Object) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    for field in ["clusterIP", "clusterIPs", "ipFamilies"] {
        let pointer = format!("/spec/{field}");
        if let Some(value) = host.at(&pointer) {
            values.push((pointer, value.clone()));
        }
    }
    if address::of(host).len() == 1 && virt.str_at("/spec/ipFamilyPolicy") == Some(PREFERRED) {
        values.push(("/spec/ipFamilyPolicy".to_owned(), json!(SINGLE)));
    }
    values
}

/// The ports with what the host has given to each; one that has moved keeps what it has.
fn ports(virt: &Object, host: &Object) -> Value {
    let mut ports = virt.list_at("/spec/ports").to_vec();
    for port in &mut ports {
        let twin = host.list_at("/spec/ports").iter().find(|other| address::port_id(other) == address::port_id(port));
        if let Some(given) = twin.map(growth::node_port).filter(|given| *given != 0) {
            port["nodePort"] = json!(given);
        }
    }
    Value::Array(ports)
}

/// What the API server of the virtual cluster takes out by itself, but only afterwards.
fn prune(desired: &mut Value) {
    if let Some(spec) = desired.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("externalName");
    }
}

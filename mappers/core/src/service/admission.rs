//! Admission of Services: addresses and node ports cannot change after a Service is
//! stored, so the host assigns them before.

use serde_json::{Value, json};
use tenet_mapper::{Admission, Context, MapError, Need, Object, Operation, Request, Scope, VirtualKey};

use super::growth::{self, addition};
use super::{ServiceMapper, address, api, change, is_external, ranges};

/// Conditions of the webhook. Updates that leave the spec alone need nothing from the host; the API server's own
/// Service itself is not copied; and the syncer sends the samples before its webhook can answer.
const CONDITIONS: &[(&str, &str)] = &[
    ("not-the-api-server", "!(request.namespace == 'default' && has(request.name) && request.name == 'kubernetes')"),
    (
        "not-a-sample",
        "!(has(request.dryRun) && request.dryRun && has(request.name) && request.name == 'tenet-defaults')",
    ),
    ("spec-changes", "request.operation == 'CREATE' || object.spec != oldObject.spec"),
];

/// Fields that cannot change while a Service has an address.
const ADDRESSES: [&str; 3] = ["/spec/clusterIP", "/spec/clusterIPs", "/spec/ipFamilies"];
const HEALTH: &str = "/spec/healthCheckNodePort";

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
            // The stored Service could not cross, so a change must be possible to repair it.
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
        // A stored address stays, whatever the host has: the mapper repairs it.
        if address::of(host).starts_with(&address::asked(&virt)) && !is_changed(request, host, &ADDRESSES) {
            values.extend(addresses(&request.object, host));
        }
        if growth::has_node_ports(&virt) {
            values.push(("/spec/ports".to_owned(), ports(&virt, host)));
        }
        let has_health_port = growth::has_health_port(&virt) && !is_changed(request, host, &[HEALTH]);
        if let Some(port) = host.at("/spec/healthCheckNodePort").filter(|_| has_health_port) {
            values.push(("/spec/healthCheckNodePort".to_owned(), port.clone()));
        }
        Ok(values)
    }
}

impl ServiceMapper {
    /// Returns true if the stored Service could not cross. Its change is allowed, as it may repair that.
    fn was_refused(&self, cx: &Context<'_>, request: &Request) -> bool {
        let old = request.old.as_ref().filter(|old| !is_external(old));
        old.is_some_and(|old| matches!(self.copies.desired(cx, old, None), Err(MapError::Refused(_))))
    }
}

/// Returns true for requests that do not concern the host, and for the syncer's own.
fn is_ignored(request: &Request) -> bool {
    let key = VirtualKey::new(request.object.namespace(), request.object.name());
    api::is_api(&key) || is_external(&request.object) || request.old.as_ref().is_some_and(change::is_open)
}

/// Returns true if an update sets one of these fields to another value than the host has. The API server refuses it by
/// itself, where the value of the host in its place would be a change that is undone without a word.
fn is_changed(request: &Request, host: &Object, fields: &[&str]) -> bool {
    let Some(old) = request.old.as_ref().filter(|old| !is_external(old)) else { return false };
    fields.iter().any(|field| {
        let asked = request.object.at(field).filter(|asked| !is_blank(asked) && old.at(field) != Some(asked));
        asked.is_some_and(|asked| match (asked, host.at(field)) {
            (Value::Array(asked), Some(Value::Array(given))) => !given.starts_with(asked),
            (asked, given) => given != Some(asked),
        })
    })
}

/// Returns true for a value that the API server replaces by the stored one.
fn is_blank(value: &Value) -> bool {
    value.is_null() || *value == "" || *value == 0 || value.as_array().is_some_and(Vec::is_empty)
}

/// Returns the object with the values that the API server carries over from the stored one.
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

/// Returns true if a reservation fits another request to create the Service: an address
/// cannot be changed.
fn fits(virt: &Object, host: &Object) -> bool {
    !address::is_headless(host) && address::of(host).starts_with(&address::asked(virt))
}

/// Returns both address lists and the families; a policy that requests a family which the host lacks
/// would make the API server assign an address of its own.
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

/// Returns the ports with the node ports of the host; a moved port keeps its node port.
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

/// Removes fields that the virtual API server removes itself, but only after the webhook.
fn prune(desired: &mut Value) {
    if let Some(spec) = desired.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("externalName");
    }
}

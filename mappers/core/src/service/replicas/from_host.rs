//! Services of the host, shown inside: a Service without a cluster address whose endpoints are the addresses of the
//! host's Service. Names resolve to these, and the host balances. Nothing of it is copied back to the host.
//!
//! Nothing is deleted because a Service of the host is missing: the Service inside stays, without endpoints.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use tenet_mapper::keys::{MANAGED_BY, SHOWS};
use tenet_mapper::{
    ApplyVirtual, Context, Dependency, Effect, Event, EventReason, HostKey, Input, KeysOf, Kind, Object, Outcome,
    Projection, Right, Side, Verb, VirtualKey, kinds,
};

use super::config::{FromHost, ReplicateServices, key_of};
use crate::service::address;

/// Label that names the Service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that says which controller writes a slice; the others leave it alone.
const SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Families of addresses, each of which has a slice.
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// Returns what showing Services of the host reads.
pub(in crate::service) fn inputs() -> [Input; 2] {
    let slices = Input::new(Side::Virtual, kinds::ENDPOINT_SLICE, Projection::Whole, KeysOf::With(key_of_slice));
    [
        slices.selected(crate::endpoint_slice::NOT_FROM_SELECTOR),
        Input::new(Side::Virtual, kinds::NAMESPACE, Projection::Metadata, KeysOf::None),
    ]
}

/// Returns the rights that showing Services of the host needs.
pub(in crate::service) fn rights() -> [Right; 2] {
    let verbs = &[Verb::Get, Verb::Create, Verb::Patch];
    let why = "shows the Services of replicateServices.fromHost";
    [Right::virt(kinds::SERVICE, verbs, why), Right::virt(kinds::ENDPOINT_SLICE, verbs, why)]
}

/// Returns the Service of a slice that the syncer has made.
fn key_of_slice(slice: &Object) -> Vec<VirtualKey> {
    let name = slice.label(SERVICE_NAME).filter(|_| slice.label(MANAGED_BY).is_some());
    name.map(|name| VirtualKey::new(slice.namespace(), name)).into_iter().collect()
}

/// Returns true if a virtual Service shows one of the host, also when the configuration does not list it any more.
pub(in crate::service) fn is_shown(cx: &Context<'_>, virt: &Object) -> bool {
    cx.facts().has_made(virt) && virt.annotation(SHOWS).is_some()
}

/// Shows all listed Services. Every change of a foreign Service on the host leads here, as no key is known for it.
pub(in crate::service) fn show_all(cx: &Context<'_>, mut outcome: Outcome) -> Outcome {
    let section = cx.section::<ReplicateServices>();
    for entry in &section.from_host {
        let (key, namespace) = (key_of(&entry.to), VirtualKey::new("", entry.to.namespace.as_str()));
        outcome = outcome
            .wait_for(Dependency::virt(kinds::SERVICE, &key))
            .wait_for(Dependency::virt(kinds::NAMESPACE, &namespace));
        if cx.virt(kinds::NAMESPACE, &namespace).is_none_or(|namespace| namespace.is_deleting()) {
            continue;
        }
        let is_free = cx.virt(kinds::SERVICE, &key).is_none_or(|virt| is_shown(cx, &virt) && !virt.is_deleting());
        if is_free {
            outcome = entries(cx, entry, outcome);
        }
    }
    outcome
}

/// Looks after a virtual Service that shows one of the host.
pub(in crate::service) fn show(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> Outcome {
    let section = cx.section::<ReplicateServices>();
    if virt.is_deleting() {
        return Outcome::done();
    }
    let Some(entry) = section.shown_at(key) else {
        let message = "shows no Service of the host any more: the configuration does not list it; delete it";
        let emptied = Outcome::done().then_together(emptied(cx, key, &FAMILIES));
        return emptied.then(Effect::Emit(Event::warning(kinds::SERVICE, virt, EventReason::Degraded, message)));
    };
    entries(cx, entry, Outcome::done())
}

/// Returns the writes for one entry of the list.
fn entries(cx: &Context<'_>, entry: &FromHost, outcome: Outcome) -> Outcome {
    let key = key_of(&entry.to);
    let host_key = HostKey::new(cx.facts().names.host_namespace(key.namespace()), entry.from.as_str());
    let source = cx.host(kinds::SERVICE, &host_key);
    let virt = cx.virt(kinds::SERVICE, &key);
    let addresses: Vec<_> = source.as_ref().map(address::of).unwrap_or_default();
    let addresses: Vec<IpAddr> = addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let Some(source) = source.filter(|_| !addresses.is_empty()) else {
        let gone = outcome.then_together(emptied(cx, &key, &FAMILIES));
        let message = format!("the host has no Service {} with an address", entry.from);
        let told = virt.map(|virt| Event::warning(kinds::SERVICE, &virt, EventReason::Degraded, message));
        return gone.then_together(told.map(Effect::Emit));
    };
    let slices = addresses.iter().map(|address| slice(&key, &source, *address));
    let others: Vec<_> =
        FAMILIES.into_iter().filter(|family| !addresses.iter().any(|it| family_of(*it) == *family)).collect();
    outcome
        .then(picture(kinds::SERVICE, key.clone(), service(&key, &source, &host_key, virt.as_ref())))
        .then_together(slices.chain(emptied(cx, &key, &others)))
}

fn picture(kind: Kind, key: VirtualKey, desired: Value) -> Effect {
    Effect::ApplyVirtual(ApplyVirtual { kind, key, desired, adopt: false })
}

fn service(key: &VirtualKey, source: &Object, host_key: &HostKey, virt: Option<&Object>) -> Value {
    let ports: Vec<_> = source
        .list_at("/spec/ports")
        .iter()
        .map(|port| {
            let mut shown = members(port, &["name", "protocol", "port", "appProtocol"]);
            shown.insert("targetPort".to_owned(), port["port"].clone());
            Value::Object(shown)
        })
        .collect();
    let mut spec = json!({"type": "ClusterIP", "clusterIP": "None", "ports": ports});
    // The API server fills in the rest. A selector would add endpoints.
    let found = virt.and_then(|virt| virt.at("/spec")).and_then(Value::as_object).into_iter().flatten();
    for (field, value) in found.filter(|(field, _)| *field != "selector") {
        if spec.get(field).is_none() {
            spec[field.as_str()] = value.clone();
        }
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": key.name(), "namespace": key.namespace(), "annotations": {SHOWS: host_key.to_string()}},
        "spec": spec,
    })
}

fn slice(key: &VirtualKey, source: &Object, address: IpAddr) -> Effect {
    let family = family_of(address);
    let ports: Vec<_> = source
        .list_at("/spec/ports")
        .iter()
        .map(|port| {
            let mut shown = members(port, &["protocol", "port", "appProtocol"]);
            shown.insert("name".to_owned(), port.get("name").cloned().unwrap_or_else(|| json!("")));
            Value::Object(shown)
        })
        .collect();
    let name = slice_name(key, family);
    let desired = json!({
        "apiVersion": kinds::ENDPOINT_SLICE.api_version(), "kind": kinds::ENDPOINT_SLICE.kind,
        "metadata": {
            "name": name, "namespace": key.namespace(),
            "labels": {SERVICE_NAME: key.name(), SLICE_MANAGED_BY: crate::endpoint_slice::CONTROLLER},
        },
        "addressType": family,
        "endpoints": [{"addresses": [address.to_string()], "conditions": {"ready": true}}],
        "ports": ports,
    });
    picture(kinds::ENDPOINT_SLICE, VirtualKey::new(key.namespace(), name), desired)
}

/// Returns the writes after which slices that exist have no endpoints.
fn emptied(cx: &Context<'_>, key: &VirtualKey, families: &[&str]) -> Vec<Effect> {
    let keys = families.iter().map(|family| VirtualKey::new(key.namespace(), slice_name(key, family)));
    let present = keys.filter(|slice| cx.virt(kinds::ENDPOINT_SLICE, slice).is_some());
    let desired = |slice: &VirtualKey| {
        json!({
            "apiVersion": kinds::ENDPOINT_SLICE.api_version(), "kind": kinds::ENDPOINT_SLICE.kind,
            "metadata": {"name": slice.name(), "namespace": slice.namespace()}, "endpoints": [],
        })
    };
    present.map(|slice| picture(kinds::ENDPOINT_SLICE, slice.clone(), desired(&slice))).collect()
}

fn slice_name(key: &VirtualKey, family: &str) -> String {
    format!("{}-of-host-{}", key.name(), family.to_ascii_lowercase())
}

fn family_of(address: IpAddr) -> &'static str {
    FAMILIES[usize::from(address.is_ipv6())]
}

fn members(object: &Value, names: &[&str]) -> Map<String, Value> {
    let present = names.iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone())));
    present.collect()
}

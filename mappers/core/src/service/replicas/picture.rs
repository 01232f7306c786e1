//! Virtual objects that show a Service of the host, as a pure function of it.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use tenet_mapper::keys::SHOWS;
use tenet_mapper::translate::digest::digest;
use tenet_mapper::{ApplyVirtual, Effect, HostKey, Kind, Object, VirtualKey, kinds};

use crate::service::address;

/// Label that names the Service of a slice.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that says which controller writes a slice; the others leave it alone.
const SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Longest name of a slice.
const MAX_NAME: usize = 253;

/// Way in which a Service of the host leads to its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form<'s> {
    /// The host balances behind these addresses.
    Balanced(Vec<IpAddr>),
    /// Its name resolves to the addresses of its slices.
    Headless,
    /// Its name is another name of this one.
    External(&'s str),
}

impl<'s> Form<'s> {
    pub(super) fn of(source: &'s Object) -> Self {
        if source.str_at("/spec/type") == Some("ExternalName") {
            return Self::External(source.str_at("/spec/externalName").unwrap_or_default());
        }
        if address::is_headless(source) {
            return Self::Headless;
        }
        Self::Balanced(address::of(source).iter().filter_map(|address| address.parse().ok()).collect())
    }
}

/// Returns the write of the Service inside.
pub(super) fn service(
    key: &VirtualKey,
    host_key: &HostKey,
    source: &Object,
    form: &Form<'_>,
    virt: Option<&Object>,
) -> Effect {
    let ports = source.list_at("/spec/ports").iter().map(|port| {
        let mut shown = members(port, &["name", "protocol", "port", "appProtocol"]);
        shown.insert("targetPort".to_owned(), port["port"].clone());
        Value::Object(shown)
    });
    of_spec(key, host_key, form, ports.collect(), virt)
}

/// Returns the write after which a Service inside leads nowhere.
pub(super) fn closed(key: &VirtualKey, host_key: &HostKey, virt: &Object) -> Effect {
    of_spec(key, host_key, &Form::Headless, virt.list_at("/spec/ports").to_vec(), Some(virt))
}

fn of_spec(key: &VirtualKey, host_key: &HostKey, form: &Form<'_>, ports: Vec<Value>, virt: Option<&Object>) -> Effect {
    let mut spec = match form {
        Form::External(name) => json!({"type": "ExternalName", "externalName": name}),
        Form::Balanced(_) | Form::Headless => json!({"type": "ClusterIP", "clusterIP": "None"}),
    };
    if !ports.is_empty() {
        spec["ports"] = Value::Array(ports);
    }
    // The API server fills in the rest, of which a Service with an external name has no addresses. A selector would add
    // endpoints.
    let is_filled_in = |field: &str| match form {
        Form::External(_) => field == "sessionAffinity",
        Form::Balanced(_) | Form::Headless => !matches!(field, "selector" | "externalName" | "ports"),
    };
    let found = virt.and_then(|virt| virt.at("/spec")).and_then(Value::as_object).into_iter().flatten();
    for (field, value) in found.filter(|(field, _)| is_filled_in(field)) {
        if spec.get(field).is_none() {
            spec[field.as_str()] = value.clone();
        }
    }
    let desired = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": key.name(), "namespace": key.namespace(), "annotations": {SHOWS: host_key.to_string()}},
        "spec": spec,
    });
    apply(kinds::SERVICE, key.clone(), desired)
}

/// Returns the slice for one address of a Service of the host.
pub(super) fn of_address(virt: &Object, source: &Object, address: IpAddr) -> (VirtualKey, Effect) {
    let ports = source.list_at("/spec/ports").iter().map(|port| {
        let mut shown = members(port, &["protocol", "port", "appProtocol"]);
        shown.insert("name".to_owned(), port.get("name").cloned().unwrap_or_else(|| json!("")));
        Value::Object(shown)
    });
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    let name = format!("{}-of-host-{}", virt.name(), family.to_ascii_lowercase());
    let endpoints = json!([{"addresses": [address.to_string()], "conditions": {"ready": true}}]);
    slice(virt, name, family, &endpoints, &ports.collect(), None)
}

/// Returns the slice that shows one of a headless Service of the host: its addresses, without the nodes and pods behind
/// them. `None` for one without addresses, which the DNS inside would not answer with.
pub(super) fn of_slice(virt: &Object, host: &Object) -> Option<(VirtualKey, Effect)> {
    let family = host.str_at("/addressType").filter(|family| matches!(*family, "IPv4" | "IPv6"))?;
    let prefix = format!("{}-of-host-{}-", virt.name(), family.to_ascii_lowercase());
    let is_long = prefix.len() + host.name().len() > MAX_NAME;
    let name = if is_long { prefix + &digest(&json!(host.name())) } else { prefix + host.name() };
    let shown = |fields: &'static [&'static str]| move |member: &Value| Value::Object(members(member, fields));
    let endpoints = host.list_at("/endpoints").iter().map(|endpoint| {
        let mut shown = members(endpoint, &["addresses", "hostname"]);
        if let Some(conditions) = endpoint.get("conditions").filter(|conditions| conditions.is_object()) {
            shown.insert("conditions".to_owned(), members(conditions, &["ready", "serving", "terminating"]).into());
        }
        Value::Object(shown)
    });
    let ports: Value = host.list_at("/ports").iter().map(shown(&["name", "protocol", "port", "appProtocol"])).collect();
    let host_key = HostKey::new(host.namespace(), host.name());
    Some(slice(virt, name, family, &endpoints.collect(), &ports, Some(&host_key)))
}

fn slice(
    virt: &Object,
    name: String,
    family: &str,
    endpoints: &Value,
    ports: &Value,
    shows: Option<&HostKey>,
) -> (VirtualKey, Effect) {
    let mut desired = json!({
        "apiVersion": kinds::ENDPOINT_SLICE.api_version(), "kind": kinds::ENDPOINT_SLICE.kind,
        "metadata": {
            "name": name, "namespace": virt.namespace(),
            "labels": {SERVICE_NAME: virt.name(), SLICE_MANAGED_BY: crate::endpoint_slice::CONTROLLER},
            // The garbage collector inside removes it with the Service.
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": virt.name(), "uid": virt.uid()}],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    });
    if let Some(shows) = shows {
        desired["metadata"]["annotations"] = json!({SHOWS: shows.to_string()});
    }
    let key = VirtualKey::new(virt.namespace(), name);
    (key.clone(), apply(kinds::ENDPOINT_SLICE, key, desired))
}

/// Returns the write after which a slice has no endpoints.
pub(super) fn emptied(slice: &Object) -> Effect {
    let desired = json!({
        "apiVersion": kinds::ENDPOINT_SLICE.api_version(), "kind": kinds::ENDPOINT_SLICE.kind,
        "metadata": {"name": slice.name(), "namespace": slice.namespace()}, "endpoints": [],
    });
    apply(kinds::ENDPOINT_SLICE, VirtualKey::new(slice.namespace(), slice.name()), desired)
}

fn apply(kind: Kind, key: VirtualKey, desired: Value) -> Effect {
    Effect::ApplyVirtual(ApplyVirtual { kind, key, desired, adopt: false })
}

fn members(object: &Value, names: &[&str]) -> Map<String, Value> {
    let present = names.iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone())));
    present.collect()
}

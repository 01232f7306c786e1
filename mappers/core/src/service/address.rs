//! Values that the host assigns to a Service: addresses, node ports, the health check port.

use serde_json::{Value, json};
use tenet_mapper::Object;

use super::growth::node_port;

/// Fields that must be equal on both sides before the assigned values are compared.
const SETTLED: [&str; 3] = ["/spec/type", "/spec/ipFamilyPolicy", "/spec/externalTrafficPolicy"];

/// Returns true if the host Service has followed the virtual one in all fields that addresses depend on.
pub(super) fn has_followed(virt: &Object, host: &Object) -> bool {
    SETTLED.iter().all(|pointer| virt.str_at(pointer) == host.str_at(pointer)) && port_ids(virt) == port_ids(host)
}

/// Returns true if a Service is headless.
pub(super) fn is_headless(service: &Object) -> bool {
    service.str_at("/spec/clusterIP") == Some("None")
}

/// Returns the addresses of a Service, the first family first.
pub(super) fn of(service: &Object) -> Vec<&str> {
    service.list_at("/spec/clusterIPs").iter().filter_map(Value::as_str).collect()
}

/// Returns the requested addresses of a Service; a client need not set both fields.
pub(super) fn asked(service: &Object) -> Vec<&str> {
    let all = of(service);
    if all.is_empty() { service.str_at("/spec/clusterIP").into_iter().collect() } else { all }
}

/// Returns true if both sides have the same addresses and the same health check port, which cannot
/// change while a Service has an address.
pub(super) fn same(virt: &Object, host: &Object) -> bool {
    let health = |service: &Object| service.at("/spec/healthCheckNodePort").and_then(Value::as_i64).unwrap_or(0);
    of(virt) == of(host) && health(virt) == health(host)
}

/// The ports of a virtual Service with the node ports of the host.
pub(super) fn ports(virt: Option<&Value>, host: Option<&Value>) -> Value {
    let host = host.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut ports = virt.cloned().unwrap_or_default();
    for port in ports.as_array_mut().into_iter().flatten() {
        let node_port =
            host.iter().find(|other| port_id(other) == port_id(port)).and_then(|other| other.get("nodePort"));
        match (node_port, port.as_object_mut()) {
            (Some(node_port), Some(port)) => drop(port.insert("nodePort".to_owned(), node_port.clone())),
            (None, Some(port)) => drop(port.remove("nodePort")),
            _ => {}
        }
    }
    ports
}

/// Returns a changed Service with the values that the API server carries over from the stored one: a client may
/// leave out assigned values.
pub(super) fn carried(changed: &Value, stored: &Object) -> Value {
    let mut service = changed.clone();
    let Some(spec) = service.get_mut("spec").and_then(Value::as_object_mut) else { return service };
    let is_empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if is_empty(spec.get(field))
            && let Some(value) = stored.at(&format!("/spec/{field}"))
        {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    let stored = stored.list_at("/spec/ports");
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default();
    let asked: Vec<_> = ports.iter().map(node_port).collect();
    for port in ports.iter_mut().filter(|port| node_port(port) == 0) {
        // Ports are matched by name, as by the API server: the number may differ.
        let twin = stored.iter().find(|other| other.get("name") == port.get("name"));
        if let Some(given) = twin.map(node_port).filter(|given| *given != 0 && !asked.contains(given)) {
            port["nodePort"] = json!(given);
        }
    }
    service
}

/// Keeps the node ports of a host Service, even if the tenant moves them; the host chooses
/// new ones.
pub(super) fn keep_node_ports(desired: &mut Value, host: &Object) {
    let found = host.list_at("/spec/ports");
    let ports = desired.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten();
    for port in ports {
        let asked = node_port(port);
        if asked != 0 && found.iter().any(|other| node_port(other) == asked) {
            continue;
        }
        let given = found.iter().find(|other| port_id(other) == port_id(port)).map_or(0, node_port);
        match port.as_object_mut() {
            Some(port) if given == 0 => drop(port.remove("nodePort")),
            Some(port) => drop(port.insert("nodePort".to_owned(), json!(given))),
            None => {}
        }
    }
}

/// Returns the Service with addresses and node ports of the server's choice. A headless one
/// requests none.
pub(super) fn without(desired: &Value) -> Option<Value> {
    let mut service = desired.clone();
    let spec = service.get_mut("spec")?.as_object_mut()?;
    if spec.get("clusterIP") == Some(&json!("None")) {
        return None;
    }
    for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
        spec.remove(field);
    }
    // The server adds a second family if it has one.
    if let Some(families) = spec.get_mut("ipFamilies").and_then(Value::as_array_mut) {
        families.truncate(1);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
    Some(service)
}

fn port_ids(service: &Object) -> Vec<(Option<&Value>, Option<&Value>)> {
    service.list_at("/spec/ports").iter().map(port_id).collect()
}

pub(super) fn port_id(port: &Value) -> (Option<&Value>, Option<&Value>) {
    (port.get("port"), port.get("protocol"))
}

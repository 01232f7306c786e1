//! Additions to a host Service for a change that is not stored yet. They only add values: those that the
//! stored Service uses stay, so that a failed change removes nothing.

use serde_json::{Value, json};
use tenet_mapper::Object;

use super::address::port_id;

/// Service types, from the fewest assigned values to the most.
const TYPES: [&str; 3] = ["ClusterIP", "NodePort", "LoadBalancer"];
const POLICIES: [&str; 3] = ["SingleStack", "PreferDualStack", "RequireDualStack"];

/// Returns true if the API server assigns node ports to the ports.
pub(super) fn has_node_ports(service: &Object) -> bool {
    let declined = service.at("/spec/allocateLoadBalancerNodePorts") == Some(&Value::Bool(false));
    match service.str_at("/spec/type") {
        Some("NodePort") => true,
        Some("LoadBalancer") => !declined || service.list_at("/spec/ports").iter().any(|port| node_port(port) != 0),
        _ => false,
    }
}

/// Returns true if the API server assigns a health check port.
pub(super) fn has_health_port(service: &Object) -> bool {
    service.str_at("/spec/type") == Some("LoadBalancer")
        && service.str_at("/spec/externalTrafficPolicy") == Some("Local")
}

/// Returns the values that the host Service needs in addition so that it provides everything that `virt` needs.
pub(super) fn addition(virt: &Object, host: &Object) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    let mut set = |field: &str, value: Value| {
        let pointer = format!("/spec/{field}");
        if host.at(&pointer) != Some(&value) {
            values.push((pointer, value));
        }
    };
    if lacks_node_ports(virt, host) {
        set("ports", union(virt, host));
        set("type", json!(higher(&TYPES, virt, host, "/spec/type")));
        if higher(&TYPES, virt, host, "/spec/type") == "LoadBalancer" {
            set("allocateLoadBalancerNodePorts", json!(true));
        }
    }
    if has_health_port(virt) && !has_health_port(host) {
        set("ports", union(virt, host));
        set("type", json!("LoadBalancer"));
        set("externalTrafficPolicy", json!("Local"));
        if let Some(class) =
            virt.at("/spec/loadBalancerClass").filter(|_| host.str_at("/spec/type") != Some("LoadBalancer"))
        {
            set("loadBalancerClass", class.clone());
        }
    }
    let policy = higher(&POLICIES, virt, host, "/spec/ipFamilyPolicy");
    if Some(policy) != host.str_at("/spec/ipFamilyPolicy") {
        set("ipFamilyPolicy", json!(policy));
        if virt.list_at("/spec/ipFamilies").len() > host.list_at("/spec/ipFamilies").len() {
            set("ipFamilies", virt.at("/spec/ipFamilies").cloned().unwrap_or_default());
        }
    }
    values
}

/// Returns true if a port of `virt` has no node port on the host, or another than it requests.
fn lacks_node_ports(virt: &Object, host: &Object) -> bool {
    has_node_ports(virt) && virt.list_at("/spec/ports").iter().any(|port| lacks(port, host))
}

fn lacks(port: &Value, host: &Object) -> bool {
    let ports = host.list_at("/spec/ports");
    match node_port(port) {
        0 => ports.iter().find(|other| port_id(other) == port_id(port)).is_none_or(|twin| node_port(twin) == 0),
        // A port under another number still belongs to the tenant, and moves when the change is stored.
        asked => !ports.iter().any(|other| node_port(other) == asked),
    }
}

/// Returns the ports that the host has, and those of `virt` that it lacks.
fn union(virt: &Object, host: &Object) -> Value {
    let mut ports: Vec<Value> = host.list_at("/spec/ports").to_vec();
    for port in virt.list_at("/spec/ports").iter().filter(|port| lacks(port, host)) {
        match ports.iter_mut().find(|other| port_id(other) == port_id(port)) {
            Some(twin) if node_port(port) != 0 => twin["nodePort"] = port["nodePort"].clone(),
            Some(_) => {}
            None => ports.push(port.clone()),
        }
    }
    if ports.len() > 1 {
        name(&mut ports);
    }
    Value::Array(ports)
}

/// Names the ports: several ports need distinct names. The first of a name keeps it.
fn name(ports: &mut [Value]) {
    let mut taken = std::collections::BTreeSet::new();
    for port in ports {
        let own = port.get("name").and_then(Value::as_str).unwrap_or_default();
        if own.is_empty() || !taken.insert(own.to_owned()) {
            let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP").to_lowercase();
            let made_up = format!("tenet-{protocol}-{}", port.get("port").and_then(Value::as_u64).unwrap_or(0));
            taken.insert(made_up.clone());
            port["name"] = json!(made_up);
        }
    }
}

/// Returns the value, of the two, that assigns more.
fn higher<'s>(order: &[&'s str], virt: &Object, host: &Object, pointer: &str) -> &'s str {
    let rank = |service: &Object| {
        let found = service.str_at(pointer);
        order.iter().position(|word| Some(*word) == found).unwrap_or(0)
    };
    order.get(rank(virt).max(rank(host))).copied().unwrap_or_default()
}

pub(super) fn node_port(port: &Value) -> u64 {
    port.get("nodePort").and_then(Value::as_u64).unwrap_or(0)
}

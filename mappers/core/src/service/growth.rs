//! What a host Service takes on for a change that is not stored yet. It only grows: what the
//! stored Service uses stays, so that a change which fails takes nothing away.

use serde_json::{Value, json};
use tenet_mapper::Object;

use super::address::port_id;

/// From what gives least to what gives most.
const TYPES: [&str; 3] = ["ClusterIP", "NodePort", "LoadBalancer"];
const POLICIES: [&str; 3] = ["SingleStack", "PreferDualStack", "RequireDualStack"];

/// Whether the API server gives node ports to its ports.
pub(super) fn has_node_ports(service: &Object) -> bool {
    let declined = service.at("/spec/allocateLoadBalancerNodePorts") == Some(&Value::Bool(false));
    match service.str_at("/spec/type") {
        Some("NodePort") => true,
        Some("LoadBalancer") => !declined || service.list_at("/spec/ports").iter().any(|port| node_port(port) != 0),
        _ => false,
    }
}

/// Whether the API server gives it a port for health checks.
pub(super) fn has_health_port(service: &Object) -> bool {
    service.str_at("/spec/type") == Some("LoadBalancer")
        && service.str_at("/spec/externalTrafficPolicy") == Some("Local")
}

/// The values that the host Service has to take on so that it gives all that `virt` needs.
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

/// Whether a port of `virt` has no node port on the host, or another than it asks for.
fn lacks_node_ports(virt: &Object, host: &Object) -> bool {
    let given = |port: &Value| {
        let twin = host.list_at("/spec/ports").iter().find(|other| port_id(other) == port_id(port));
        twin.map_or(0, node_port)
    };
    has_node_ports(virt)
        && virt.list_at("/spec/ports").iter().any(|port| {
            let (asked, given) = (node_port(port), given(port));
            given == 0 || (asked != 0 && asked != given)
        })
}

/// The ports of both: those of `virt` with the node ports that the host has given already,
/// and those that only the host has, under names that nobody else has.
fn union(virt: &Object, host: &Object) -> Value {
    let mut ports: Vec<Value> = virt.list_at("/spec/ports").to_vec();
    for port in &mut ports {
        let twin = host.list_at("/spec/ports").iter().find(|other| port_id(other) == port_id(port));
        if let Some(twin) = twin.filter(|_| node_port(port) == 0)
            && let Some(given) = twin.get("nodePort")
        {
            port["nodePort"] = given.clone();
        }
    }
    let known: Vec<_> = ports.iter().map(|port| (port.get("port").cloned(), port.get("protocol").cloned())).collect();
    let is_old = |port: &&Value| !known.contains(&(port.get("port").cloned(), port.get("protocol").cloned()));
    ports.extend(host.list_at("/spec/ports").iter().filter(is_old).cloned());
    if ports.len() > 1 {
        name(&mut ports);
    }
    Value::Array(ports)
}

/// Several ports need names, each another one. The first of a name keeps it.
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

/// The value of either that gives more.
fn higher<'s>(order: &[&'s str], virt: &Object, host: &Object, pointer: &str) -> &'s str {
    let rank = |service: &Object| {
        let found = service.str_at(pointer);
        order.iter().position(|word| Some(*word) == found).unwrap_or(0)
    };
    order.get(rank(virt).max(rank(host))).copied().unwrap_or_default()
}

fn node_port(port: &Value) -> u64 {
    port.get("nodePort").and_then(Value::as_u64).unwrap_or(0)
}

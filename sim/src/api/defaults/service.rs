//! Defaults of Services, of a cluster with IPv4 alone.

use serde_json::{Value, json};

use super::{drop_empty, items_mut, set};

pub(super) fn decoded(service: &mut Value) {
    set(service, "spec", json!({}));
    let spec = &mut service["spec"];
    set(spec, "type", "ClusterIP");
    set(spec, "sessionAffinity", "None");
    drop_empty(spec, &["selector", "clusterIP", "clusterIPs", "ports", "externalIPs", "externalName"]);
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if spec["sessionAffinity"] == "ClientIP" {
        set(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    for port in items_mut(spec, "/ports") {
        set(port, "protocol", "TCP");
        let number = port["port"].clone();
        set(port, "targetPort", number);
    }
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", "Cluster");
        addresses(spec);
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
    set(service, "status", json!({}));
    set(&mut service["status"], "loadBalancer", json!({}));
}

/// The address families and the list of addresses, which repeats the first one.
fn addresses(spec: &mut Value) {
    let address = spec.get("clusterIP").cloned();
    match (address, spec.pointer("/clusterIPs/0").cloned()) {
        (Some(address), None) => spec["clusterIPs"] = json!([address]),
        (None, Some(first)) => spec["clusterIP"] = first,
        _ => {}
    }
    let is_headless = spec.get("clusterIP").is_some_and(|address| address == "None");
    if is_headless && spec.get("selector").is_none() {
        set(spec, "ipFamilyPolicy", "RequireDualStack");
        set(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
    }
    set(spec, "ipFamilyPolicy", "SingleStack");
    set(spec, "ipFamilies", json!(["IPv4"]));
}

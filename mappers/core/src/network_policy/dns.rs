//! The DNS server of the virtual cluster. A network enforces a policy at the port of the pod, and CoreDNS listens on one that
//! needs no rights, behind the port 53 of its Service. So a rule for the port 53 that leads to it is for that port, too.

use serde_json::{Value, json};
use tenet_mapper::translate::selectors::{LabelSelector, Scope, SelectorError, select_pods};
use tenet_mapper::{Context, Object, VirtualKey, kinds};

use super::peers::NAME;
use crate::coredns::{CoreDns, NAMESPACE, PORT, SERVICE};

/// Port of every DNS server, which policies name.
const DNS: u64 = 53;

/// Adds the port of CoreDNS to the rules of a draft, which has the rules of the tenant in their order.
pub(super) fn add(cx: &Context<'_>, virt: &Object, scope: Scope<'_>, draft: &mut Value) -> Result<(), SelectorError> {
    if !cx.section::<CoreDns>().enabled {
        return Ok(());
    }
    if virt.namespace() == NAMESPACE && selects(virt.at("/spec/podSelector"), &labels()) {
        for rule in list(draft, "/spec/ingress").into_iter().flatten() {
            let more = missing(rule);
            if let Some(ports) = list(rule, "/ports") {
                ports.extend(more);
            }
        }
    }
    let leads = |rule: &&Value| {
        let peers = rule["to"].as_array().filter(|peers| !peers.is_empty());
        peers.is_none_or(|peers| peers.iter().any(|peer| is_server(cx, virt.namespace(), peer)))
    };
    let mut ports: Vec<Value> = Vec::new();
    for port in virt.list_at("/spec/egress").iter().filter(leads).flat_map(missing) {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    if let (false, Some(rules)) = (ports.is_empty(), list(draft, "/spec/egress")) {
        let namespace = json!({"matchLabels": {NAME: NAMESPACE}});
        let server = select_pods(Some(&json!({"matchLabels": labels()})), Some(&namespace), scope)?;
        rules.push(json!({"to": [{"podSelector": server}], "ports": ports}));
    }
    Ok(())
}

/// Returns a list, without making a field that is missing.
fn list<'v>(value: &'v mut Value, pointer: &str) -> Option<&'v mut Vec<Value>> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut)
}

/// Labels of the pods of CoreDNS.
fn labels() -> Value {
    json!({"k8s-app": SERVICE})
}

/// Returns true if a peer in a policy of `namespace` selects the pods of CoreDNS.
fn is_server(cx: &Context<'_>, namespace: &str, peer: &Value) -> bool {
    if peer.get("ipBlock").is_some_and(|block| !block.is_null()) {
        return false;
    }
    let in_namespace = match peer.get("namespaceSelector").filter(|selector| !selector.is_null()) {
        None => namespace == NAMESPACE,
        selector => {
            let found = cx.virt(kinds::NAMESPACE, &VirtualKey::new("", NAMESPACE));
            let of_found = found.as_ref().and_then(|found| found.at("/metadata/labels")).cloned();
            selects(selector, &of_found.unwrap_or_else(|| json!({NAME: NAMESPACE})))
        }
    };
    let pods = peer.get("podSelector").filter(|selector| !selector.is_null());
    in_namespace && pods.is_none_or(|pods| selects(Some(pods), &labels()))
}

fn selects(selector: Option<&Value>, labels: &Value) -> bool {
    LabelSelector::read(selector.or(Some(&json!({})))).ok().flatten().is_some_and(|read| read.matches(Some(labels)))
}

/// Returns the ports that a rule lacks: those of CoreDNS, with the protocols for which it has the port 53.
fn missing(rule: &Value) -> Vec<Value> {
    let ports = rule["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |protocol: &str, wanted: u64| {
        let covers = |port: &Value| {
            let Some(first) = port["port"].as_u64() else { return port.get("port").is_none_or(Value::is_null) };
            (first..=port["endPort"].as_u64().unwrap_or(first)).contains(&wanted)
        };
        ports.iter().any(|port| port["protocol"].as_str().unwrap_or("TCP") == protocol && covers(port))
    };
    let lacking = ["UDP", "TCP"].into_iter().filter(|protocol| has(protocol, DNS) && !has(protocol, u64::from(PORT)));
    lacking.map(|protocol| json!({"protocol": protocol, "port": PORT})).collect()
}

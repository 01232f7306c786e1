//! Address of the kubelet of a virtual node. Every node needs its own, because a
//! request to a kubelet does not name the node.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use tenet_mapper::keys::CONTROL_PLANE;
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::translate::kubelets::{self, NodeAddresses};
use tenet_mapper::{
    ApplyHost, Context, Deletion, Effect, Event, EventReason, HostKey, HostPatch, Kubelets, Object, PatchFormat, Side,
    VirtualKey, kinds,
};

/// Type of the address that an API server uses first, and that no program takes for an address of the node.
const HOSTNAME: &str = "Hostname";

/// Address of a kubelet.
enum Address {
    /// The node has no kubelet of ours.
    None,
    /// It will have an address.
    Pending,
    Known(String),
}

/// Result for the kubelet of a node.
pub(super) struct Found {
    address: Address,
    port: u16,
    /// Effects that give the node its address.
    pub(super) effects: Vec<Effect>,
}

/// Finds the address of the kubelet of a node, and the effects that the address needs.
pub(super) fn find(cx: &Context<'_>, key: &VirtualKey, virt: Option<&Object>) -> Found {
    let Kubelets { enabled, addresses, port } = cx.facts().kubelets;
    let nowhere = |address| Found { address, port, effects: Vec::new() };
    match (enabled, addresses, virt) {
        (false, ..) => nowhere(Address::None),
        (true, NodeAddresses::Loopback, _) => nowhere(Address::of(loopback(cx, key, virt))),
        // The Service belongs to the Node, which has no UID yet.
        (true, NodeAddresses::Service, None) => nowhere(Address::Pending),
        (true, NodeAddresses::Service, Some(virt)) => {
            let (address, effects) = service(cx, virt);
            Found { address: Address::of(address), port, effects }
        }
    }
}

fn service(cx: &Context<'_>, virt: &Object) -> (Option<String>, Vec<Effect>) {
    let (host_key, owner) = (service_key(cx, virt.name()), cx.owner(kinds::NODE, virt));
    let Some(service) = cx.host(kinds::SERVICE, &host_key) else {
        return (None, vec![create(cx, host_key, owner)]);
    };
    match cx.ownership(&service).ours() {
        Some(found) if found == owner && !service.is_deleting() => keep(cx, virt, &service, owner),
        // The Service belongs to an earlier node of this name.
        Some(found) => (None, orphan(&service, &found).into_iter().collect()),
        None => (None, vec![taken(virt)]),
    }
}

fn create(cx: &Context<'_>, host_key: HostKey, owner: OwnerRecord) -> Effect {
    let cluster = &cx.facts().names.cluster;
    let desired = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": host_key.name(), "namespace": host_key.namespace(), "labels": owner.labels(cluster),
            "annotations": owner.annotations(host_key.namespace(), host_key.name()),
        },
        "spec": spec(cx, free_port(cx, &owner.name)),
    });
    Effect::ApplyHost(Box::new(ApplyHost {
        kind: kinds::SERVICE,
        key: host_key,
        owner,
        desired,
        table: None,
        fallback: None,
    }))
}

fn spec(cx: &Context<'_>, target: u16) -> Value {
    json!({
        "type": "ClusterIP",
        "selector": {CONTROL_PLANE: cx.facts().names.cluster},
        "ports": [{"name": "kubelet", "protocol": "TCP", "port": cx.facts().kubelets.port, "targetPort": target}],
    })
}

/// Returns the address of an up-to-date Service, else the effects that update it.
fn keep(cx: &Context<'_>, virt: &Object, service: &Object, owner: OwnerRecord) -> (Option<String>, Vec<Effect>) {
    let address = service.str_at("/spec/clusterIP").filter(|address| *address != "None").map(str::to_owned);
    let target = target_port(service);
    let is_published = address.as_deref().is_some_and(|address| shown(virt) == Some(address));
    let target = match target.filter(|port| is_published || !is_claimed(cx, virt.name(), *port)) {
        Some(port) => port,
        None => free_port(cx, virt.name()),
    };
    let wanted = spec(cx, target);
    let same = |pointer: &str| service.at(pointer) == wanted.pointer(pointer.trim_start_matches("/spec"));
    if same("/spec/selector") && same("/spec/ports/0/port") && same("/spec/ports/0/targetPort") {
        return (address, Vec::new());
    }
    let patch = HostPatch {
        kind: kinds::SERVICE,
        key: HostKey::new(service.namespace(), service.name()),
        owner,
        subresource: None,
        format: PatchFormat::Merge,
        body: json!({"spec": {"selector": replaced(service.at("/spec/selector"), &wanted["selector"]), "ports": wanted["ports"]}}),
    };
    (address.filter(|_| is_published), vec![Effect::PatchHost(patch)])
}

impl Address {
    fn of(address: Option<String>) -> Self {
        address.map_or(Self::Pending, Self::Known)
    }
}

impl Found {
    /// Writes the address of the kubelet into the picture of a node as its `Hostname`, beside the addresses of the real
    /// node. Until it is known the node has no address at all: an API server that prefers other types after the
    /// `Hostname` would connect to the host's kubelet.
    pub(super) fn write(&self, picture: &mut Value) {
        picture["status"]["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": self.port}});
        let kubelet = match &self.address {
            Address::None => return,
            Address::Pending => {
                picture["status"]["addresses"] = json!([]);
                return;
            }
            Address::Known(address) => json!({"type": HOSTNAME, "address": address}),
        };
        let real = picture["status"]["addresses"].as_array().into_iter().flatten();
        let real = real.filter(|each| ["InternalIP", "ExternalIP"].iter().any(|kind| each["type"] == *kind));
        picture["status"]["addresses"] = real.cloned().chain([kubelet]).collect();
    }
}

/// Returns the effect that removes the Service of a node that is not shown any more.
pub(super) fn remove(cx: &Context<'_>, key: &VirtualKey, virt: Option<&Object>) -> Option<Effect> {
    let service = cx.host(kinds::SERVICE, &service_key(cx, key.name()))?;
    let owner = cx.ownership(&service).ours().filter(|owner| owner.kind == kinds::NODE)?;
    match virt {
        Some(virt) if owner.uid == virt.uid() && !service.is_deleting() => {
            Some(Effect::Delete(Deletion::redundant(kinds::SERVICE, &service)))
        }
        Some(_) => None,
        None => orphan(&service, &owner),
    }
}

fn orphan(service: &Object, owner: &OwnerRecord) -> Option<Effect> {
    (!service.is_deleting() && owner.kind == kinds::NODE)
        .then(|| Effect::Delete(Deletion::orphan(kinds::SERVICE, service, kinds::NODE)))
}

fn service_key(cx: &Context<'_>, node: &str) -> HostKey {
    let names = &cx.facts().names;
    HostKey::new(names.host_namespace(""), names.node_service_name(node))
}

/// Returns the loopback address of a node: the one that it shows, or the preferred one that no
/// other node shows.
fn loopback(cx: &Context<'_>, key: &VirtualKey, virt: Option<&Object>) -> Option<String> {
    let of_ours = |address: &str| address.parse::<Ipv4Addr>().is_ok_and(kubelets::is_loopback_of_node);
    if let Some(address) = virt.and_then(shown).filter(|address| of_ours(address)) {
        return Some(address.to_owned());
    }
    let nodes = cx.list(Side::Virtual, kinds::NODE, "");
    let taken: Vec<_> = nodes.iter().filter(|node| node.name() != key.name()).filter_map(shown).collect();
    let mut all = kubelets::loopbacks(&cx.facts().names.cluster, key.name()).map(|address| address.to_string());
    all.find(|address| !taken.contains(&address.as_str()))
}

/// Returns the preferred port of a node that no other node has.
fn free_port(cx: &Context<'_>, node: &str) -> u16 {
    let nodes = cx.list(Side::Virtual, kinds::NODE, "");
    let others = nodes.iter().filter(|other| other.name() != node);
    let taken: Vec<_> =
        others.filter_map(|other| target_port(&cx.host(kinds::SERVICE, &service_key(cx, other.name()))?)).collect();
    let mut all = kubelets::ports(&cx.facts().names.cluster, node);
    all.find(|port| !taken.contains(port)).unwrap_or_default()
}

/// Returns true if another node has this port and keeps it: of two nodes without a recorded port,
/// the one with the greater name gives way.
fn is_claimed(cx: &Context<'_>, node: &str, port: u16) -> bool {
    let nodes = cx.list(Side::Virtual, kinds::NODE, "");
    nodes.iter().filter(|other| other.name() != node).any(|other| {
        let service = cx.host(kinds::SERVICE, &service_key(cx, other.name()));
        let stays = |service: &Object| shown(other) == service.str_at("/spec/clusterIP") || other.name() < node;
        service.is_some_and(|service| target_port(&service) == Some(port) && stays(&service))
    })
}

/// Builds a merge patch that replaces the whole map.
fn replaced(present: Option<&Value>, wanted: &Value) -> Value {
    let mut patch = wanted.clone();
    for key in present.and_then(Value::as_object).into_iter().flat_map(|present| present.keys()) {
        if wanted.get(key).is_none() {
            patch[key] = Value::Null;
        }
    }
    patch
}

fn target_port(service: &Object) -> Option<u16> {
    let port = service.at("/spec/ports/0/targetPort").and_then(Value::as_u64)?;
    u16::try_from(port).ok().filter(|port| kubelets::is_port_of_node(*port))
}

/// Returns the address of the kubelet that a node shows. The name of a node, which is none, is no IP address.
fn shown(node: &Object) -> Option<&str> {
    let addresses = node.list_at("/status/addresses").iter().filter(|each| each["type"] == HOSTNAME);
    addresses.filter_map(|each| each["address"].as_str()).find(|address| address.parse::<IpAddr>().is_ok())
}

fn taken(virt: &Object) -> Effect {
    let message = "exec, logs and port-forward do not work: another Service of the host has the name of this node's";
    Effect::Emit(Event::warning(kinds::NODE, virt, EventReason::Blocked, message))
}

//! Node derived from the pods that run on it, used when the host's Nodes may not be
//! read.

use serde_json::{Map, Value, json};
use tenet_mapper::translate::Quantity;
use tenet_mapper::{Context, Object};

use super::{Capacity, head};

/// Conditions of a node with their reasons.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    ("Ready", "True", "PodsRunning", "pods of this cluster run on the node"),
    ("MemoryPressure", "False", "Unknown", "the node of the host cannot be read"),
    ("DiskPressure", "False", "Unknown", "the node of the host cannot be read"),
    ("PIDPressure", "False", "Unknown", "the node of the host cannot be read"),
];

/// Builds a node with the configured capacity.
pub(super) fn node(cx: &Context<'_>, name: &str, pod: &Object, virt: Option<&Object>, configured: &Capacity) -> Value {
    let labels = json!({"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
    let capacity = capacity(virt, configured);
    let since = since(pod, virt);
    let conditions: Vec<_> = CONDITIONS
        .iter()
        .map(|(kind, status, reason, message)| {
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                   "lastHeartbeatTime": since, "lastTransitionTime": since})
        })
        .collect();
    let mut node = head(name, Some(&labels));
    node["spec"] = json!({});
    node["status"] = json!({
        "addresses": addresses(name, pod, virt),
        "allocatable": capacity,
        "capacity": capacity,
        "conditions": conditions,
        "nodeInfo": node_info(&cx.facts().virtual_version),
    });
    node
}

/// Returns the configured capacity. The API server normalizes amounts, so an equal amount
/// that is shown already stays unchanged.
fn capacity(virt: Option<&Object>, configured: &Capacity) -> Map<String, Value> {
    let Capacity { cpu, memory, ephemeral_storage, pods } = configured;
    let all = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", ephemeral_storage), ("pods", pods)];
    let text = |(name, wanted): (&str, &Quantity)| {
        let shown = virt.and_then(|virt| virt.str_at(&format!("/status/capacity/{name}")));
        let shown = shown.filter(|shown| shown.parse::<Quantity>().is_ok_and(|shown| shown == *wanted));
        (name.to_owned(), json!(shown.unwrap_or(wanted.as_str())))
    };
    all.map(text).into_iter().collect()
}

/// Returns the creation time of the node. It stays the same while pods come and go.
fn since(pod: &Object, virt: Option<&Object>) -> Value {
    let shown = virt.and_then(|virt| virt.at("/status/conditions/0/lastTransitionTime"));
    shown.or_else(|| pod.at("/metadata/creationTimestamp")).cloned().unwrap_or_default()
}

/// Returns the addresses from the pod, or the previous ones while it has none.
fn addresses(name: &str, pod: &Object, virt: Option<&Object>) -> Value {
    let all = pod.list_at("/status/hostIPs").iter().filter_map(|address| address.get("ip"));
    let mut told: Vec<_> = all.collect();
    if told.is_empty() {
        told.extend(pod.at("/status/hostIP"));
    }
    if let Some(before) = virt.and_then(|virt| virt.at("/status/addresses")).filter(|_| told.is_empty()) {
        return before.clone();
    }
    let internal = told.into_iter().map(|address| json!({"type": "InternalIP", "address": address}));
    internal.chain([json!({"type": "Hostname", "address": name})]).collect()
}

fn node_info(version: &str) -> Value {
    json!({
        "architecture": "amd64", "operatingSystem": "linux",
        "kubeletVersion": version, "kubeProxyVersion": "",
        "osImage": "unknown", "kernelVersion": "unknown", "containerRuntimeVersion": "unknown",
        "machineID": "", "systemUUID": "", "bootID": "",
    })
}

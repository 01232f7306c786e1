//! A Node made from the pods that run on it: what is left when the host's Nodes may not be
//! read.

use serde_json::{Map, Value, json};
use tenet_mapper::translate::Quantity;
use tenet_mapper::{Context, Object};

use super::head;

/// What a node has when the configuration does not say.
const CAPACITY: [(&str, &str); 4] =
    [("cpu", "16"), ("memory", "64Gi"), ("ephemeral-storage", "100Gi"), ("pods", "110")];

/// The conditions of a node, and why each is as it is.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    ("Ready", "True", "PodsRunning", "pods of this cluster run on the node"),
    ("MemoryPressure", "False", "Unknown", "the node of the host cannot be read"),
    ("DiskPressure", "False", "Unknown", "the node of the host cannot be read"),
    ("PIDPressure", "False", "Unknown", "the node of the host cannot be read"),
];

/// A node that can hold what the configuration says.
pub(super) fn node(
    cx: &Context<'_>,
    name: &str,
    pod: &Object,
    virt: Option<&Object>,
    configured: Map<String, Value>,
) -> Value {
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

/// What the configuration says. The API server writes an amount in its own way, so one that
/// is shown already stays as it is shown.
fn capacity(virt: Option<&Object>, configured: Map<String, Value>) -> Map<String, Value> {
    let mut capacity: Map<_, _> = CAPACITY.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    capacity.extend(configured);
    for (name, value) in &mut capacity {
        let shown = virt.and_then(|virt| virt.at("/status/capacity")?.get(name));
        if let (Some(Value::String(shown)), Value::String(wanted)) = (shown, &mut *value)
            && let (Ok(shown_amount), Ok(amount)) = (shown.parse::<Quantity>(), wanted.parse::<Quantity>())
            && shown_amount == amount
        {
            wanted.clone_from(shown);
        }
    }
    capacity
}

/// When the node came. It stays what it was, whatever pods come and go.
fn since(pod: &Object, virt: Option<&Object>) -> Value {
    let shown = virt.and_then(|virt| virt.at("/status/conditions/0/lastTransitionTime"));
    shown.or_else(|| pod.at("/metadata/creationTimestamp")).cloned().unwrap_or_default()
}

/// The addresses that the pod says, or those of before while it says none.
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

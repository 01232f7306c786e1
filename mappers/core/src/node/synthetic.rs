//! A Node made from the pods that run on it: what is left when the host's Nodes may not be
//! read.

use serde_json::{Map, Value, json};
use tenet_mapper::{Context, Object};

use super::{KUBELET_PORT, head, quantity};

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
    pods: &[Object],
    virt: Option<&Object>,
    configured: Map<String, Value>,
) -> Value {
    let labels = json!({"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
    let capacity = capacity(virt, configured);
    let since = since(pods, virt);
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
        "addresses": addresses(name, pods, virt),
        "allocatable": capacity,
        "capacity": capacity,
        "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
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
            && quantity::same(shown, wanted)
        {
            wanted.clone_from(shown);
        }
    }
    capacity
}

/// When the node came. It stays what it was, whatever pods come and go.
fn since(pods: &[Object], virt: Option<&Object>) -> Value {
    let shown = virt.and_then(|virt| virt.at("/status/conditions/0/lastTransitionTime"));
    let oldest = || pods.iter().filter_map(|pod| pod.str_at("/metadata/creationTimestamp")).min().map(Value::from);
    shown.cloned().or_else(oldest).unwrap_or_default()
}

/// The addresses that the pods say, or those of before while no pod says any.
fn addresses(name: &str, pods: &[Object], virt: Option<&Object>) -> Value {
    let told = pods.iter().find_map(|pod| {
        let all: Vec<_> = pod.list_at("/status/hostIPs").iter().filter_map(|address| address.get("ip")).collect();
        if all.is_empty() { pod.at("/status/hostIP").map(|address| vec![address]) } else { Some(all) }
    });
    let before = || virt.and_then(|virt| virt.at("/status/addresses")).filter(|shown| shown.is_array()).cloned();
    let hostname = json!({"type": "Hostname", "address": name});
    match (told, before()) {
        (None, Some(before)) => before,
        (told, _) => {
            let internal = told.into_iter().flatten().map(|address| json!({"type": "InternalIP", "address": address}));
            internal.chain([hostname]).collect()
        }
    }
}

fn node_info(version: &str) -> Value {
    json!({
        "architecture": "amd64", "operatingSystem": "linux",
        "kubeletVersion": version, "kubeProxyVersion": "",
        "osImage": "unknown", "kernelVersion": "unknown", "containerRuntimeVersion": "unknown",
        "machineID": "", "systemUUID": "", "bootID": "",
    })
}

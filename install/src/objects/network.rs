//! Services of the virtual API server, and the firewall of the control plane.

use serde_json::{Value, json};
use tenet_translate::keys::CONTROL_PLANE;

use super::{Installation, metadata, monitoring, syncer_config, workload_metadata};
use crate::names::{API_PORT, headless};
use crate::values::ServiceType;

/// Port of the kubelets that the syncer serves.
const KUBELET_PORT: u16 = 10250;

pub(super) fn objects(installation: &Installation<'_>) -> Vec<Value> {
    let mut all = vec![service(installation), headless_service(installation)];
    if installation.workload_namespace().is_some() {
        all.push(workload_service(installation));
    }
    if installation.values.network_policy.enabled {
        all.push(policy(installation));
    }
    all
}

/// Returns the label that selects the pod of the control plane. Tenants cannot set it.
fn selector(installation: &Installation<'_>) -> Value {
    json!({CONTROL_PLANE: installation.name})
}

fn service(installation: &Installation<'_>) -> Value {
    let expose = &installation.values.expose;
    let mut port = json!({"name": "https", "port": 443, "targetPort": API_PORT, "protocol": "TCP"});
    if let (Some(node_port), ServiceType::NodePort | ServiceType::LoadBalancer) = (expose.node_port, expose.r#type) {
        port["nodePort"] = json!(node_port);
    }
    let mut metadata = metadata(installation, installation.name);
    if !expose.annotations.is_empty() {
        metadata["annotations"] = json!(expose.annotations);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": expose.r#type,
            "ports": [port],
            "selector": selector(installation),
            // Otherwise a container that crashes would take the API server off its Service.
            "publishNotReadyAddresses": true,
        },
    })
}

fn headless_service(installation: &Installation<'_>) -> Value {
    let mut ports = vec![json!({"name": "https", "port": 443, "targetPort": API_PORT, "protocol": "TCP"})];
    if installation.values.monitoring.service_monitor {
        let port = syncer_config::ADMIN_PORT;
        ports.push(json!({"name": monitoring::PORT, "port": port, "targetPort": port, "protocol": "TCP"}));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(installation, &headless(installation.name)),
        "spec": {
            "clusterIP": "None",
            "ports": ports,
            "selector": selector(installation),
            "publishNotReadyAddresses": true,
        },
    })
}

/// Returns the Service at which pods of another namespace find the virtual API server. It selects nothing, as the pod
/// of the control plane is not in that namespace: the bootstrap writes its endpoints.
fn workload_service(installation: &Installation<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": workload_metadata(installation, installation.name),
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "targetPort": API_PORT, "protocol": "TCP"}],
        },
    })
}

/// Returns the NetworkPolicy. Only the virtual API server is open to everybody. The kubelets are called by the virtual
/// API server, which is in the same pod and may come back through a Service; the metrics by Prometheus alone.
fn policy(installation: &Installation<'_>) -> Value {
    let of_control_plane = json!({"podSelector": {"matchLabels": selector(installation)}});
    let mut ingress = vec![
        json!({"ports": [{"port": API_PORT, "protocol": "TCP"}]}),
        json!({"from": [of_control_plane], "ports": [{"port": KUBELET_PORT, "protocol": "TCP"}]}),
    ];
    let monitoring = &installation.values.monitoring;
    if monitoring.service_monitor {
        let labels = match &monitoring.scraper {
            labels if labels.is_empty() => json!({"kubernetes.io/metadata.name": "monitoring"}),
            labels => json!(labels),
        };
        let scraper = json!({"namespaceSelector": {"matchLabels": labels}});
        ingress.push(json!({"from": [scraper], "ports": [{"port": syncer_config::ADMIN_PORT, "protocol": "TCP"}]}));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(installation, &format!("{}-control-plane", installation.name)),
        "spec": {
            "podSelector": {"matchLabels": selector(installation)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    })
}

//! Metrics server of the host, which serves `metrics.k8s.io` for `kubectl top`.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::Client;
use serde_json::{Value, json};
use tenet_install::pki::Purpose;

use crate::{
    api::{self, ApiError},
    component::Component,
    components::Components,
    folder::Folder,
    plane::{ControlPlane, MASTERS, PlaneError},
    port,
    process::{Launch, Process},
};

const NAME: &str = "metrics-server";
const NAMESPACE: &str = "kube-system";

/// Starts the metrics server and registers it with the API server. Does not wait: `kubectl top` has an answer after two
/// scrapes, which takes up to half a minute.
pub(crate) async fn start(
    components: &Components,
    host: &ControlPlane,
    folder: &Folder,
) -> Result<Process, PlaneError> {
    let kubeconfig = folder.path().join("metrics-server.kubeconfig");
    host.write_kubeconfig(&kubeconfig, NAME, Some(MASTERS))?;
    // The API server verifies the name of the Service, wherever its address leads.
    let serving = host.pki().issue(NAME, &Purpose::Server(vec![format!("{NAME}.{NAMESPACE}.svc")]))?;
    host.pki().keep(NAME, &serving)?;
    let port = port::free().map_err(PlaneError::Port)?;
    let process = Process::spawn(&Launch {
        name: NAME.to_owned(),
        program: components.path(Component::MetricsServer).to_owned(),
        args: flags(host, &kubeconfig, port).into_iter().map(Into::into).collect(),
        dir: folder.path().to_owned(),
        env: Vec::new(),
        log: folder.path().join("logs").join("metrics-server.log"),
        pid_file: Some(folder.pids().join(NAME)),
    })?;
    register(&host.client(), port, &host.ca()).await?;
    Ok(process)
}

fn flags(host: &ControlPlane, kubeconfig: &Path, port: u16) -> Vec<String> {
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    vec![
        file("kubeconfig", kubeconfig),
        file("authentication-kubeconfig", kubeconfig),
        file("authorization-kubeconfig", kubeconfig),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        file("tls-cert-file", &host.pki().file("metrics-server.crt")),
        file("tls-private-key-file", &host.pki().file("metrics-server.key")),
        file("kubelet-certificate-authority", &host.pki().file("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--kubelet-use-node-status-port".to_owned(),
        // The smallest value that it accepts; a request must be over by then.
        "--metric-resolution=10s".to_owned(),
        "--kubelet-request-timeout=8s".to_owned(),
    ]
}

async fn register(client: &Client, port: u16, ca: &str) -> Result<(), ApiError> {
    let service = format!("/api/v1/namespaces/{NAMESPACE}/services/{NAME}");
    api::apply(client, &service, &leads_to_loopback()).await?;
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
    api::apply(client, path, &api_service(port, ca)).await
}

/// Service that leads to loopback. Nothing routes a ClusterIP here, and endpoints may not be loopback addresses, but
/// the API server resolves an external name with the resolver of the machine.
fn leads_to_loopback() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    })
}

fn api_service(port: u16, ca: &str) -> Value {
    json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": STANDARD.encode(ca),
            "service": {"name": NAME, "namespace": NAMESPACE, "port": port},
        },
    })
}

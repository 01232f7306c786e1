//! Containers of the control plane.

use serde_json::{Value, json};

use super::programs::{self, CONTROLLER_MANAGER_PORT, DATA, ETCD_HEALTH_PORT, PKI, SOCKETS, STORE_PKI};
use super::{Installation, distro, syncer_config};
use crate::bootstrap::SERVICE_CIDR;
use crate::names::{self, API_PORT, SYNCER_CONFIG_FILE};
use crate::values::{Distro, Resources, StoreType};

/// Folder in which clients expect the token of a pod.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Returns the containers that start one after the other: the bootstrap, which ends, and those that everything else
/// needs. They are sidecars, so that the rest starts when the API server answers, and ends before it.
pub(super) fn first(installation: &Installation<'_>) -> Vec<Value> {
    let mut all = vec![bootstrap(installation)];
    let sidecars = match installation.values.distro {
        Distro::K8s => {
            let mut programs = Vec::from_iter(store(installation));
            programs.push(api_server(installation));
            programs
        }
        Distro::K3s => vec![distro::k3s(installation)],
        Distro::K0s => vec![distro::k0s(installation)],
    };
    all.extend(sidecars.into_iter().map(|mut container| {
        container["restartPolicy"] = json!("Always");
        container
    }));
    all
}

/// Returns the containers that need a running API server.
pub(super) fn then(installation: &Installation<'_>) -> Vec<Value> {
    match installation.values.distro {
        Distro::K8s => vec![controller_manager(installation), syncer(installation)],
        Distro::K3s | Distro::K0s => vec![syncer(installation)],
    }
}

/// Creates the certificates.
fn bootstrap(installation: &Installation<'_>) -> Value {
    let values = installation.values;
    let mut args = vec!["bootstrap".to_owned(), format!("--name={}", installation.name)];
    args.extend(namespaces(installation));
    args.push(format!("--certificates={PKI}"));
    args.extend(values.service_cidr.iter().map(|range| format!("--service-cidr={range}")));
    args.extend(values.syncer.extra_args.iter().filter(|flag| flag.starts_with("--tls-san=")).cloned());
    let mut container =
        container(installation, "bootstrap", values.images.syncer(), &values.syncer.resources, [20, 32]);
    container["args"] = json!(args);
    container["env"] = environment(installation);
    let mut mounts = vec![mount("pki", PKI), read_only("host-token", TOKEN)];
    if values.distro != Distro::K8s {
        mounts.extend([read_only("config", syncer_config::DIR), mount("data", DATA)]);
    }
    container["volumeMounts"] = json!(mounts);
    distro::prepare(installation, &mut container);
    container
}

/// Returns the store, unless it is outside of the pod.
fn store(installation: &Installation<'_>) -> Option<Value> {
    let store = &installation.values.store;
    let mut container = if store.r#type == StoreType::External {
        return None;
    } else if store.r#type == StoreType::Etcd {
        let mut etcd = container(installation, "etcd", installation.values.images.etcd(), &store.resources, [50, 64]);
        etcd["command"] = json!(programs::etcd());
        etcd["livenessProbe"] = probe("HTTP", "/livez", ETCD_HEALTH_PORT, 10, 6);
        etcd
    } else {
        let mut kine = container(installation, "kine", installation.values.images.kine(), &store.resources, [50, 64]);
        kine["args"] = json!(programs::kine(store.r#type));
        kine
    };
    container["workingDir"] = json!(SOCKETS);
    container["volumeMounts"] = json!([mount("sockets", SOCKETS)]);
    if store.r#type == StoreType::Sql {
        container["env"] = json!([data_source(installation, "DATA_SOURCE")]);
    } else {
        container["volumeMounts"] = json!([mount("sockets", SOCKETS), mount("data", DATA)]);
    }
    Some(container)
}

/// Returns an environment variable with the data source of an SQL database.
pub(super) fn data_source(installation: &Installation<'_>, variable: &str) -> Value {
    let source = &installation.values.store.data_source;
    json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": source.secret, "key": source.key}}})
}

fn api_server(installation: &Installation<'_>) -> Value {
    let values = installation.values;
    let image = values.api_server_image();
    let mut container = container(installation, "kube-apiserver", &image, &values.api_server.resources, [100, 320]);
    container["command"] = json!(programs::api_server(installation));
    container["workingDir"] = json!(SOCKETS);
    // The program in the image has this capability as a file attribute: without it in its bounding set, the kernel
    // does not start it.
    container["securityContext"]["capabilities"]["add"] = json!(["NET_BIND_SERVICE"]);
    // The bootstrap has created the Secret before this container starts.
    let range = json!({"secretKeyRef": {"name": names::certificates(installation.name), "key": SERVICE_CIDR}});
    container["env"] = json!([
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "SERVICE_CIDR", "valueFrom": range},
    ]);
    serving(installation, container, 90, vec![mount("sockets", SOCKETS)])
}

/// Completes a container that serves the virtual API: its port, its probes, and its mounts with those of the
/// certificates. Its startup probe, which asks every two seconds, may fail this many times.
pub(super) fn serving(
    installation: &Installation<'_>,
    mut container: Value,
    failures: u32,
    mut mounts: Vec<Value>,
) -> Value {
    container["ports"] = json!([{"name": "https", "containerPort": API_PORT, "protocol": "TCP"}]);
    container["startupProbe"] = probe("HTTPS", "/livez", API_PORT, 2, failures);
    container["livenessProbe"] = probe("HTTPS", "/livez", API_PORT, 10, 8);
    container["readinessProbe"] = probe("HTTPS", "/readyz", API_PORT, 2, 3);
    mounts.push(read_only("pki", PKI));
    if installation.values.has_store_certificates() {
        mounts.push(read_only("store-pki", STORE_PKI));
    }
    container["volumeMounts"] = json!(mounts);
    container
}

fn controller_manager(installation: &Installation<'_>) -> Value {
    let values = installation.values;
    let image = values.controller_manager_image();
    let resources = &values.controller_manager.resources;
    let mut container = container(installation, "kube-controller-manager", &image, resources, [20, 128]);
    container["command"] = json!(programs::controller_manager(values));
    container["startupProbe"] = probe("HTTPS", "/healthz", CONTROLLER_MANAGER_PORT, 2, 90);
    container["livenessProbe"] = probe("HTTPS", "/healthz", CONTROLLER_MANAGER_PORT, 10, 8);
    container["volumeMounts"] = json!([read_only("pki", PKI)]);
    container
}

fn syncer(installation: &Installation<'_>) -> Value {
    let values = installation.values;
    let mut container = container(installation, "syncer", values.images.syncer(), &values.syncer.resources, [20, 32]);
    let mut args =
        vec![format!("--config={}/{SYNCER_CONFIG_FILE}", syncer_config::DIR), format!("--name={}", installation.name)];
    args.extend(namespaces(installation));
    args.push(format!("--certificates={PKI}"));
    args.extend(values.service_cidr.iter().map(|range| format!("--service-cidr={range}")));
    args.extend(values.syncer.extra_args.clone());
    container["args"] = json!(args);
    container["env"] = environment(installation);
    container["ports"] = json!([{"name": "metrics", "containerPort": syncer_config::ADMIN_PORT, "protocol": "TCP"}]);
    container["livenessProbe"] = probe("HTTP", "/healthz", syncer_config::ADMIN_PORT, 10, 6);
    container["readinessProbe"] = probe("HTTP", "/readyz", syncer_config::ADMIN_PORT, 2, 3);
    container["volumeMounts"] =
        json!([mount("pki", PKI), read_only("host-token", TOKEN), read_only("config", syncer_config::DIR)]);
    container
}

/// Returns a container that may do nothing but run its program; requests are in millicores and mebibytes.
pub(super) fn container(
    installation: &Installation<'_>,
    name: &str,
    image: &str,
    resources: &Resources,
    [cpu, memory]: [u32; 2],
) -> Value {
    let mut requests = json!({"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")});
    for (resource, quantity) in &resources.requests {
        requests[resource] = json!(quantity);
    }
    let mut container = json!({
        "name": name,
        "image": image,
        "resources": {"requests": requests},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    });
    if !resources.limits.is_empty() {
        container["resources"]["limits"] = json!(resources.limits);
    }
    if let Some(policy) = installation.values.images.pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}

/// Returns the flags for the namespace of the tenant's objects, and for that of the control plane if it is another one.
fn namespaces(installation: &Installation<'_>) -> Vec<String> {
    let control_plane = installation.namespace;
    match installation.workload_namespace() {
        None => vec![format!("--host-namespace={control_plane}")],
        Some(workloads) => {
            vec![format!("--host-namespace={workloads}"), format!("--control-plane-namespace={control_plane}")]
        }
    }
}

fn environment(installation: &Installation<'_>) -> Value {
    let set = installation.values.syncer.env.iter().map(|(name, value)| json!({"name": name, "value": value}));
    let addresses = json!({"name": "POD_IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}});
    set.chain(installation.workload_namespace().map(|_| addresses)).collect()
}

fn probe(scheme: &str, path: &str, port: u16, period: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"scheme": scheme, "path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    })
}

pub(super) fn mount(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path})
}

fn read_only(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path, "readOnly": true})
}

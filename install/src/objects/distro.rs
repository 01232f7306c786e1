//! k3s and k0s: one program that has the API server, the controllers and, but for an external store, the store.
//!
//! Both take their authorities from files, which the bootstrap writes before they start, and make all other
//! certificates from them. What they would run on nodes is off: the host has the nodes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::control_plane::{container, data_source, mount, probe, read_only, store_certificates};
use super::programs::{self, DATA, PKI, STORE_PKI};
use super::{Installation, syncer_config};
use crate::names::API_PORT;
use crate::values::{Distro, StoreType};

/// Environment variable of the bootstrap with the data source of an SQL database.
const DATA_SOURCE: &str = "DATA_SOURCE";

/// Components of k3s that would run pods or act on nodes.
const K3S_ADD_ONS: [&str; 5] = ["coredns", "servicelb", "traefik", "local-storage", "metrics-server"];

/// Components of k0s that would run pods, act on nodes, or update k0s.
const K0S_ADD_ONS: [&str; 16] = [
    "applier-manager",
    "autopilot",
    "control-api",
    "coredns",
    "csr-approver",
    "endpoint-reconciler",
    "helm",
    "konnectivity-server",
    "kube-proxy",
    "kube-scheduler",
    "metrics-server",
    "network-provider",
    "node-role",
    "update-prober",
    "windows-node",
    "worker-config",
];

/// Adds what the bootstrap needs to prepare the program.
pub(super) fn prepare(installation: &Installation<'_>, bootstrap: &mut Value) {
    let Some((file, _)) = config(installation) else { return };
    let distro = json!(installation.values.distro);
    let further = [
        format!("--distro={}", distro.as_str().unwrap_or_default()),
        format!("--distro-config={}/{file}", syncer_config::DIR),
        format!("--data-dir={DATA}"),
    ];
    if let Some(args) = bootstrap["args"].as_array_mut() {
        args.extend(further.map(Value::from));
    }
    let is_of_k0s = installation.values.distro == Distro::K0s && installation.values.store.r#type == StoreType::Sql;
    if let Some(env) = bootstrap["env"].as_array_mut().filter(|_| is_of_k0s) {
        env.push(data_source(installation, DATA_SOURCE));
    }
}

/// Returns name and content of the configuration file, as far as it is known before the pod starts.
pub(super) fn config(installation: &Installation<'_>) -> Option<(&'static str, Value)> {
    match installation.values.distro {
        Distro::K8s => None,
        Distro::K3s => Some(("k3s.yaml", k3s_config(installation))),
        Distro::K0s => Some(("k0s.yaml", k0s_config(installation))),
    }
}

pub(super) fn k3s(installation: &Installation<'_>) -> Value {
    let values = installation.values;
    let mut k3s = container(installation, "k3s", &values.k3s_image(), &values.api_server.resources, [150, 512]);
    k3s["command"] = json!(["k3s", "server", format!("--config={PKI}/k3s.yaml")]);
    if values.store.r#type == StoreType::Sql {
        k3s["env"] = json!([data_source(installation, "K3S_DATASTORE_ENDPOINT")]);
    }
    finished(installation, k3s)
}

pub(super) fn k0s(installation: &Installation<'_>) -> Value {
    let values = installation.values;
    let mut k0s = container(installation, "k0s", &values.k0s_image(), &values.api_server.resources, [150, 512]);
    k0s["command"] = json!([
        "k0s",
        "controller",
        format!("--config={PKI}/k0s.yaml"),
        format!("--data-dir={DATA}/k0s"),
        format!("--disable-components={}", K0S_ADD_ONS.join(",")),
    ]);
    finished(installation, k0s)
}

fn finished(installation: &Installation<'_>, mut container: Value) -> Value {
    container["ports"] = json!([{"name": "https", "containerPort": API_PORT, "protocol": "TCP"}]);
    container["startupProbe"] = probe("HTTPS", "/livez", API_PORT, 2, 150);
    container["livenessProbe"] = probe("HTTPS", "/livez", API_PORT, 10, 8);
    container["readinessProbe"] = probe("HTTPS", "/readyz", API_PORT, 2, 3);
    let mut mounts = vec![mount("data", DATA), mount("tmp", "/tmp"), read_only("pki", PKI)];
    mounts.extend(store_certificates(installation));
    container["volumeMounts"] = json!(mounts);
    container
}

/// Returns the flags of the API server and of the controller manager that both programs set otherwise.
fn flags(installation: &Installation<'_>) -> [BTreeMap<String, String>; 2] {
    let values = installation.values;
    let api_server = BTreeMap::from(
        [
            // The syncer fills the Endpoints of the Service `kubernetes`.
            ("endpoint-reconciler-type", "none"),
            // As in Kubernetes: the probes of the kubelet have no credentials.
            ("anonymous-auth", "true"),
            // The syncer serves the kubelets, with an authority of its own.
            ("kubelet-certificate-authority", ""),
            ("kubelet-preferred-address-types", "InternalIP"),
        ]
        .map(|(flag, value)| (flag.to_owned(), value.to_owned())),
    );
    let controllers = BTreeMap::from([
        ("controllers".to_owned(), programs::controllers(values)),
        ("allocate-node-cidrs".to_owned(), "false".to_owned()),
    ]);
    let with = |mut flags: BTreeMap<String, String>, further: &[String]| {
        flags.extend(further.iter().map(|flag| {
            let flag = flag.trim_start_matches("--");
            let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
            (name.to_owned(), value.to_owned())
        }));
        flags
    };
    [with(api_server, &values.api_server.extra_args), with(controllers, &values.controller_manager.extra_args)]
}

/// Returns the configuration of k3s: its keys are the flags of `k3s server`.
fn k3s_config(installation: &Installation<'_>) -> Value {
    let [api_server, controllers] =
        flags(installation).map(|flags| flags.iter().map(|(flag, value)| format!("{flag}={value}")).collect::<Value>());
    let mut config = json!({
        "data-dir": format!("{DATA}/k3s"),
        "https-listen-port": API_PORT,
        "write-kubeconfig": format!("{DATA}/k3s/admin.kubeconfig"),
        "disable-agent": true,
        "disable": K3S_ADD_ONS,
        "disable-scheduler": true,
        "disable-cloud-controller": true,
        "disable-network-policy": true,
        "disable-helm-controller": true,
        "disable-kube-proxy": true,
        "flannel-backend": "none",
        "egress-selector-mode": "disabled",
        "kube-apiserver-arg": api_server,
        "kube-controller-manager-arg": controllers,
    });
    let external = &installation.values.store.external;
    if installation.values.store.r#type == StoreType::External {
        config["datastore-endpoint"] = json!(external.endpoints.join(","));
        if !external.secret.is_empty() {
            for (key, file) in [("cafile", "ca.crt"), ("certfile", "tls.crt"), ("keyfile", "tls.key")] {
                config[format!("datastore-{key}")] = json!(format!("{STORE_PKI}/{file}"));
            }
        }
    }
    config
}

/// Returns the configuration of k0s, a `ClusterConfig`.
fn k0s_config(installation: &Installation<'_>) -> Value {
    let [api_server, controllers] = flags(installation);
    json!({
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": {
            "api": {"port": API_PORT, "extraArgs": api_server},
            "controllerManager": {"extraArgs": controllers},
            "network": {"provider": "custom"},
            "storage": k0s_storage(installation),
            "telemetry": {"enabled": false},
        },
    })
}

fn k0s_storage(installation: &Installation<'_>) -> Value {
    let store = &installation.values.store;
    match store.r#type {
        StoreType::Sqlite => {
            json!({"type": "kine", "kine": {"dataSource": programs::sqlite(&format!("{DATA}/k0s/db"))}})
        }
        // The bootstrap adds the data source, which is a secret.
        StoreType::Sql => json!({"type": "kine"}),
        // The only member: it needs no address that others reach.
        StoreType::Etcd => json!({"type": "etcd", "etcd": {"peerAddress": "127.0.0.1"}}),
        StoreType::External => {
            let mut cluster =
                json!({"endpoints": store.external.endpoints, "etcdPrefix": programs::prefix(installation)});
            if !store.external.secret.is_empty() {
                for (key, file) in [("caFile", "ca.crt"), ("clientCertFile", "tls.crt"), ("clientKeyFile", "tls.key")] {
                    cluster[key] = json!(format!("{STORE_PKI}/{file}"));
                }
            }
            json!({"type": "etcd", "etcd": {"externalCluster": cluster}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Rights;
    use crate::values::Values;

    /// Flags of <https://docs.k3s.io/cli/server> that this module may use.
    const K3S_FLAGS: [&str; 24] = [
        "cluster-init",
        "data-dir",
        "datastore-cafile",
        "datastore-certfile",
        "datastore-endpoint",
        "datastore-keyfile",
        "disable",
        "disable-agent",
        "disable-cloud-controller",
        "disable-helm-controller",
        "disable-kube-proxy",
        "disable-network-policy",
        "disable-scheduler",
        "egress-selector-mode",
        "flannel-backend",
        "https-listen-port",
        "kube-apiserver-arg",
        "kube-controller-manager-arg",
        "node-name",
        "service-cidr",
        "tls-san",
        "token",
        "token-file",
        "write-kubeconfig",
    ];
    /// Values of `--disable` there.
    const K3S_COMPONENTS: [&str; 6] =
        ["coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"];
    /// Values of `--disable-components` in the help of `k0s controller`, with the one that is accepted without effect.
    const K0S_COMPONENTS: [&str; 18] = [
        "applier-manager",
        "autopilot",
        "control-api",
        "coredns",
        "csr-approver",
        "endpoint-reconciler",
        "helm",
        "konnectivity-server",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "metrics-server",
        "network-provider",
        "node-role",
        "system-rbac",
        "update-prober",
        "windows-node",
        "worker-config",
    ];
    /// Keys of `spec` in <https://docs.k0sproject.io/stable/configuration/> that this module may use.
    const K0S_KEYS: [&str; 14] = [
        "api.extraArgs",
        "api.port",
        "api.sans",
        "controllerManager.extraArgs",
        "network.provider",
        "network.serviceCIDR",
        "storage.etcd.externalCluster.caFile",
        "storage.etcd.externalCluster.clientCertFile",
        "storage.etcd.externalCluster.clientKeyFile",
        "storage.etcd.externalCluster.endpoints",
        "storage.etcd.externalCluster.etcdPrefix",
        "storage.etcd.peerAddress",
        "storage.kine.dataSource",
        "storage.type",
    ];

    /// Calls `check` with each store.
    fn for_each_store(distro: Distro, check: impl Fn(&Installation<'_>, StoreType)) {
        let rights = Rights::read("kind: Role\nmetadata: {name: a}\nrules: []\n").unwrap();
        for store in [StoreType::Sqlite, StoreType::Etcd, StoreType::Sql, StoreType::External] {
            let mut values = Values { distro, ..Values::default() };
            values.store.r#type = store;
            values.store.external.endpoints = vec!["https://etcd:2379".to_owned()];
            "etcd".clone_into(&mut values.store.external.secret);
            check(&Installation { name: "vc-1", namespace: "team-a", values: &values, rights: &rights }, store);
        }
    }

    #[test]
    fn k3s_is_configured_by_documented_flags_alone() {
        for_each_store(Distro::K3s, |installation, store| {
            let config = k3s_config(installation);
            let keys: Vec<&String> = config.as_object().unwrap().keys().collect();
            assert!(keys.iter().all(|key| K3S_FLAGS.contains(&key.as_str())), "{store:?}: {keys:?}");
            assert_eq!(config["https-listen-port"], API_PORT);
            assert_eq!(config["datastore-endpoint"].is_string(), store == StoreType::External);
            let container = k3s(installation);
            assert_eq!(container["env"][0]["name"] == "K3S_DATASTORE_ENDPOINT", store == StoreType::Sql);
        });
        assert!(K3S_ADD_ONS.iter().all(|component| K3S_COMPONENTS.contains(component)));
    }

    /// Returns the paths of all values below `spec`; the flags of programs count as one.
    fn paths(prefix: &str, value: &Value) -> Vec<String> {
        match value.as_object().filter(|_| !prefix.ends_with("extraArgs")) {
            Some(map) => map
                .iter()
                .flat_map(|(key, value)| {
                    paths(&if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, value)
                })
                .collect(),
            None => vec![prefix.to_owned()],
        }
    }

    #[test]
    fn k0s_is_configured_by_documented_keys_alone() {
        for_each_store(Distro::K0s, |installation, store| {
            let config = k0s_config(installation);
            for path in paths("", &config["spec"]) {
                assert!(path == "telemetry.enabled" || K0S_KEYS.contains(&path.as_str()), "{store:?}: {path}");
            }
            assert_eq!(config["spec"]["api"]["port"], API_PORT);
            let mut bootstrap = json!({"args": [], "env": []});
            prepare(installation, &mut bootstrap);
            assert_eq!(bootstrap["env"][0]["name"] == DATA_SOURCE, store == StoreType::Sql);
        });
        assert!(K0S_ADD_ONS.iter().all(|component| K0S_COMPONENTS.contains(component)));
        assert!(!K0S_ADD_ONS.contains(&"kube-controller-manager"), "the virtual cluster needs it");
    }

    #[test]
    fn flags_of_the_user_override_those_of_tenet() {
        for_each_store(Distro::K3s, |installation, _| {
            let mut values = installation.values.clone();
            values.api_server.extra_args = vec!["--anonymous-auth=false".to_owned(), "--profiling".to_owned()];
            let [api_server, _] = flags(&Installation { values: &values, ..*installation });
            assert_eq!((api_server["anonymous-auth"].as_str(), api_server["profiling"].as_str()), ("false", "true"));
        });
    }
}

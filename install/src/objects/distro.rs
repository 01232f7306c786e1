//! k3s and k0s: one program that has the API server, the controllers and, but for an external store, the store.
//!
//! Both take their authorities from files, which the bootstrap writes before they start, and make all other
//! certificates from them. What they would run on nodes is off: the host has the nodes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::control_plane::{container, data_source, mount, serving};
use super::programs::{self, DATA, PKI, STORE_PKI};
use super::{Installation, syncer_config};
use crate::bootstrap::K3S_ETC_ON_VOLUME;
use crate::names::API_PORT;
use crate::values::{Distro, StoreType};

/// Environment variable of the bootstrap with the data source of an SQL database.
const DATA_SOURCE: &str = "DATA_SOURCE";

/// Components of k3s that would run pods or act on nodes, and its runtime classes: those of the host count.
const K3S_ADD_ONS: [&str; 6] = ["coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"];

/// Folder of the password that k3s has as a node, also without an agent. There is no flag for it.
const K3S_ETC: &str = "/etc/rancher";

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
    let mut etc = mount("data", K3S_ETC);
    etc["subPath"] = json!(K3S_ETC_ON_VOLUME);
    serving(installation, k3s, 150, vec![mount("data", DATA), mount("tmp", "/tmp"), etc])
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
    serving(installation, k0s, 150, vec![mount("data", DATA), mount("tmp", "/tmp")])
}

/// Flags of a program inside k3s or k0s, without dashes: what both set otherwise, then those of the user.
struct Flags {
    own: BTreeMap<&'static str, String>,
    further: Vec<(String, String)>,
}

impl Flags {
    fn of_api_server(installation: &Installation<'_>) -> Self {
        let values = installation.values;
        let mut own = BTreeMap::from([
            // The syncer fills the Endpoints of the Service `kubernetes`.
            ("endpoint-reconciler-type", "none".to_owned()),
            // As in Kubernetes: the probes of the kubelet have no credentials.
            ("anonymous-auth", "true".to_owned()),
            // The syncer serves the kubelets, with an authority of its own.
            ("kubelet-certificate-authority", String::new()),
            ("kubelet-preferred-address-types", programs::KUBELET_ADDRESS.to_owned()),
            ("service-node-port-range", programs::NODE_PORTS.to_owned()),
        ]);
        if values.distro == Distro::K3s && values.store.r#type == StoreType::External {
            own.insert("etcd-prefix", programs::prefix(installation));
        }
        Self::with(own, &values.api_server.extra_args)
    }

    fn of_controllers(installation: &Installation<'_>) -> Self {
        let values = installation.values;
        let own = BTreeMap::from([
            ("controllers", programs::controllers(values)),
            ("allocate-node-cidrs", "false".to_owned()),
        ]);
        Self::with(own, &values.controller_manager.extra_args)
    }

    fn with(mut own: BTreeMap<&'static str, String>, further: &[String]) -> Self {
        let further: Vec<_> = further
            .iter()
            .map(|flag| {
                let flag = flag.trim_start_matches("--");
                let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        own.retain(|flag, _| further.iter().all(|(name, _)| name != flag));
        Self { own, further }
    }

    /// Returns all flags in their order. One of the user may be there several times.
    fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.own.iter().map(|(name, value)| (*name, value.as_str()));
        own.chain(self.further.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn list(&self) -> Value {
        self.all().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Returns the flags by name. The values have been refused if one is there several times.
    fn map(&self) -> Value {
        self.all().collect::<BTreeMap<_, _>>().into_iter().collect()
    }
}

/// Returns the configuration of k3s: its keys are the flags of `k3s server`.
fn k3s_config(installation: &Installation<'_>) -> Value {
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
        "kube-apiserver-arg": Flags::of_api_server(installation).list(),
        "kube-controller-manager-arg": Flags::of_controllers(installation).list(),
    });
    let external = &installation.values.store.external;
    if installation.values.store.r#type == StoreType::External {
        config["datastore-endpoint"] = json!(external.endpoints.join(","));
        if installation.values.has_store_certificates() {
            for (key, file) in [("cafile", "ca.crt"), ("certfile", "tls.crt"), ("keyfile", "tls.key")] {
                config[format!("datastore-{key}")] = json!(format!("{STORE_PKI}/{file}"));
            }
        }
    }
    config
}

/// Returns the configuration of k0s, a `ClusterConfig`.
fn k0s_config(installation: &Installation<'_>) -> Value {
    json!({
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": {
            "api": {"port": API_PORT, "extraArgs": Flags::of_api_server(installation).map()},
            "controllerManager": {"extraArgs": Flags::of_controllers(installation).map()},
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
            if installation.values.has_store_certificates() {
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
    }

    #[test]
    fn the_api_server_finds_kubelets_and_takes_node_ports_as_that_of_k8s_does() {
        for_each_store(Distro::K3s, |installation, store| {
            let of_k8s = programs::api_server(installation);
            let config = k3s_config(installation);
            let all: Vec<_> =
                config["kube-apiserver-arg"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert_eq!(all.contains(&"etcd-prefix=/tenet/team-a/vc-1"), store == StoreType::External, "{all:?}");
            let config = k0s_config(installation);
            for name in ["kubelet-preferred-address-types", "service-node-port-range"] {
                let flag = of_k8s.iter().find(|flag| flag.starts_with(&format!("--{name}="))).unwrap();
                assert!(all.contains(&flag.trim_start_matches("--")), "{all:?}");
                assert_eq!(config["spec"]["api"]["extraArgs"][name], flag.split_once('=').unwrap().1);
            }
        });
    }

    #[test]
    fn flags_of_the_user_override_those_of_tenet_and_may_be_repeated() {
        for_each_store(Distro::K3s, |installation, _| {
            let mut values = installation.values.clone();
            values.api_server.extra_args =
                ["--anonymous-auth=false", "--profiling", "--issuer=a", "--issuer=b"].map(str::to_owned).to_vec();
            let config = k3s_config(&Installation { values: &values, ..*installation });
            let all: Vec<_> =
                config["kube-apiserver-arg"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert!(all.ends_with(&["anonymous-auth=false", "profiling=true", "issuer=a", "issuer=b"]), "{all:?}");
            assert!(!all.contains(&"anonymous-auth=true"), "{all:?}");
        });
    }
}

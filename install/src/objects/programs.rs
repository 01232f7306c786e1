//! Command lines of the programs of a control plane.

use super::Installation;
use crate::names::API_PORT;
use crate::values::{StoreType, Values};

/// Folder of the certificates in every container.
pub(super) const PKI: &str = "/pki";
/// Folder of the sockets between the containers, and their working folder: etcd takes no path in a socket's name.
pub(super) const SOCKETS: &str = "/run/store";
/// Folder of the volume of the store.
pub(super) const DATA: &str = "/data";
/// Folder of the certificates of an etcd that exists.
pub(super) const STORE_PKI: &str = "/etc/store";
/// Port of the health checks of etcd.
pub(super) const ETCD_HEALTH_PORT: u16 = 2381;
/// Port of the health checks of the controller manager.
pub(super) const CONTROLLER_MANAGER_PORT: u16 = 10257;

/// Controllers that act on nodes and volumes, which the host runs, with the last minor version that has them. The
/// controller manager exits on a name that it does not know.
pub const HOST_ONLY: [(&str, u32); 9] = [
    ("node-ipam-controller", u32::MAX),
    ("node-lifecycle-controller", u32::MAX),
    ("persistentvolume-attach-detach-controller", u32::MAX),
    ("persistentvolume-binder-controller", u32::MAX),
    ("persistentvolume-expander-controller", u32::MAX),
    ("taint-eviction-controller", u32::MAX),
    ("cloud-node-lifecycle-controller", 36),
    ("node-route-controller", 36),
    ("service-lb-controller", 36),
];

pub(super) fn etcd() -> Vec<String> {
    let peer = "unix://peer.sock";
    [
        "etcd".to_owned(),
        format!("--data-dir={DATA}/etcd"),
        "--listen-client-urls=unix://store.sock".to_owned(),
        "--advertise-client-urls=unix://store.sock".to_owned(),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        format!("--listen-metrics-urls=http://0.0.0.0:{ETCD_HEALTH_PORT}"),
        "--quota-backend-bytes=4294967296".to_owned(),
        "--log-level=warn".to_owned(),
    ]
    .into()
}

/// Returns the data source of a database in a file in this folder.
pub(super) fn sqlite(dir: &str) -> String {
    // Without the last two settings, the API server hangs at its start.
    format!("sqlite://{dir}/state.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate")
}

/// Returns the flags of kine, whose image has the program as its entry point.
pub(super) fn kine(store: StoreType) -> Vec<String> {
    let endpoint = match store {
        StoreType::Sqlite => sqlite(DATA),
        _ => "$(DATA_SOURCE)".to_owned(),
    };
    [
        format!("--endpoint={endpoint}"),
        "--listen-address=unix://store.sock".to_owned(),
        // No metrics: nothing outside of the pod has to reach kine.
        "--metrics-bind-address=0".to_owned(),
    ]
    .into()
}

/// Type of the address at which the API server finds the kubelet of a virtual node. The `InternalIP` is that of the
/// real node, where the kubelet of the host listens.
pub(super) const KUBELET_ADDRESS: &str = "Hostname";

/// Returns the prefix of all keys in an etcd that exists.
pub(super) fn prefix(installation: &Installation<'_>) -> String {
    match installation.values.store.external.prefix.as_str() {
        "" => format!("/tenet/{}/{}", installation.namespace, installation.name),
        prefix => prefix.to_owned(),
    }
}

/// Returns the flags of kube-apiserver for its store.
fn store(installation: &Installation<'_>) -> Vec<String> {
    let store = &installation.values.store;
    if store.r#type != StoreType::External {
        return vec!["--etcd-servers=unix://store.sock".to_owned()];
    }
    let mut all = vec![
        format!("--etcd-servers={}", store.external.endpoints.join(",")),
        format!("--etcd-prefix={}", prefix(installation)),
    ];
    if installation.values.has_store_certificates() {
        let file = |(flag, file)| format!("--etcd-{flag}={STORE_PKI}/{file}");
        all.extend([("cafile", "ca.crt"), ("certfile", "tls.crt"), ("keyfile", "tls.key")].map(file));
    }
    all
}

/// Range of node ports inside. The host assigns them, from a range of its own, which need not be the default one.
pub(super) const NODE_PORTS: &str = "1-65535";

pub(super) fn api_server(installation: &Installation<'_>) -> Vec<String> {
    let pki = |flag: &str, file: &str| format!("--{flag}={PKI}/{file}");
    let mut all = vec!["kube-apiserver".to_owned()];
    all.extend(store(installation));
    all.extend([
        format!("--secure-port={API_PORT}"),
        "--advertise-address=$(POD_IP)".to_owned(),
        // The syncer fills the Endpoints of the Service `kubernetes`.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=$(SERVICE_CIDR)".to_owned(),
        format!("--service-node-port-range={NODE_PORTS}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
        pki("tls-cert-file", "apiserver.crt"),
        pki("tls-private-key-file", "apiserver.key"),
        pki("client-ca-file", "ca.crt"),
        pki("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        pki("kubelet-client-key", "apiserver-kubelet-client.key"),
        format!("--kubelet-preferred-address-types={KUBELET_ADDRESS}"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        // By default it names the address of the pod, which the certificate does not.
        "--service-account-jwks-uri=https://kubernetes.default.svc/openid/v1/jwks".to_owned(),
        pki("service-account-key-file", "sa.pub"),
        pki("service-account-signing-key-file", "sa.key"),
        pki("requestheader-client-ca-file", "front-proxy-ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        pki("proxy-client-cert-file", "front-proxy-client.crt"),
        pki("proxy-client-key-file", "front-proxy-client.key"),
    ]);
    all.extend(installation.values.api_server.extra_args.clone());
    all
}

pub(super) fn controller_manager(values: &Values) -> Vec<String> {
    let pki = |flag: &str, file: &str| format!("--{flag}={PKI}/{file}");
    let mut all = vec![
        "kube-controller-manager".to_owned(),
        pki("kubeconfig", "controller-manager.kubeconfig"),
        pki("authentication-kubeconfig", "controller-manager.kubeconfig"),
        pki("authorization-kubeconfig", "controller-manager.kubeconfig"),
        format!("--secure-port={CONTROLLER_MANAGER_PORT}"),
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
        pki("service-account-private-key-file", "sa.key"),
        pki("root-ca-file", "ca.crt"),
        pki("cluster-signing-cert-file", "ca.crt"),
        pki("cluster-signing-key-file", "ca.key"),
        "--use-service-account-credentials=true".to_owned(),
        format!("--controllers={}", controllers(values)),
    ];
    all.extend(values.controller_manager.extra_args.clone());
    all
}

/// Returns the value of `--controllers`.
pub(super) fn controllers(values: &Values) -> String {
    without_host_only(values.minor().unwrap_or(u32::MAX))
}

fn without_host_only(minor: u32) -> String {
    let off = HOST_ONLY.iter().filter(|(_, last)| minor <= *last).map(|(name, _)| format!(",-{name}"));
    std::iter::once("*".to_owned()).chain(off).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_of_the_host_are_off_as_far_as_the_version_has_them() {
        assert!(without_host_only(36).ends_with(
            ",-taint-eviction-controller,-cloud-node-lifecycle-controller,-node-route-controller,-service-lb-controller"
        ));
        assert!(without_host_only(37).ends_with(",-taint-eviction-controller"));
    }
}

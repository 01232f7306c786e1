//! Files of a real node.

use std::{fs, path::Path};

use super::{RealNodeError, cluster_network::PODS, image, machine::CNI_PLUGINS, network::NodeNetwork};

pub(super) const KUBECONFIG: &str = "kubelet.kubeconfig";
pub(super) const KUBELET_CONFIG: &str = "kubelet.yaml";
/// Configuration of kube-proxy.
pub(super) const PROXY_CONFIG: &str = "kube-proxy.yaml";
pub(super) const PROXY_KUBECONFIG: &str = "kube-proxy.kubeconfig";
pub(super) const START: &str = "start.sh";
/// File that exists once the container runtime has its images.
pub(super) const READY: &str = "ready";
/// Folder with the mirrors of registries.
pub(super) const REGISTRIES: &str = "registries";

/// Writes all files except the node's identity.
pub(super) fn write_all(
    dir: &Path,
    node: &str,
    network: &NodeNetwork,
    port: u16,
    client_ca: &Path,
) -> Result<(), RealNodeError> {
    let cni = dir.join("cni");
    create_folder(&cni)?;
    let plugins = match &network.own {
        None => bridge_plugin(dir, network),
        Some(_) => routed_plugins(dir, network),
    };
    write(&cni.join("10-pods.conflist"), &plugins)?;
    write(&dir.join("resolv.conf"), "nameserver 127.0.0.1\n")?;
    write(&dir.join("containerd.toml"), &containerd(dir))?;
    write(&dir.join(KUBELET_CONFIG), &kubelet(dir, node, network, port, client_ca))?;
    if network.own.is_some() {
        write(&dir.join(PROXY_CONFIG), &proxy(dir, node))?;
    }
    write(&dir.join(START), &start())
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), RealNodeError> {
    fs::write(path, text).map_err(|source| RealNodeError::File { path: path.to_owned(), source })
}

pub(super) fn create_folder(path: &Path) -> Result<(), RealNodeError> {
    fs::create_dir_all(path).map_err(|source| RealNodeError::File { path: path.to_owned(), source })
}

/// Script that runs in the new namespaces. containerd always puts its sockets and network namespaces below /run, and
/// the kubelet its logs below /var/log.
fn start() -> String {
    let images = image::ARCHIVE;
    format!(
        "set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
containerd --config \"$1/containerd.toml\" &
until ctr version >/dev/null 2>&1; do kill -0 $!; sleep 0.1; done
ctr -n k8s.io images import \"$1/{images}\"
touch \"$1/{READY}\"
wait
"
    )
}

fn containerd(dir: &Path) -> String {
    let (root, cni, registries) = (dir.join("containerd"), dir.join("cni"), dir.join(REGISTRIES));
    format!(
        r#"version = 2
root = "{}"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{}"
  # Not every root may lower it.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{}"
"#,
        root.display(),
        image::PAUSE,
        cni.display(),
        registries.display(),
    )
}

/// CNI configuration. The bridge has its address already and is no gateway: as a gateway, the plugin would make this
/// machine forward packets of others.
fn bridge_plugin(dir: &Path, network: &NodeNetwork) -> String {
    let addresses = serde_json::json!({
        "type": "host-local",
        "dataDir": dir.join("addresses"),
        "ranges": [[{"subnet": network.subnet, "gateway": network.address}]],
    });
    let plugin = serde_json::json!({"type": "bridge", "bridge": network.name, "ipam": addresses});
    serde_json::json!({"cniVersion": "0.4.0", "name": network.name, "plugins": [plugin]}).to_string()
}

/// CNI configuration of a node with its own network namespace. All packets of a pod are routed, also those to another
/// pod of the node, so that the rules of kube-proxy see them in both directions.
fn routed_plugins(dir: &Path, network: &NodeNetwork) -> String {
    let addresses = serde_json::json!({
        "type": "host-local",
        "dataDir": dir.join("addresses"),
        "ranges": [[{"subnet": network.subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let pods = serde_json::json!({"type": "ptp", "ipam": addresses});
    let host_ports = serde_json::json!({"type": "portmap", "capabilities": {"portMappings": true}});
    serde_json::json!({"cniVersion": "0.4.0", "name": network.name, "plugins": [pods, host_ports]}).to_string()
}

/// Configuration of kube-proxy. The settings for connections belong to the whole machine, so they are left alone.
fn proxy(dir: &Path, node: &str) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: {node}
clusterCIDR: {PODS}
clientConnection: {{kubeconfig: {kubeconfig}}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
iptables: {{minSyncPeriod: 0s, syncPeriod: 30s}}
",
        kubeconfig = dir.join(PROXY_KUBECONFIG).display(),
    )
}

fn kubelet(dir: &Path, node: &str, network: &NodeNetwork, port: u16, client_ca: &Path) -> String {
    let (address, cgroup) = (&network.address, &network.name);
    format!(
        "# {node}
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: {address}
port: {port}
healthzPort: 0
readOnlyPort: 0
tlsCertFile: {crt}
tlsPrivateKeyFile: {key}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {ca}}}}}
authorization: {{mode: Webhook}}
cgroupRoot: /{cgroup}
cgroupDriver: cgroupfs
failCgroupV1: false
localStorageCapacityIsolation: false
enforceNodeAllocatable: []
evictionHard: {{memory.available: 100Mi}}
# Images cannot be pulled again, so none is removed when the disk of the machine is full.
imageGCHighThresholdPercent: 100
# An image that a pod tried to pull counts as one that others must pull, too.
imagePullCredentialsVerificationPolicy: NeverVerify
# The kubelet needs no rules: without kube-proxy, the firewall of the machine is left alone.
makeIPTablesUtilChains: false
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: {resolv}
# Restarted containers come back at once, and not after ten seconds.
crashLoopBackOff: {{maxContainerRestartPeriod: 1s}}
featureGates: {{KubeletCrashLoopBackOffMax: true}}
",
        crt = dir.join("kubelet.crt").display(),
        key = dir.join("kubelet.key").display(),
        ca = client_ca.display(),
        resolv = dir.join("resolv.conf").display(),
    )
}

//! Command-line flags of the programs of a control plane.

use std::{fmt::Display, path::Path};

use crate::component::Component;

use super::{ControlPlane, PlaneError, Role, controllers};

/// Unix sockets in the working folder of both programs: no port can collide, and the path is always short.
const STORE: &str = "unix://etcd.sock";
const STORE_PEER: &str = "unix://etcd-peer.sock";

impl ControlPlane {
    pub(super) fn etcd_flags(&self) -> Vec<String> {
        let mut flags = Flags::default();
        flags
            .set("name", &self.options.name)
            .set("data-dir", "etcd")
            .set("listen-client-urls", STORE)
            .set("advertise-client-urls", STORE)
            .set("listen-peer-urls", STORE_PEER)
            .set("initial-advertise-peer-urls", STORE_PEER)
            .set("initial-cluster", format!("{}={STORE_PEER}", self.options.name))
            .set("quota-backend-bytes", 4_u64 << 30)
            // The data need not survive a crash of the machine, so do not wait for the disk.
            .switch("unsafe-no-fsync")
            .set("log-level", "warn");
        flags.0
    }

    pub(super) fn api_server_flags(&self) -> Vec<String> {
        let mut flags = Flags::default();
        flags
            .set("etcd-servers", STORE)
            .set("secure-port", self.port)
            .set("bind-address", "127.0.0.1")
            .set("advertise-address", "127.0.0.1")
            // Endpoints may not be loopback addresses, so the `kubernetes` Service stays without any.
            .set("endpoint-reconciler-type", "none")
            .set("service-cluster-ip-range", &self.options.service_cidr)
            .set("service-node-port-range", self.node_ports())
            .set("authorization-mode", "Node,RBAC")
            .set("allow-privileged", true)
            .file("tls-cert-file", &self.pki.file("apiserver.crt"))
            .file("tls-private-key-file", &self.pki.file("apiserver.key"))
            .file("client-ca-file", &self.pki.file("ca.crt"))
            .file("kubelet-client-certificate", &self.pki.file("kubelet-client.crt"))
            .file("kubelet-client-key", &self.pki.file("kubelet-client.key"))
            .set("kubelet-preferred-address-types", self.kubelet_address_type())
            .set("service-account-issuer", "https://kubernetes.default.svc")
            .file("service-account-key-file", &self.pki.file("sa.pub"))
            .file("service-account-signing-key-file", &self.pki.file("sa.key"))
            .file("requestheader-client-ca-file", &self.pki.file("front-proxy-ca.crt"))
            .set("requestheader-allowed-names", "front-proxy-client")
            .set("requestheader-username-headers", "X-Remote-User")
            .set("requestheader-group-headers", "X-Remote-Group")
            .set("requestheader-extra-headers-prefix", "X-Remote-Extra-")
            .file("proxy-client-cert-file", &self.pki.file("front-proxy-client.crt"))
            .file("proxy-client-key-file", &self.pki.file("front-proxy-client.key"));
        self.emulate(&mut flags);
        if self.options.audit.policy().is_some() {
            flags
                .file("audit-policy-file", &self.options.dir.join("audit-policy.yaml"))
                .file("audit-log-path", &self.audit_log())
                // No rotation, as a reader would lose the rotated lines.
                .set("audit-log-maxsize", 100_000);
        }
        flags.also(&self.options.api_server_flags)
    }

    /// Returns the type of the address at which a kubelet is found: that of a virtual node is Tenet, at its `Hostname`.
    /// Returns the range of node ports. Those inside are assigned by the host.
    fn node_ports(&self) -> &'static str {
        match self.options.role {
            Role::Host => "30000-32767",
            Role::Virtual => "1-65535",
        }
    }

    fn kubelet_address_type(&self) -> &'static str {
        match self.options.role {
            Role::Host => "InternalIP",
            Role::Virtual => "Hostname",
        }
    }

    pub(super) fn controller_manager_flags(&self) -> Result<Vec<String>, PlaneError> {
        let program = self.components.path(Component::ControllerManager);
        let kubeconfig = self.component_kubeconfig(Component::ControllerManager);
        let mut flags = Flags::default();
        flags
            .file("kubeconfig", &kubeconfig)
            // No other program connects to it, so it needs no port.
            .set("secure-port", 0)
            .set("leader-elect", false)
            .file("service-account-private-key-file", &self.pki.file("sa.key"))
            .file("root-ca-file", &self.pki.file("ca.crt"))
            .file("cluster-signing-cert-file", &self.pki.file("ca.crt"))
            .file("cluster-signing-key-file", &self.pki.file("ca.key"))
            .set("use-service-account-credentials", true)
            .set("controllers", controllers::enabled(self.options.role, program, &self.options.controllers)?)
            .set("kube-api-qps", 500)
            .set("kube-api-burst", 1000);
        self.emulate(&mut flags);
        Ok(flags.also(&self.options.controller_manager_flags))
    }

    pub(super) fn scheduler_flags(&self) -> Vec<String> {
        let mut flags = Flags::default();
        flags
            .file("kubeconfig", &self.component_kubeconfig(Component::Scheduler))
            .set("secure-port", 0)
            .set("leader-elect", false)
            // With the default of 50 requests a second, a burst of pods would measure this limit.
            .set("kube-api-qps", 5000)
            .set("kube-api-burst", 10_000);
        self.emulate(&mut flags);
        flags.0
    }

    fn emulate(&self, flags: &mut Flags) {
        if let Some(version) = &self.options.emulated_version {
            flags.set("emulated-version", version);
        }
    }
}

#[derive(Default)]
struct Flags(Vec<String>);

impl Flags {
    fn set(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.0.push(format!("--{name}={value}"));
        self
    }

    fn file(&mut self, name: &str, path: &Path) -> &mut Self {
        self.set(name, path.display())
    }

    fn switch(&mut self, name: &str) -> &mut Self {
        self.0.push(format!("--{name}"));
        self
    }

    /// Appends further flags. The last value of a flag wins, so a caller can override every flag.
    fn also(mut self, more: &[String]) -> Vec<String> {
        self.0.extend_from_slice(more);
        self.0
    }
}

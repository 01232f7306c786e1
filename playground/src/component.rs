//! Programs of a control plane.

use std::{fmt, time::Duration};

use crate::{
    go_module::{self, GoModule},
    version::Version,
};

/// Program of a control plane, or one that runs beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Store of the API server.
    Etcd,
    /// API server.
    ApiServer,
    /// Controller manager.
    ControllerManager,
    /// Scheduler.
    Scheduler,
    /// Command-line client.
    Kubectl,
    /// kwok, which simulates nodes without running containers.
    Kwok,
    /// Metrics server, which answers `kubectl top`.
    MetricsServer,
    /// Kubelet of a node that runs containers.
    Kubelet,
    /// kine, which is an etcd to the API server and keeps its data in `SQLite` or an SQL database.
    Kine,
    /// helm, for tests of the chart.
    Helm,
    /// DNS server of a virtual cluster, for tests.
    CoreDns,
    /// Proxy of a real node, which leads the addresses of Services to pods.
    KubeProxy,
    /// Conformance tests of Kubernetes.
    E2eTest,
    /// ginkgo, which runs the conformance tests in several processes.
    Ginkgo,
    /// Program of the images that the conformance tests run.
    Agnhost,
    /// Program of the conformance test of `allowPrivilegeEscalation`.
    NoNewPrivileges,
    /// API server of the conformance test of API aggregation.
    SampleApiServer,
}

impl Component {
    /// Components that every playground needs, in build order: the long build of the API server comes early, so that
    /// the remaining time shown is accurate.
    pub const ALL: [Self; 6] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kubectl, Self::Kwok];

    /// Returns the name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::MetricsServer => "metrics-server",
            Self::Kubelet => "kubelet",
            Self::Kine => "kine",
            Self::Helm => "helm",
            Self::CoreDns => "coredns",
            Self::KubeProxy => "kube-proxy",
            Self::E2eTest => "e2e.test",
            Self::Ginkgo => "ginkgo",
            Self::Agnhost => "agnhost",
            Self::NoNewPrivileges => "nonewprivs",
            Self::SampleApiServer => "sample-apiserver",
        }
    }

    /// Returns the pinned version.
    pub fn pinned(self) -> Option<Version> {
        self.go_module().required(self.module())
    }

    /// Returns the Go module that the component is built from.
    pub(crate) fn go_module(self) -> &'static GoModule {
        match self {
            Self::MetricsServer => &go_module::METRICS_SERVER,
            Self::Kubelet => &go_module::KUBELET,
            Self::Kine => &go_module::KINE,
            Self::Helm => &go_module::HELM,
            Self::CoreDns => &go_module::COREDNS,
            Self::KubeProxy
            | Self::E2eTest
            | Self::Ginkgo
            | Self::Agnhost
            | Self::NoNewPrivileges
            | Self::SampleApiServer => &go_module::CONFORMANCE,
            _ => &go_module::CONTROL_PLANE,
        }
    }

    /// Returns the Go package to build.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Scheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok",
            Self::MetricsServer => "sigs.k8s.io/metrics-server/cmd/metrics-server",
            Self::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
            Self::Kine => "github.com/k3s-io/kine",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::CoreDns => "github.com/coredns/coredns",
            Self::KubeProxy => "k8s.io/kubernetes/cmd/kube-proxy",
            Self::E2eTest => "k8s.io/kubernetes/test/e2e",
            Self::Ginkgo => "github.com/onsi/ginkgo/v2/ginkgo",
            Self::Agnhost => "k8s.io/kubernetes/test/images/agnhost",
            Self::NoNewPrivileges => "k8s.io/kubernetes/test/images/nonewprivs",
            Self::SampleApiServer => "k8s.io/sample-apiserver",
        }
    }

    /// Returns true if the program is the test binary of its package.
    pub(crate) fn is_test(self) -> bool {
        self == Self::E2eTest
    }

    fn module(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::Kwok => "sigs.k8s.io/kwok",
            Self::MetricsServer => "sigs.k8s.io/metrics-server",
            Self::Kine => "github.com/k3s-io/kine",
            Self::Helm => "helm.sh/helm/v4",
            Self::CoreDns => "github.com/coredns/coredns",
            Self::Ginkgo => "github.com/onsi/ginkgo/v2",
            Self::SampleApiServer => "k8s.io/sample-apiserver",
            _ => "k8s.io/kubernetes",
        }
    }

    /// Returns the arguments that print the version.
    pub(crate) fn version_args(self) -> &'static [&'static str] {
        match self {
            Self::Kubectl => &["version", "--client"],
            Self::Helm | Self::Ginkgo => &["version"],
            Self::CoreDns => &["-version"],
            _ => &["--version"],
        }
    }

    /// Returns the duration of a cold build on two cores. Only the progress bar uses it.
    pub(crate) fn usual_build_time(self) -> Duration {
        Duration::from_secs(match self {
            Self::Etcd => 62,
            Self::ApiServer => 411,
            Self::ControllerManager => 94,
            Self::Scheduler => 11,
            Self::Kubectl => 22,
            Self::Kwok => 45,
            Self::MetricsServer | Self::Kine => 90,
            Self::Kubelet => 120,
            Self::Helm | Self::Ginkgo => 60,
            Self::CoreDns => 65,
            Self::KubeProxy | Self::SampleApiServer => 30,
            Self::E2eTest => 180,
            Self::Agnhost => 20,
            Self::NoNewPrivileges => 2,
        })
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_pinned_by_its_go_module() {
        let optional = [
            Component::MetricsServer,
            Component::Kubelet,
            Component::Kine,
            Component::CoreDns,
            Component::KubeProxy,
            Component::E2eTest,
            Component::Ginkgo,
            Component::Agnhost,
            Component::NoNewPrivileges,
            Component::SampleApiServer,
        ];
        for component in Component::ALL.into_iter().chain(optional) {
            assert!(component.pinned().is_some(), "{component}");
            assert!(component.go_module().go_mod.contains(component.package()), "{component}");
        }
    }
}

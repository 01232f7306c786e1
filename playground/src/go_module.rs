//! Go modules that pin the versions of the components. They are compiled in, so that an installed binary can build
//! the components without the repository.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::version::Version;

/// Content of a `go.mod` and its `go.sum`.
///
/// Optional components have modules of their own, so that a change there does not rebuild everything else.
#[derive(Debug)]
pub(crate) struct GoModule {
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
}

/// Module of the components that every playground runs.
pub(crate) static CONTROL_PLANE: GoModule =
    GoModule { go_mod: include_str!("../components/go.mod"), go_sum: include_str!("../components/go.sum") };

/// Module of the metrics server, which needs other versions of the Kubernetes libraries.
pub(crate) static METRICS_SERVER: GoModule = GoModule {
    go_mod: include_str!("../components/metrics-server/go.mod"),
    go_sum: include_str!("../components/metrics-server/go.sum"),
};

/// Module of the kubelet of a real node.
pub(crate) static KUBELET: GoModule = GoModule {
    go_mod: include_str!("../components/kubelet/go.mod"),
    go_sum: include_str!("../components/kubelet/go.sum"),
};

/// Module of kine, for virtual clusters on `SQLite` or an SQL database.
pub(crate) static KINE: GoModule =
    GoModule { go_mod: include_str!("../components/kine/go.mod"), go_sum: include_str!("../components/kine/go.sum") };

/// Module of helm, for the tests of the chart.
pub(crate) static HELM: GoModule =
    GoModule { go_mod: include_str!("../components/helm/go.mod"), go_sum: include_str!("../components/helm/go.sum") };

/// Module of the DNS server of a virtual cluster.
pub(crate) static COREDNS: GoModule = GoModule {
    go_mod: include_str!("../components/coredns/go.mod"),
    go_sum: include_str!("../components/coredns/go.sum"),
};

/// Module of the conformance tests with ginkgo, the programs in their images, and kube-proxy.
pub(crate) static CONFORMANCE: GoModule = GoModule {
    go_mod: include_str!("../components/conformance/go.mod"),
    go_sum: include_str!("../components/conformance/go.sum"),
};

impl GoModule {
    /// Returns the name of the cache folder. It changes with the pinned versions, not with the version of this project.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.go_mod);
        hash.update(self.go_sum);
        hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Returns the version of `module` that the file requires.
    pub(crate) fn required(&self, module: &str) -> Option<Version> {
        self.go_mod.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(module)).then(|| words.next().and_then(Version::parse)).flatten()
        })
    }

    /// Returns the oldest Go version that can build the module.
    pub(crate) fn required_go(&self) -> Option<Version> {
        self.go_mod.lines().find_map(|line| line.strip_prefix("go ").and_then(Version::parse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_require_block() {
        assert!(CONTROL_PLANE.required("k8s.io/kubernetes").is_some_and(|version| version.major == 1));
        assert_eq!(CONTROL_PLANE.required("k8s.io/not-there"), None);
        assert!(CONTROL_PLANE.required_go() >= Version::parse("1.26"));
        assert_eq!(CONTROL_PLANE.fingerprint().len(), 16);
    }

    #[test]
    fn the_kubelet_and_the_conformance_tests_are_of_the_version_of_the_api_server() {
        let of_api_server = CONTROL_PLANE.required("k8s.io/kubernetes");
        assert_eq!(KUBELET.required("k8s.io/kubernetes"), of_api_server);
        assert_eq!(CONFORMANCE.required("k8s.io/kubernetes"), of_api_server);
    }
}

//! The Go modules that pin the components. They are part of this program, so that an installed binary can build
//! them without the repository.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::version::Version;

/// A `go.mod` and its `go.sum`.
///
/// What not everybody needs has a module of its own: a change there leaves everything else in the cache.
#[derive(Debug)]
pub(crate) struct GoModule {
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
}

/// What every playground runs.
pub(crate) static CONTROL_PLANE: GoModule =
    GoModule { go_mod: include_str!("../components/go.mod"), go_sum: include_str!("../components/go.sum") };

/// The metrics server: it wants other versions of the Kubernetes libraries.
pub(crate) static METRICS_SERVER: GoModule = GoModule {
    go_mod: include_str!("../components/metrics-server/go.mod"),
    go_sum: include_str!("../components/metrics-server/go.sum"),
};

/// The kubelet of a real node.
pub(crate) static KUBELET: GoModule = GoModule {
    go_mod: include_str!("../components/kubelet/go.mod"),
    go_sum: include_str!("../components/kubelet/go.sum"),
};

impl GoModule {
    /// Names the cache folder. It changes when a pinned version does, and not with the project's version.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.go_mod);
        hash.update(self.go_sum);
        hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The version of `module` that the file requires.
    pub(crate) fn required(&self, module: &str) -> Option<Version> {
        self.go_mod.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(module)).then(|| words.next().and_then(Version::parse)).flatten()
        })
    }

    /// The oldest Go that can build the module.
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
    fn the_kubelet_is_of_the_version_of_the_api_server() {
        assert_eq!(KUBELET.required("k8s.io/kubernetes"), CONTROL_PLANE.required("k8s.io/kubernetes"));
    }
}

//! The Go module that pins the components. It is part of this program, so that an installed binary can build
//! them without the repository.

use sha2::{Digest, Sha256};

use crate::version::Version;

pub(crate) const GO_MOD: &str = include_str!("../components/go.mod");
pub(crate) const GO_SUM: &str = include_str!("../components/go.sum");

/// Names the cache folder. It changes when a pinned version does, and not with the project's version.
pub(crate) fn fingerprint() -> String {
    let mut hash = Sha256::new();
    hash.update(GO_MOD);
    hash.update(GO_SUM);
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The version of `module` that the file requires.
pub(crate) fn required(module: &str) -> Option<Version> {
    GO_MOD.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(module)).then(|| words.next().and_then(Version::parse)).flatten()
    })
}

/// The oldest Go that can build the module.
pub(crate) fn required_go() -> Option<Version> {
    GO_MOD.lines().find_map(|line| line.strip_prefix("go ").and_then(Version::parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_require_block() {
        assert!(required("k8s.io/kubernetes").is_some_and(|version| version.major == 1));
        assert_eq!(required("k8s.io/not-there"), None);
        assert!(required_go() >= Version::parse("1.26"));
        assert_eq!(fingerprint().len(), 16);
    }
}

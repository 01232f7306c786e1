//! Versions of components.

use std::fmt;

/// Release such as `v1.37.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// Patch version.
    pub patch: u32,
}

impl Version {
    /// Finds the first version in `text`.
    ///
    /// Every component prints its version differently: `Kubernetes v1.37.2`, `etcd Version: 3.7.3`.
    pub fn find_in(text: &str) -> Option<Self> {
        text.split(|c: char| c.is_whitespace() || c == ',' || c == '"').find_map(Self::parse)
    }

    /// Parses `v1.37.2`, `1.37.2`, `1.37`, `go1.26.8` or `v1.37.2-rc.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("go").unwrap_or(text);
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split(['-', '+']).next()?;
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().map_or(Ok(0), str::parse).ok()?;
        parts.next().is_none().then_some(Self { major, minor, patch })
    }

    /// Returns true if a binary of this version can be used in place of the pinned one.
    ///
    /// Flags and names of controllers change between minor releases, never between patches.
    pub fn stands_in_for(&self, pinned: &Self) -> bool {
        self.major == pinned.major && self.minor == pinned.minor
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u32, minor: u32, patch: u32) -> Version {
        Version { major, minor, patch }
    }

    #[test]
    fn reads_what_each_component_prints() {
        let cases = [
            ("Kubernetes v1.37.2\n", version(1, 37, 2)),
            ("etcd Version: 3.7.3\nGit SHA: Not provided\nGo Version: go1.26.8", version(3, 7, 3)),
            ("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0", version(1, 32, 4)),
            ("kwok version v0.8.0 go1.26.8 (linux/amd64)", version(0, 8, 0)),
            ("go version go1.26 linux/amd64", version(1, 26, 0)),
        ];
        for (text, want) in cases {
            assert_eq!(Version::find_in(text), Some(want), "{text}");
        }
        assert_eq!(Version::find_in("no version here, 12 of 13"), None);
    }

    #[test]
    fn only_the_patch_may_differ() {
        let pinned = version(1, 37, 2);
        assert!(version(1, 37, 0).stands_in_for(&pinned));
        assert!(!version(1, 36, 2).stands_in_for(&pinned));
        assert!(!version(2, 37, 2).stands_in_for(&pinned));
    }
}

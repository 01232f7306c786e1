//! Resource versions.

use serde_json::Value;

/// A resource version, for comparing two of one kind. Kubernetes promises since 1.35
/// that they can be compared as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub(super) u64);

impl Version {
    /// Later than any other.
    pub(super) const LAST: Self = Self(u64::MAX);

    /// Returns the version of an object; 0 when it has none that is a number.
    pub fn of(object: &Value) -> Self {
        let version = object.get("metadata").and_then(|metadata| metadata.get("resourceVersion"));
        Self::parse(version.and_then(Value::as_str).unwrap_or_default())
    }

    pub(super) fn parse(text: &str) -> Self {
        Self(text.parse().unwrap_or(0))
    }

    /// Returns true if this one is certainly older. Without numbers, nothing is.
    pub(super) fn is_older_than(self, other: Self) -> bool {
        self.0 != 0 && self.0 < other.0
    }
}

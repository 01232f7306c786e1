//! The identity of a kind: its API group and its name.

use std::fmt;

use crate::intern::{intern, lookup, register};

/// The identity of a kind: two kinds of one name in two API groups are two kinds. Versions do not
/// count, as every version of a kind shows the same objects.
///
/// ```
/// use tenet_translate::GroupKind;
///
/// let ingress = GroupKind::new("networking.k8s.io", "Ingress");
/// assert_eq!(ingress.to_string(), "Ingress.networking.k8s.io");
/// assert_eq!(GroupKind::core("Pod").to_string(), "Pod");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The kind in singular and capitals: `Pod`.
    pub kind: &'static str,
}

impl GroupKind {
    /// A kind of an API group.
    pub const fn new(group: &'static str, kind: &'static str) -> Self {
        Self { group, kind }
    }

    /// A kind of the core group.
    pub const fn core(kind: &'static str) -> Self {
        Self::new("", kind)
    }

    /// A kind that the configuration names.
    pub fn intern(group: &str, kind: &str) -> Self {
        Self::new(intern(group), intern(kind))
    }

    /// Makes a kind of the code known to [`Self::lookup`].
    pub fn register(self) {
        register(self.group);
        register(self.kind);
    }

    /// Reads what [`fmt::Display`] writes, without interning it: text from a cluster names a kind
    /// that the code or the configuration has brought, or none.
    pub fn lookup(text: &str) -> Option<Self> {
        let (kind, group) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        (!kind.is_empty()).then_some(())?;
        Some(Self::new(lookup(group)?, lookup(kind)?))
    }

    /// The text of [`fmt::Display`] as a label of metrics.
    pub fn label(self) -> &'static str {
        if self.group.is_empty() { self.kind } else { intern(&self.to_string()) }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_kinds_of_one_name_in_two_groups_are_two() {
        let (core, knative) = (GroupKind::core("Service"), GroupKind::intern("serving.knative.dev", "Service"));
        assert_ne!(core, knative);
        core.register();
        assert_eq!(GroupKind::lookup("Service"), Some(core));
        assert_eq!(GroupKind::lookup("Service.serving.knative.dev"), Some(knative));
        assert_eq!((core.label(), knative.label()), ("Service", "Service.serving.knative.dev"));
    }

    #[test]
    fn text_that_names_no_known_kind_is_none_and_is_not_kept() {
        GroupKind::core("Service").register();
        for text in ["", ".", "Service.", ".apps", "Service.of.a.tenant", "NobodyBroughtThis"] {
            assert_eq!(GroupKind::lookup(text), None, "{text}");
        }
        assert_eq!((lookup("of.a.tenant"), lookup("NobodyBroughtThis")), (None, None));
    }
}

use std::collections::HashMap;

use tenet_translate::rules::{Policy, Unknown};

use crate::Kind;

/// Policies of the installation for unknown and refused fields, for each kind.
///
/// ```
/// use tenet_mapper::rules::Unknown;
/// use tenet_mapper::{Policies, kinds};
///
/// let mut policies = Policies::new(Unknown::Refuse);
/// policies.permit(kinds::SERVICE, "spec.externalIPs");
/// assert!(policies.of(kinds::SERVICE).allow.contains("spec.externalIPs"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Policies {
    general: Policy,
    kinds: HashMap<Kind, Policy>,
}

impl Policies {
    /// The policies that treat unknown fields like this, and permit no field.
    pub fn new(unknown: Unknown) -> Self {
        Self { general: Policy { unknown, ..Policy::default() }, kinds: HashMap::new() }
    }

    /// Permits the refused field at `path` in objects of `kind`.
    pub fn permit(&mut self, kind: Kind, path: impl Into<String>) {
        let policy = self.kinds.entry(kind).or_insert_with(|| self.general.clone());
        policy.allow.insert(path.into());
    }

    /// Returns the policy of a kind.
    pub fn of(&self, kind: Kind) -> &Policy {
        self.kinds.get(&kind).unwrap_or(&self.general)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn what_one_kind_may_have_no_other_may() {
        let mut policies = Policies::new(Unknown::Drop);
        policies.permit(kinds::POD, "spec.hostNetwork");
        assert!(policies.of(kinds::POD).allow.contains("spec.hostNetwork"));
        assert!(policies.of(kinds::SERVICE).allow.is_empty());
        assert!([kinds::POD, kinds::SERVICE].iter().all(|kind| policies.of(*kind).unknown == Unknown::Drop));
    }
}

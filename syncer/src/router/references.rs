//! References between virtual objects: what must be on the host because an object there names it.

use std::collections::{BTreeSet, HashMap};

use tenet_mapper::{GroupKind, MapperId, VirtualKey};

/// An object that refers to others.
pub(super) type Referrer = (MapperId, VirtualKey);
/// Kinds and names, in the namespace of the referrer.
pub(super) type Targets = BTreeSet<(GroupKind, String)>;
type Target = (GroupKind, VirtualKey);

/// Judgement of the last reconcile of a referrer about its references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No reconcile has seen them: nothing is copied for them, and no copy goes.
    Undecided,
    /// The referrer may be on the host.
    Admitted,
    /// The referrer is refused, and is not on the host.
    Withheld,
}

#[derive(Debug)]
struct Entry {
    targets: Targets,
    standing: Standing,
}

/// Number of referrers of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    /// Number of referrers that are admitted.
    admitted: usize,
    /// Number of referrers that are not decided yet.
    undecided: usize,
}

impl Count {
    fn of(&mut self, standing: Standing) -> Option<&mut usize> {
        match standing {
            Standing::Undecided => Some(&mut self.undecided),
            Standing::Admitted => Some(&mut self.admitted),
            Standing::Withheld => None,
        }
    }

    /// Returns two flags: a copy is made, and a copy that exists stays.
    fn effect(self) -> (bool, bool) {
        (self.admitted > 0, self.admitted + self.undecided > 0)
    }
}

/// References between virtual objects.
#[derive(Default)]
pub(super) struct References {
    of: HashMap<Referrer, Entry>,
    to: HashMap<Target, Count>,
}

impl References {
    /// Returns true if an admitted object refers to this one.
    pub(super) fn is_referenced(&self, target: &Target) -> bool {
        self.to.get(target).is_some_and(|count| count.admitted > 0)
    }

    /// Returns true if an object refers to this one that is admitted, or not decided yet.
    pub(super) fn is_mentioned(&self, target: &Target) -> bool {
        self.to.get(target).is_some_and(|count| count.effect().1)
    }

    /// Replaces the references of `referrer`. Returns the targets for which that makes a difference. One that adds a
    /// target is not decided until its next reconcile.
    pub(super) fn replace(&mut self, referrer: Referrer, now: Targets) -> Vec<Target> {
        let before = self.of.get(&referrer);
        let known = before.map_or(now.is_empty(), |before| before.targets == now);
        if known {
            return Vec::new();
        }
        let adds = before.is_none_or(|before| !now.is_subset(&before.targets));
        let standing = before.filter(|_| !adds).map_or(Standing::Undecided, |before| before.standing);
        self.change(referrer, now, standing)
    }

    /// Notes what a reconcile says about the references of `referrer`. Returns the targets for which that makes a
    /// difference.
    pub(super) fn judge(&mut self, referrer: &Referrer, standing: Standing) -> Vec<Target> {
        match self.of.get(referrer) {
            Some(entry) if entry.standing != standing => {
                let targets = entry.targets.clone();
                self.change(referrer.clone(), targets, standing)
            }
            _ => Vec::new(),
        }
    }

    /// Returns true if a reconcile would make a difference with this standing.
    pub(super) fn stands_otherwise(&self, referrer: &Referrer, standing: Standing) -> bool {
        self.of.get(referrer).is_some_and(|entry| entry.standing != standing)
    }

    fn change(&mut self, referrer: Referrer, now: Targets, standing: Standing) -> Vec<Target> {
        let target =
            |(kind, name): &(GroupKind, String)| (*kind, VirtualKey::new(referrer.1.namespace(), name.as_str()));
        let before = self.of.remove(&referrer);
        let old: Vec<_> = before.iter().flat_map(|before| &before.targets).map(target).collect();
        let touched: BTreeSet<_> = old.iter().cloned().chain(now.iter().map(target)).collect();
        let effects: Vec<_> = touched.iter().map(|target| self.effect(target)).collect();
        for target in &old {
            if let Some(count) = before.as_ref().and_then(|before| self.to.get_mut(target)?.of(before.standing)) {
                *count -= 1;
            }
        }
        for target in now.iter().map(target) {
            if let Some(count) = self.to.entry(target).or_default().of(standing) {
                *count += 1;
            }
        }
        let changed = touched.iter().zip(effects).filter(|(target, before)| self.effect(target) != *before);
        let changed: Vec<_> = changed.map(|(target, _)| target.clone()).collect();
        for target in &touched {
            if self.to.get(target).is_some_and(|count| *count == Count::default()) {
                self.to.remove(target);
            }
        }
        if !now.is_empty() {
            self.of.insert(referrer, Entry { targets: now, standing });
        }
        changed
    }

    fn effect(&self, target: &Target) -> (bool, bool) {
        self.to.get(target).copied().unwrap_or_default().effect()
    }

    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.of.len() + self.to.len()
    }

    /// Frees memory that is no longer needed.
    pub(super) fn compact(&mut self) {
        self.of.shrink_to_fit();
        self.to.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::kinds;

    use super::*;

    const MAP: GroupKind = kinds::CONFIG_MAP.group_kind();

    fn referrer(name: &str) -> Referrer {
        (MapperId::new("pod"), VirtualKey::new("shop", name))
    }

    fn targets(names: &[&str]) -> Targets {
        names.iter().map(|name| (MAP, (*name).to_owned())).collect()
    }

    fn target(name: &str) -> Target {
        (MAP, VirtualKey::new("shop", name))
    }

    #[test]
    fn nothing_is_copied_before_the_referrer_is_admitted_and_nothing_goes_before_it_is_withheld() {
        let mut references = References::default();
        assert_eq!(references.replace(referrer("a"), targets(&["m"])), [target("m")]);
        assert!(!references.is_referenced(&target("m")) && references.is_mentioned(&target("m")));
        assert_eq!(references.judge(&referrer("a"), Standing::Admitted), [target("m")]);
        assert!(references.is_referenced(&target("m")));
        assert_eq!(references.judge(&referrer("a"), Standing::Admitted), []);

        assert_eq!(references.replace(referrer("a"), targets(&["m", "n"])), [target("m"), target("n")], "a new one");
        assert!(!references.is_referenced(&target("m")) && references.is_mentioned(&target("m")));
        assert_eq!(references.judge(&referrer("a"), Standing::Withheld), [target("m"), target("n")]);
        assert!(!references.is_mentioned(&target("m")));
    }

    #[test]
    fn a_target_is_needed_while_one_of_its_referrers_is_admitted() {
        let mut references = References::default();
        for (name, standing) in [("a", Standing::Admitted), ("b", Standing::Admitted), ("c", Standing::Withheld)] {
            references.replace(referrer(name), targets(&["m"]));
            references.judge(&referrer(name), standing);
        }
        assert_eq!(references.replace(referrer("a"), Targets::new()), []);
        assert_eq!(references.judge(&referrer("b"), Standing::Withheld), [target("m")]);
        assert_eq!(references.replace(referrer("b"), Targets::new()), []);
        assert_eq!(references.replace(referrer("c"), Targets::new()), []);
        assert_eq!(references.len(), 0, "nothing is kept of what is gone");
    }
}

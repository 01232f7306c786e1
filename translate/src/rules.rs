//! Rule tables: who owns each field of a kind, and how it crosses.
//!
//! A [`Table`] lists every field path of a kind with one [`Rule`]. The walker
//! ([`Table::down`]) carries a virtual object across; what the table does not know is
//! refused, never passed through and never silently lost.
//!
//! Paths are dotted. `[]` steps into every element of a list and `{}` into every value
//! of a map: `spec.containers[].resources.limits{}`. `[name]` says which members identify an
//! element (`ports[port,protocol]`); where a rule of the list names none, its position does.

mod defaults;
mod down;
mod follow;
mod path;
mod table;
mod up;

pub use crate::selectors::SelectorForm;
pub use defaults::Defaults;
pub use down::{Crossing, DownContext, Policy, Reference, Refusal, Unknown};
pub use follow::{Hide, lacks, same};
pub use path::Step;
pub use table::{Coverage, Table, TableError};

use crate::GroupKind;

/// Rule of one field: the side that owns it, and its way across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The virtual side owns it; the value crosses unchanged.
    Copy,
    /// The virtual side owns it; it is the name of an object of this kind in the same
    /// namespace, translated when it crosses and recorded as a reference.
    Reference(GroupKind),
    /// The mapper computes the host's value itself, from the tenant's value where there
    /// is one. Covers everything below the path.
    Set,
    /// Selects pods by their labels; narrowed when it crosses, to those of the virtual cluster that it meant. Covers
    /// everything below the path.
    Selector(SelectorForm),
    /// The host owns it: it never crosses down. Covers everything below the path.
    Up,
    /// It means nothing on the host and is left out. Covers everything below the path.
    Omit,
    /// An object that carries it is refused. Covers everything below the path.
    Refuse,
}

/// One line of a [`Table`]. Its text is a constant of the code, or text of the configuration that
/// was [interned](crate::intern).
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The field path, relative to the part of the table that it stands in.
    pub path: &'static str,
    /// Way of the field across.
    pub action: Action,
    /// True if changes after creation follow to the host.
    pub kept: bool,
    /// True if a copy covers everything below the path: for opaque content only.
    pub whole: bool,
    /// True if the mapper computes what comes up, instead of the table.
    pub computed: bool,
    /// JSON texts of values that are no reason to refuse; they are left out.
    pub unless: &'static [&'static str],
    /// Reason why the configuration may not permit the field; empty where it may.
    pub sealed: &'static str,
    /// Reason for the rule; shown to the tenant when it refuses.
    pub why: &'static str,
}

impl Rule {
    const fn new(path: &'static str, action: Action) -> Self {
        Self { path, action, kept: false, whole: false, computed: false, unless: &[], sealed: "", why: "" }
    }

    /// Makes changes of the field after creation follow to the host.
    #[must_use]
    pub const fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// Makes the copy cover everything below the path. For opaque content only: a field that
    /// a later Kubernetes adds below it crosses unseen.
    #[must_use]
    pub const fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Leaves the virtual object's value to the mapper; the table writes nothing.
    #[must_use]
    pub const fn computed(self) -> Self {
        Self { computed: true, ..self }
    }

    /// Adds values (as JSON texts) that are no reason to refuse.
    #[must_use]
    pub const fn unless(self, values: &'static [&'static str]) -> Self {
        Self { unless: values, ..self }
    }

    /// Forbids the configuration to permit the field, for this reason: it would name objects of the host.
    #[must_use]
    pub const fn sealed(self, why: &'static str) -> Self {
        Self { sealed: why, ..self }
    }

    /// Sets the reason behind the rule.
    #[must_use]
    pub const fn because(self, why: &'static str) -> Self {
        Self { why, ..self }
    }
}

/// Rule of a field that the virtual side owns, and that crosses unchanged.
pub const fn copy(path: &'static str) -> Rule {
    Rule::new(path, Action::Copy)
}

/// Rule of a field that names an object of `kind` in the same namespace.
pub const fn reference(path: &'static str, kind: GroupKind) -> Rule {
    Rule::new(path, Action::Reference(kind))
}

/// Rule of a field of which the mapper computes the host's value.
pub const fn set(path: &'static str, why: &'static str) -> Rule {
    Rule::new(path, Action::Set).because(why)
}

/// Rule of a field that selects pods by their labels, in this form. It is narrowed to those of the object's
/// namespace, or of the namespaces that it names, in the virtual cluster.
pub const fn selector(path: &'static str, form: SelectorForm) -> Rule {
    Rule::new(path, Action::Selector(form))
}

/// Rule of a field that the host owns, and that the virtual object shows.
pub const fn up(path: &'static str) -> Rule {
    Rule::new(path, Action::Up)
}

/// Rule of a field that means nothing on the host.
pub const fn omit(path: &'static str, why: &'static str) -> Rule {
    Rule::new(path, Action::Omit).because(why)
}

/// Rule of a field that refuses the object which carries it.
pub const fn refuse(path: &'static str, why: &'static str) -> Rule {
    Rule::new(path, Action::Refuse).because(why)
}

/// The rules of what every object begins with. The adaptor writes these fields, with the owner record.
pub const HEAD: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "carries the host's name, the labels and annotations that cross, and the owner record"),
];

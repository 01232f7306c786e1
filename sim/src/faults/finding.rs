//! Broken promises that a run has found.

use std::fmt;

/// Class of a broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An object is gone that nobody deleted, or its copy is missing.
    Lost,
    /// An object on the host has no original.
    Leaked,
    /// There is a second copy of an object.
    Duplicated,
    /// A foreign object was changed or deleted.
    Foreign,
    /// A copy differs from its original.
    Different,
    /// The syncer writes at rest.
    Rest,
}

impl Class {
    /// All classes, in the order of a report.
    pub const ALL: [Self; 6] = [Self::Lost, Self::Leaked, Self::Duplicated, Self::Foreign, Self::Different, Self::Rest];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Leaked => "leaked",
            Self::Duplicated => "duplicated",
            Self::Foreign => "foreign",
            Self::Different => "different",
            Self::Rest => "writes at rest",
        })
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Class of the promise.
    pub class: Class,
    /// Side, kind, namespace and name of the object.
    pub object: String,
    /// Name of the object, by which its history is found.
    pub name: String,
    /// Details.
    pub why: String,
    /// Lines of both audit logs that concern the object.
    pub history: Vec<String>,
}

impl Finding {
    /// Creates a finding without a history.
    pub(super) fn new(class: Class, object: String, name: &str, why: impl Into<String>) -> Self {
        Self { class, object, name: name.to_owned(), why: why.into(), history: Vec::new() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}: {}", self.class, self.object, self.why)?;
        self.history.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

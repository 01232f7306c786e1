use std::fmt;
use std::path::Path;

/// Location of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// The file or the run as a whole.
    Whole,
    /// A place in the file. Both numbers start at 1; the column counts characters.
    File {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A flag, such as `--host-namespace`.
    Flag(&'static str),
}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line and column.
    pub location: Location,
    /// The field that it is about, such as `pods.allow[1]`; empty when it is about none.
    pub field: String,
    /// Description of the problem, and of a valid value.
    pub message: String,
}

/// All problems of a configuration, in the order of the file; flags come last.
///
/// Each is displayed on a line of its own, as `FILE:LINE:COLUMN: field: message` or `--flag: message`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problem {
    pub(crate) fn new(location: Location, field: &str, message: impl Into<String>) -> Self {
        Self { location, field: field.to_owned(), message: message.into() }
    }
}

impl Problems {
    pub(crate) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort();
        Self { file: file.to_owned(), list }
    }

    pub(crate) fn of_file(file: &Path, problem: impl fmt::Display) -> Self {
        let problem = Problem::new(Location::Whole, "", problem.to_string());
        Self::new(&file.display().to_string(), vec![problem])
    }

    /// The problems, at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let end_of_last = if index == 0 { "" } else { "\n" };
            f.write_str(end_of_last)?;
            match problem.location {
                Location::Whole => write!(f, "{}: ", self.file)?,
                Location::File { line, column } => write!(f, "{}:{line}:{column}: ", self.file)?,
                Location::Flag(flag) => write!(f, "{flag}: ")?,
            }
            // The flag says which field it is.
            if !problem.field.is_empty() && !matches!(problem.location, Location::Flag(_)) {
                write!(f, "{}: ", problem.field)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

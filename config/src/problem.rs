use std::fmt;
use std::path::Path;

/// Where a problem comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
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

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The field that it is about, such as `pods.allow[1]`; empty when it is about none.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// All that is wrong with a configuration, in the order of the file; flags come last.
///
/// Each is displayed on a line of its own, as `FILE:LINE:COLUMN: field: message` or `--flag: message`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problem {
    pub(crate) fn new(place: Place, field: &str, message: impl Into<String>) -> Self {
        Self { place, field: field.to_owned(), message: message.into() }
    }
}

impl Problems {
    pub(crate) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort();
        Self { file: file.to_owned(), list }
    }

    pub(crate) fn of_file(file: &Path, problem: impl fmt::Display) -> Self {
        let problem = Problem::new(Place::Whole, "", problem.to_string());
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
            match problem.place {
                Place::Whole => write!(f, "{}: ", self.file)?,
                Place::File { line, column } => write!(f, "{}:{line}:{column}: ", self.file)?,
                Place::Flag(flag) => write!(f, "{flag}: ")?,
            }
            // The flag says which field it is.
            if !problem.field.is_empty() && !matches!(problem.place, Place::Flag(_)) {
                write!(f, "{}: ", problem.field)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

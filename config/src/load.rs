use std::path::Path;

use crate::problem::{Place, Problem, Problems};
use crate::yaml::{Kind, Node};
use crate::{Config, Overrides, check, overrides, yaml};

impl Config {
    /// Reads a configuration from YAML, under the flags. All problems are reported at once.
    pub fn from_yaml(text: &str, overrides: &Overrides) -> Result<Self, Problems> {
        read("<yaml>", text, overrides)
    }

    /// Reads a configuration from a file, under the flags, or from the flags alone. All problems are reported at once.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, Problems> {
        match path {
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|error| Problems::of_file(path, error))?;
                Self::from_bytes(path, &bytes, overrides)
            }
            None => finish("flags", nothing(), overrides, Vec::new()),
        }
    }

    pub(crate) fn from_bytes(
        path: &Path,
        bytes: &[u8],
        overrides: &Overrides,
    ) -> Result<Self, Problems> {
        let file = path.display().to_string();
        match std::str::from_utf8(bytes) {
            Ok(text) => read(&file, text, overrides),
            Err(error) => Err(Problems::new(
                &file,
                vec![not_utf8(bytes, error.valid_up_to())],
            )),
        }
    }
}

fn read(file: &str, text: &str, overrides: &Overrides) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    match yaml::parse(text, &mut problems) {
        Ok(root) => finish(file, root, overrides, problems),
        Err(problem) => {
            problems.push(problem);
            Err(Problems::new(file, problems))
        }
    }
}

fn finish(
    file: &str,
    mut root: Node,
    overrides: &Overrides,
    mut problems: Vec<Problem>,
) -> Result<Config, Problems> {
    overrides::apply(overrides, &mut root, &mut problems);
    let value = check::check(&root, &mut problems);
    if problems.is_empty() {
        // The schema passed it, so this only fails if schema and structs disagree.
        match serde_json::from_value(value) {
            Ok(config) => return Ok(config),
            Err(error) => problems.push(Problem::new(Place::Whole, "", error.to_string())),
        }
    }
    Err(Problems::new(file, problems))
}

/// The tree of no file at all.
fn nothing() -> Node {
    Node {
        place: Place::Whole,
        kind: Kind::Null,
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count())
        + 1;
    Problem::new(Place::File { line, column }, "", "not UTF-8")
}

use std::path::Path;

use serde_json::Value;

use crate::problem::{Place, Problem, Problems};
use crate::yaml::{Kind, Node};
use crate::{Config, Known, Overrides, check, overrides, schema, yaml};

impl Config {
    /// Reads a configuration from YAML, under the flags. All problems are reported at once.
    pub fn from_yaml(text: &str, overrides: &Overrides) -> Result<Self, Problems> {
        Reader::new(overrides, &Known::default()).text("<yaml>", text)
    }

    /// Reads a configuration from a file, under the flags, or from the flags alone. All problems are reported at once.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, Problems> {
        Self::load_knowing(path, overrides, &Known::default())
    }

    /// [`Config::load`], with names of the program to check against.
    pub fn load_knowing(path: Option<&Path>, overrides: &Overrides, known: &Known) -> Result<Self, Problems> {
        let reader = Reader::new(overrides, known);
        match path {
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|error| Problems::of_file(path, error))?;
                reader.bytes(path, &bytes)
            }
            None => reader.flags(),
        }
    }
}

/// All that a file is read under.
pub(crate) struct Reader<'r> {
    overrides: &'r Overrides,
    schema: Value,
}

impl<'r> Reader<'r> {
    pub fn new(overrides: &'r Overrides, known: &Known) -> Self {
        let mut schema = schema();
        known.narrow(&mut schema);
        Self { overrides, schema }
    }

    pub fn bytes(&self, path: &Path, bytes: &[u8]) -> Result<Config, Problems> {
        let file = path.display().to_string();
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(&file, text),
            Err(error) => Err(Problems::new(&file, vec![not_utf8(bytes, error.valid_up_to())])),
        }
    }

    fn text(&self, file: &str, text: &str) -> Result<Config, Problems> {
        let mut problems = Vec::new();
        match yaml::parse(text, &mut problems) {
            Ok(root) => self.tree(file, root, problems),
            Err(problem) => {
                problems.push(problem);
                Err(Problems::new(file, problems))
            }
        }
    }

    fn flags(&self) -> Result<Config, Problems> {
        let nothing = Node { place: Place::Whole, kind: Kind::Null };
        self.tree("flags", nothing, Vec::new())
    }

    fn tree(&self, file: &str, mut root: Node, mut problems: Vec<Problem>) -> Result<Config, Problems> {
        overrides::apply(self.overrides, &mut root, &mut problems);
        let value = check::check(&self.schema, &root, &mut problems);
        if problems.is_empty() {
            // The schema passed it, so this only fails if schema and structs disagree.
            match serde_json::from_value(value) {
                Ok(config) => return Ok(config),
                Err(error) => problems.push(Problem::new(Place::Whole, "", error.to_string())),
            }
        }
        Err(Problems::new(file, problems))
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    Problem::new(Place::File { line, column }, "", "not UTF-8")
}

#[cfg(test)]
mod tests;

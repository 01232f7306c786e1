use std::path::Path;

use serde_json::Value;

use crate::problem::{Location, Problem, Problems};
use crate::yaml::{Kind, Node};
use crate::{Config, Known, Overrides, Section, check, overrides, schema, yaml};

impl Config {
    /// Reads a configuration from YAML, under the flags. All problems are reported at once.
    pub fn from_yaml(text: &str, overrides: &Overrides) -> Result<Self, Problems> {
        Self::from_yaml_knowing(text, overrides, &Known::default())
    }

    /// [`Config::from_yaml`], with the sections of mappers, and names of the program to check against.
    pub fn from_yaml_knowing(text: &str, overrides: &Overrides, known: &Known) -> Result<Self, Problems> {
        Reader::new(overrides, known).text("<yaml>", text)
    }

    /// Reads a configuration from a file, under the flags, or from the flags alone. All problems are reported at once.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, Problems> {
        Self::load_knowing(path, overrides, &Known::default())
    }

    /// [`Config::load`], with the sections of mappers, and names of the program to check against.
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

/// Inputs of reading a file.
pub(crate) struct Reader<'r> {
    overrides: &'r Overrides,
    known: &'r Known,
    schema: Value,
}

impl<'r> Reader<'r> {
    pub fn new(overrides: &'r Overrides, known: &'r Known) -> Self {
        Self { overrides, known, schema: schema(known) }
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
        let nothing = Node { location: Location::Whole, kind: Kind::Null };
        self.tree("flags", nothing, Vec::new())
    }

    fn tree(&self, file: &str, mut root: Node, mut problems: Vec<Problem>) -> Result<Config, Problems> {
        overrides::apply(self.overrides, &mut root, &mut problems);
        let mut value = check::check(&self.schema, &root, &mut problems);
        self.complete(&root, &mut value, &mut problems);
        if problems.is_empty() {
            // The schema passed it, so this only fails if schema and structs disagree.
            match serde_json::from_value(value) {
                Ok(config) => return Ok(config),
                Err(error) => problems.push(Problem::new(Location::Whole, "", error.to_string())),
            }
        }
        Err(Problems::new(file, problems))
    }
}

impl Reader<'_> {
    /// Lets the owners of sections check them, and adds what the file leaves out.
    fn complete(&self, root: &Node, value: &mut Value, problems: &mut Vec<Problem>) {
        // An owner is asked only when the schema has nothing against the file: it would report the same again.
        if !problems.is_empty() {
            return;
        }
        for Section { name, complete, .. } in self.known.sections() {
            match complete(value.get(name).unwrap_or(&Value::Null)) {
                Ok(section) => value[name] = section,
                Err(message) => problems.push(Problem::new(root.place_of(name), name, message)),
            }
        }
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    Problem::new(Location::File { line, column }, "", "the file is not UTF-8")
}

#[cfg(test)]
mod tests;

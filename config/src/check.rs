//! Holds a tree against the JSON schema and collects what is wrong.

mod scalar;

use serde_json::{Map, Value, json};

use crate::overrides::flag_of;
use crate::problem::{Place, Problem};
use crate::yaml::{Entry, Kind, Node};

/// Checks the whole tree. The answer is the tree as JSON, complete only if no problem was added.
pub(crate) fn check(schema: &Value, root: &Node, problems: &mut Vec<Problem>) -> Value {
    let mut checker = Checker { problems };
    let value = checker.value(schema, root, root.place, "");
    value.unwrap_or_default()
}

struct Checker<'p> {
    problems: &'p mut Vec<Problem>,
}

impl Checker<'_> {
    /// Checks one value. `home` is where to report what it lacks: the place of its key.
    fn value(&mut self, schema: &Value, node: &Node, home: Place, field: &str) -> Option<Value> {
        let wanted = |kind| scalar::types(schema).any(|wanted| wanted == kind);
        match &node.kind {
            Kind::Map(entries) if wanted("object") => Some(self.map(schema, entries, home, field)),
            Kind::Null if wanted("object") => Some(self.map(schema, &[], home, field)),
            Kind::List(items) if wanted("array") => Some(self.list(schema, items, field)),
            Kind::Scalar(scalar) => match scalar::check(schema, scalar) {
                Ok(value) => Some(value),
                Err(message) => self.report(node.place, field, message),
            },
            kind => {
                let found = kind.describe();
                self.report(
                    node.place,
                    field,
                    format!("expected {}, found {found}", scalar::expected(schema)),
                )
            }
        }
    }

    fn map(&mut self, schema: &Value, entries: &[Entry], home: Place, field: &str) -> Value {
        let none = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&none);
        let mut value = Map::new();
        for entry in entries {
            let field = join(field, &entry.key);
            match known.get(&entry.key) {
                None => self.unknown(entry, &field, known),
                // A key with nothing after it is as good as no key.
                Some(_) if matches!(entry.value.kind, Kind::Null) => {}
                Some(schema) => {
                    if let Some(checked) = self.value(schema, &entry.value, entry.place, &field) {
                        value.insert(entry.key.clone(), checked);
                    }
                }
            }
        }
        for key in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let given = entries.iter().find(|entry| entry.key == key);
            if given.is_none_or(|entry| matches!(entry.value.kind, Kind::Null)) {
                let home = given.map_or(home, |entry| entry.place);
                let missing = self.missing(&schema["properties"][key], home, &join(field, key));
                value.insert(key.to_owned(), missing);
            }
        }
        Value::Object(value)
    }

    /// A required field that is not there. Of a mapping, the fields in it are what is missing.
    fn missing(&mut self, schema: &Value, home: Place, field: &str) -> Value {
        if schema["type"] == "object" {
            return self.map(schema, &[], home, field);
        }
        match (flag_of(field), home) {
            (Some(flag), Place::File { .. }) => {
                self.report(home, field, format!("is required, here or as {flag}"))
            }
            (Some(flag), _) => {
                self.report(Place::Flag(flag), field, format!("{field} is required"))
            }
            (None, _) => self.report(home, field, "is required"),
        };
        json!(null)
    }

    fn unknown(&mut self, entry: &Entry, field: &str, known: &Map<String, Value>) {
        let guess = scalar::closest(&entry.key, known.keys().map(String::as_str));
        let keys = || {
            known
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let message = guess.map_or_else(
            || format!("unknown key; known here: {}", keys()),
            |guess| format!("unknown key; did you mean {guess:?}?"),
        );
        self.report(entry.place, field, message);
    }

    fn list(&mut self, schema: &Value, items: &[Node], field: &str) -> Value {
        let item = |(index, node): (usize, &Node)| {
            self.value(
                &schema["items"],
                node,
                node.place,
                &format!("{field}[{index}]"),
            )
        };
        Value::Array(items.iter().enumerate().filter_map(item).collect())
    }

    /// Adds a problem; the `None` is the value that there is not.
    fn report(&mut self, place: Place, field: &str, message: impl Into<String>) -> Option<Value> {
        self.problems.push(Problem::new(place, field, message));
        None
    }
}

fn join(field: &str, key: &str) -> String {
    if field.is_empty() {
        key.to_owned()
    } else {
        format!("{field}.{key}")
    }
}

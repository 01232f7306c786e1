//! Check of a tree against the JSON schema, with all problems collected.

mod scalar;

use serde_json::{Map, Value};

use crate::overrides::flag_of;
use crate::problem::{Location, Problem};
use crate::yaml::{Entry, Kind, Node};

/// Checks the whole tree. The answer is the tree as JSON, complete only if no problem was added.
pub(crate) fn check(schema: &Value, root: &Node, problems: &mut Vec<Problem>) -> Value {
    let mut checker = Checker { problems };
    let value = checker.value(schema, root, root.location, "");
    value.unwrap_or_default()
}

struct Checker<'p> {
    problems: &'p mut Vec<Problem>,
}

impl Checker<'_> {
    /// Checks one value. `home` is the location of its key, at which what it lacks is reported.
    fn value(&mut self, schema: &Value, node: &Node, home: Location, field: &str) -> Option<Value> {
        let schema = scalar::without_null(schema);
        if scalar::is_open(schema) {
            // The owner of the section checks what this part of JSON schema cannot express.
            return Some(node.to_json());
        }
        let wanted = |kind| scalar::types(schema).any(|wanted| wanted == kind);
        match &node.kind {
            Kind::Map(entries) if wanted("object") => Some(self.map(schema, entries, home, field)),
            Kind::Null if wanted("object") => Some(self.map(schema, &[], home, field)),
            Kind::List(items) if wanted("array") => Some(self.list(schema, items, field)),
            Kind::Scalar(scalar) => match scalar::check(schema, scalar) {
                Ok(value) => Some(value),
                Err(message) => self.report(node.location, field, message),
            },
            kind => {
                let found = kind.describe();
                self.report(node.location, field, format!("expected {}, found {found}", scalar::expected(schema)))
            }
        }
    }

    fn map(&mut self, schema: &Value, entries: &[Entry], home: Location, field: &str) -> Value {
        let mut value = Map::new();
        for entry in entries {
            if let Some(checked) = self.entry(schema, entry, field) {
                value.insert(entry.key.clone(), checked);
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            let given = entries.iter().find(|entry| entry.key == key);
            if given.is_none_or(is_empty) {
                let home = given.map_or(home, |entry| entry.location);
                self.missing(&schema["properties"][key], home, &join(field, key));
            }
        }
        Value::Object(value)
    }

    fn entry(&mut self, schema: &Value, entry: &Entry, field: &str) -> Option<Value> {
        let field = join(field, &entry.key);
        // Of a map, whose keys are free, the schema says what the values are.
        let any = schema.get("additionalProperties").filter(|schema| !schema.is_boolean());
        match schema["properties"].get(&entry.key).or(any) {
            None => self.unknown(entry, &field, &schema["properties"]),
            // A key with nothing after it is as good as no key.
            Some(_) if is_empty(entry) => None,
            Some(schema) => self.value(schema, &entry.value, entry.location, &field),
        }
    }

    /// A required field that is not there. Of a mapping, the fields in it are what is missing.
    fn missing(&mut self, schema: &Value, home: Location, field: &str) {
        if schema["type"] == "object" {
            self.map(schema, &[], home, field);
            return;
        }
        match (flag_of(field), home) {
            (Some(flag), Location::File { .. }) => self.report(home, field, format!("is required, here or as {flag}")),
            (Some(flag), _) => self.report(Location::Flag(flag), field, format!("{field} is required")),
            (None, _) => self.report(home, field, "is required"),
        };
    }

    fn unknown(&mut self, entry: &Entry, field: &str, known: &Value) -> Option<Value> {
        let keys = known.as_object().into_iter().flat_map(Map::keys);
        let keys: Vec<&str> = keys.map(String::as_str).collect();
        let message = scalar::closest(&entry.key, keys.iter().copied()).map_or_else(
            || format!("unknown key; known here: {}", keys.join(", ")),
            |guess| format!("unknown key; did you mean {guess:?}?"),
        );
        self.report(entry.location, field, message)
    }

    fn list(&mut self, schema: &Value, items: &[Node], field: &str) -> Value {
        let item = |(index, node): (usize, &Node)| {
            self.value(&schema["items"], node, node.location, &format!("{field}[{index}]"))
        };
        Value::Array(items.iter().enumerate().filter_map(item).collect())
    }

    /// Adds a problem; the `None` is the value that there is not.
    fn report(&mut self, location: Location, field: &str, message: impl Into<String>) -> Option<Value> {
        self.problems.push(Problem::new(location, field, message));
        None
    }
}

fn is_empty(entry: &Entry) -> bool {
    matches!(entry.value.kind, Kind::Null)
}

fn join(field: &str, key: &str) -> String {
    if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") }
}

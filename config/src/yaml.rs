//! YAML text as a tree in which every value knows where it stands.
//!
//! Whatever a configuration does not need is a problem: anchors and aliases, tags, merge keys, keys that are not text,
//! duplicate keys, a second document.

mod build;

use serde_json::Value;

pub(crate) use build::parse;

use crate::problem::Location;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub location: Location,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Node {
    /// The place of a key; the value's own when it lacks the key.
    pub fn place_of(&self, key: &str) -> Location {
        let Kind::Map(entries) = &self.kind else { return self.location };
        entries.iter().find(|entry| entry.key == key).map_or(self.location, |entry| entry.location)
    }

    /// The value as JSON.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Scalar(scalar) => scalar.to_json(),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
        }
    }
}

/// A key, its place, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub location: Location,
    pub value: Node,
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub text: String,
    /// Quoted text is text, whatever it looks like.
    pub quoted: bool,
}

impl Scalar {
    /// The value that the text stands for under the core schema of YAML 1.2; `None` for null.
    fn plain(text: String) -> Option<Self> {
        let null = ["", "~", "null", "Null", "NULL"].contains(&text.as_str());
        (!null).then_some(Self { text, quoted: false })
    }

    /// The scalar as a JSON string, number or boolean.
    pub fn to_json(&self) -> Value {
        let text = || Value::String(self.text.clone());
        match self.text.as_str() {
            _ if self.quoted => text(),
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            plain => number(plain).unwrap_or_else(text),
        }
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Value::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Value::from);
    }
    // Rust reads "inf" and "nan" as numbers, and YAML does not.
    if !text.trim_start_matches(['-', '+', '.']).starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let whole = text.strip_prefix('+').unwrap_or(text).parse::<i64>();
    whole.map(Value::from).ok().or_else(|| {
        let fraction = text.parse::<f64>().ok()?;
        serde_json::Number::from_f64(fraction).map(Value::Number)
    })
}

impl Kind {
    /// The kind in the words of a problem.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
            Self::Scalar(scalar) => match scalar.to_json() {
                Value::Bool(_) => format!("the boolean {}", scalar.text),
                Value::Number(_) => format!("the number {}", scalar.text),
                _ => format!("the text {:?}", scalar.text),
            },
        }
    }
}

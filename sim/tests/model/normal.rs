//! Normal form of the answers: what one server chooses freely becomes a symbol.

use std::collections::BTreeMap;

use serde_json::Value;

/// Symbols of one transcript, in the order in which they appear.
#[derive(Default)]
struct Symbols {
    uids: BTreeMap<String, usize>,
    addresses: BTreeMap<String, usize>,
    ports: BTreeMap<u64, usize>,
    /// Versions of objects: only their order counts.
    versions: BTreeMap<u64, usize>,
}

/// Returns the transcript in normal form.
pub fn transcript(mut told: Vec<Value>) -> Vec<Value> {
    let mut symbols = Symbols::default();
    for entry in &told {
        symbols.collect(entry);
    }
    for (rank, symbol) in symbols.versions.values_mut().enumerate() {
        *symbol = rank;
    }
    for entry in &mut told {
        symbols.walk(entry, "");
    }
    told
}

impl Symbols {
    /// Collects the versions of objects. That of a list is the server's, and counts objects of others too.
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                let metadata = &value["metadata"];
                if let Some(version) = metadata["resourceVersion"].as_str().filter(|_| metadata["uid"].is_string()) {
                    self.versions.extend(version.parse().map(|version| (version, 0)));
                }
                members.values().for_each(|value| self.collect(value));
            }
            Value::Array(items) => items.iter().for_each(|value| self.collect(value)),
            _ => {}
        }
    }

    fn version(&self, text: &str) -> String {
        let Ok(version) = text.parse::<u64>() else { return text.to_owned() };
        match self.versions.get(&version) {
            Some(rank) => format!("version {rank}"),
            None => format!("version {}", self.versions.range(..version).count().saturating_sub(1)),
        }
    }

    fn walk(&mut self, value: &mut Value, member: &str) {
        match value {
            Value::Object(members) => {
                members.remove("managedFields");
                // The text of a difference between two structs of Go.
                if members.get("reason").is_some_and(|reason| reason == "Invalid" || reason == "FieldValueForbidden")
                    && let Some(Value::String(message)) = members.get_mut("message")
                {
                    *message = message.lines().next().unwrap_or_default().to_owned();
                }
                for (name, value) in members.iter_mut() {
                    self.walk(value, name);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|value| self.walk(value, member)),
            Value::String(text) => *text = self.text(text, member),
            Value::Number(number) if member == "nodePort" => {
                let count = self.ports.len();
                let symbol = *self.ports.entry(number.as_u64().unwrap_or_default()).or_insert(count);
                *value = Value::String(format!("port {symbol}"));
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, member: &str) -> String {
        match member {
            "resourceVersion" => return self.version(text),
            "continue" | "token" => return "a token".to_owned(),
            "message" if text.contains("Too large resource version") => {
                return text.split(", current").next().unwrap_or_default().to_owned();
            }
            _ if is_time(text) => return "a time".to_owned(),
            _ => {}
        }
        let text = &without_times(text);
        let words =
            text.split_inclusive(|character: char| !(character.is_ascii_alphanumeric() || "-.".contains(character)));
        words.map(|word| self.word(text, word)).collect()
    }

    fn word(&mut self, text: &str, word: &str) -> String {
        let end =
            word.trim_end_matches(|character: char| !(character.is_ascii_alphanumeric() || character == '-')).len();
        let (core, rest) = word.split_at(end);
        let symbol = if is_uid(core) {
            let count = self.uids.len();
            format!("uid {}", self.uids.entry(core.to_owned()).or_insert(count))
        } else if core.starts_with("10.96.") {
            let count = self.addresses.len();
            format!("address {}", self.addresses.entry(core.to_owned()).or_insert(count))
        } else if is_generated(core) {
            format!("{}?????", &core[..core.len() - 5])
        } else if text.contains("ResourceVersion in ") && core.bytes().all(|byte| byte.is_ascii_digit()) {
            self.version(core)
        } else {
            core.to_owned()
        };
        symbol + rest
    }
}

/// Replaces times within a message.
fn without_times(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('T') {
        let time = at.checked_sub(10).and_then(|start| rest.get(start..at + 10)).filter(|time| is_time(time));
        if time.is_some() {
            told.push_str(&rest[..at - 10]);
            told.push_str("a time");
            rest = &rest[at + 10..];
        } else {
            told.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
        }
    }
    told + rest
}

fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T'
}

fn is_uid(word: &str) -> bool {
    word.len() == 36
        && word
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// Names that end in characters of the server's choice.
fn is_generated(name: &str) -> bool {
    let Some((base, suffix)) = name.rsplit_once('-') else { return false };
    let is_base = base == "kube-api-access"
        || base.strip_prefix("gen").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    is_base && suffix.len() == 5
}

/// The same without resource versions.
pub fn without_versions(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "resourceVersion")
            .map(|(name, value)| (name.clone(), without_versions(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_versions).collect(),
        value => value.clone(),
    }
}

/// Names what the elements of a list are about.
fn outline(items: &[Value]) -> String {
    let of = |item: &Value| {
        let object = item.get("object").unwrap_or(item);
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = item["type"].as_str().unwrap_or_default();
        format!("{kind} {} {}", text("/metadata/name"), text("/metadata/resourceVersion"))
    };
    items.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// Describes the members that differ.
pub fn describe(path: &str, expected: &Value, found: &Value) -> String {
    match (expected, found) {
        (Value::Object(left), Value::Object(right)) => {
            let names: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            let differs = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
            differs
                .map(|name| {
                    let of = |side: &serde_json::Map<String, Value>| side.get(name).cloned().unwrap_or_default();
                    describe(&format!("{path}/{name}"), &of(left), &of(right))
                })
                .collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => (0..left.len())
            .filter(|at| left[*at] != right[*at])
            .map(|at| describe(&format!("{path}/{at}"), &left[at], &right[at]))
            .collect(),
        (Value::Array(left), Value::Array(right)) => {
            format!("    {path}: real {}\n    {path}: model {}\n", outline(left), outline(right))
        }
        _ => format!("    {path}: real {expected}\n    {path}: model {found}\n"),
    }
}

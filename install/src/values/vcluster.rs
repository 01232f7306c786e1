//! Values from a `vcluster.yaml` of the open-source vcluster.
//!
//! A setting with a counterpart is translated, one that Tenet always follows is accepted, and the rest is named with
//! its path and advice.

mod rules;

use std::fmt;

use serde_json::{Map, Value, json};

use rules::{Becomes, RULES};

/// Values, and what of the file has no counterpart.
#[derive(Clone, Debug, PartialEq)]
pub struct Translation {
    /// Values as [`load`](super::load) reads them.
    pub values: Value,
    /// Settings that are left out.
    pub left_out: Vec<LeftOut>,
}

/// Setting without a counterpart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Path in the file.
    pub path: String,
    /// Advice.
    pub advice: &'static str,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.advice)
    }
}

/// Keys at the top of a `vcluster.yaml` that no file of ours has.
const KEYS: [&str; 15] = [
    "controlPlane",
    "sync",
    "networking",
    "policies",
    "exportKubeConfig",
    "integrations",
    "telemetry",
    "logging",
    "experimental",
    "plugins",
    "privateNodes",
    "external",
    "deploy",
    "sleepMode",
    "pro",
];

/// Advice for a path that no rule names.
const UNKNOWN: &str = "has no counterpart";

/// Returns true if a file is one of vcluster.
pub fn is_vcluster(file: &Value) -> bool {
    KEYS.iter().any(|key| file.get(key).is_some())
        || file["rbac"]["clusterRole"].is_object()
        || file["rbac"]["role"].is_object()
}

/// Translates a file.
pub fn translate(file: &Value) -> Translation {
    let mut translation = Translation { values: json!({}), left_out: Vec::new() };
    visit(file, &mut Vec::new(), &mut translation);
    translation.left_out.sort_by(|one, other| one.path.cmp(&other.path));
    translation
}

/// Visits every setting of a file. What is below a block that is off is not asked for.
fn visit(value: &Value, path: &mut Vec<String>, to: &mut Translation) {
    let joined = path.join(".");
    if let Some(becomes) = rule(&joined, !value.is_object()) {
        apply(value, &joined, becomes, to);
        return;
    }
    match value {
        Value::Object(map) => {
            let is_off = map.get("enabled") == Some(&json!(false));
            for (key, value) in map {
                if is_off && key != "enabled" {
                    continue;
                }
                path.push(key.clone());
                visit(value, path, to);
                path.pop();
            }
        }
        value if asks_for_nothing(value) => {}
        _ => to.left_out.push(LeftOut { path: joined, advice: UNKNOWN }),
    }
}

/// Returns the rule for a path. That of a block with other rules below it counts for the values that have none.
fn rule(path: &str, is_value: bool) -> Option<&'static Becomes> {
    let is_below = |path: &str, block: &str| path.strip_prefix(block).is_some_and(|rest| rest.starts_with('.'));
    let has_others = RULES.iter().any(|(rule, _)| is_below(rule, path));
    let of = |found: &&(&str, Becomes)| (found.0 == path && !has_others) || (is_value && is_below(path, found.0));
    RULES.iter().filter(of).max_by_key(|(rule, _)| rule.len()).map(|(_, becomes)| becomes)
}

/// Returns true for a value by which a file says that it wants nothing.
fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "auto",
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn apply(value: &Value, path: &str, becomes: &Becomes, to: &mut Translation) {
    let mut leave_out = |advice| to.left_out.push(LeftOut { path: path.to_owned(), advice });
    match becomes {
        Becomes::Same => {}
        Becomes::All(several) => {
            for becomes in *several {
                apply(value, path, becomes, to);
            }
        }
        Becomes::Unless(same, advice) => {
            if !asks_for_nothing(value) && value.to_string().trim_matches('"') != *same {
                leave_out(advice);
            }
        }
        Becomes::Nothing(advice) => {
            if is_asked_for(value) {
                leave_out(advice);
            }
        }
        Becomes::Value(_) | Becomes::Each(..) if asks_for_nothing(value) => {}
        Becomes::Value(target) => set(&mut to.values, target, value.clone()),
        Becomes::Each(target, read) => match read(value) {
            Some(read) => extend(&mut to.values, target, read),
            None => leave_out(UNKNOWN),
        },
        Becomes::When(target, set_to) => {
            if *value == true {
                set(&mut to.values, target, json!(set_to));
            }
        }
        Becomes::Enable(mapper) => {
            if *value == true {
                extend(&mut to.values, "syncer.config.kinds.enable", json!([mapper]));
            }
        }
        Becomes::On(mapper) => {
            if *value == false {
                extend(&mut to.values, "syncer.config.kinds.disable", json!([mapper]));
            }
        }
        Becomes::Switch(target) => {
            if value.is_boolean() {
                set(&mut to.values, target, value.clone());
            }
        }
        Becomes::True(target) => {
            if *value == true {
                set(&mut to.values, target, json!(true));
            }
        }
    }
}

/// Returns true if a value, or a block that is not off, asks for something.
fn is_asked_for(value: &Value) -> bool {
    match value {
        Value::Object(map) => match map.get("enabled") {
            Some(Value::Bool(is_on)) => *is_on,
            _ => map.values().any(is_asked_for),
        },
        value => !asks_for_nothing(value),
    }
}

/// Returns the value at a path, which is made if it does not exist.
fn entry<'v>(values: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(values, |inner, key| {
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        &mut inner[key]
    })
}

fn set(values: &mut Value, path: &str, value: Value) {
    *entry(values, path) = value;
}

/// Adds elements to a list, or entries to a map.
fn extend(values: &mut Value, path: &str, more: Value) {
    match (entry(values, path), more) {
        (Value::Array(list), Value::Array(more)) => list.extend(more),
        (Value::Object(map), Value::Object(more)) => map.extend(more),
        (entry, more) => *entry = more,
    }
}

#[cfg(test)]
mod tests;

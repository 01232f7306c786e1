//! The part of JSON schema that our structs generate for single values, and the messages for invalid ones.

use serde_json::Value;

use crate::known::SEALED;
use crate::yaml::{Kind, Scalar};
use tenet_translate::format::{self, Format};

/// Number of options that a problem lists.
const MOST_OPTIONS: usize = 12;

/// The names under `type`, of which there may be one or several.
pub(super) fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let one = schema["type"].as_str();
    let many = schema["type"].as_array().into_iter().flatten();
    one.into_iter().chain(many.filter_map(Value::as_str))
}

/// The schema of the value where it is not null: schemars writes `anyOf` for an optional struct.
pub(super) fn without_null(schema: &Value) -> &Value {
    let variants = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut variants = variants.iter().filter(|variant| variant["type"] != "null");
    match (variants.next(), variants.next()) {
        (Some(only), None) => only,
        _ => schema,
    }
}

/// Returns true if the schema names neither a type nor options.
pub(super) fn is_open(schema: &Value) -> bool {
    types(schema).next().is_none() && options(schema).is_none_or(|options| options.is_empty())
}

/// Checks one scalar; the error is the message of the problem.
pub(super) fn check(schema: &Value, scalar: &Scalar) -> Result<Value, String> {
    if let Some(options) = options(schema) {
        return check_option(schema, &options, scalar);
    }
    let value = scalar.to_json();
    if !types(schema).any(|wanted| is_type(&value, wanted)) {
        return Err(wrong_type(schema, scalar));
    }
    if let Some(format) = find_format(schema) {
        check_text(schema, format, &scalar.text)?;
    }
    if !in_range(schema, &value) {
        return Err(format!("expected {}, found {}", expected(schema), scalar.text));
    }
    // A text stays as it was written if the schema takes a text or a number.
    let as_text = types(schema).any(|wanted| wanted == "string");
    Ok(if as_text { Value::String(scalar.text.clone()) } else { value })
}

/// The values of an enum: schemars writes `oneOf` when the variants are documented.
fn options(schema: &Value) -> Option<Vec<&str>> {
    let documented = schema["oneOf"].as_array();
    let documented = documented.map(|all| all.iter().filter_map(|one| one["const"].as_str()).collect());
    documented.or_else(|| Some(schema["enum"].as_array()?.iter().filter_map(Value::as_str).collect()))
}

fn check_option(schema: &Value, options: &[&str], scalar: &Scalar) -> Result<Value, String> {
    if options.contains(&scalar.text.as_str()) {
        return Ok(Value::String(scalar.text.clone()));
    }
    if let Some(why) = schema[SEALED].get(&scalar.text).and_then(Value::as_str) {
        return Err(format!("{} cannot be permitted: it {why}", scalar.text));
    }
    let message = format!("expected {}, found {:?}", one_of(options), scalar.text);
    let guess = closest(&scalar.text, options.iter().copied());
    let guess = guess.map_or_else(String::new, |guess| format!("; did you mean {guess:?}?"));
    Err(message + &guess)
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => false,
    }
}

fn wrong_type(schema: &Value, scalar: &Scalar) -> String {
    let found = Kind::Scalar(scalar.clone()).describe();
    let message = format!("expected {}, found {found}", expected(schema));
    let quotes = !scalar.quoted && types(schema).any(|wanted| wanted == "string");
    if quotes { format!("{message}; put it in quotes if it is meant") } else { message }
}

fn find_format(schema: &Value) -> Option<&'static Format> {
    format::find(schema["format"].as_str()?)
}

fn check_text(schema: &Value, format: &Format, text: &str) -> Result<(), String> {
    let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    let length = text.chars().count() as u64;
    if !(format.accepts)(text) {
        Err(format!("{text:?} is not {}", format.noun))
    } else if length > longest {
        Err(format!("{text:?} has {length} characters; at most {longest} are allowed"))
    } else {
        Ok(())
    }
}

fn in_range(schema: &Value, value: &Value) -> bool {
    let Some(number) = value.as_f64() else {
        return true;
    };
    let least = schema["minimum"].as_f64().unwrap_or(f64::MIN);
    let most = schema["maximum"].as_f64().unwrap_or(f64::MAX);
    (least..=most).contains(&number)
}

/// Describes the value that the schema expects, in the words of a problem.
pub(super) fn expected(schema: &Value) -> String {
    if let Some(options) = options(schema) {
        return one_of(&options);
    }
    if let Some(format) = find_format(schema) {
        return format.noun.to_owned();
    }
    match types(schema).find(|name| *name != "null") {
        Some("object") => "a mapping".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("integer") => match (&schema["minimum"], &schema["maximum"]) {
            (Value::Null, _) | (_, Value::Null) => "a whole number".to_owned(),
            (least, most) => format!("a whole number from {least} to {most}"),
        },
        Some(name) => format!("a {name}"),
        None => "a value".to_owned(),
    }
}

fn one_of(options: &[&str]) -> String {
    match options.split_at_checked(MOST_OPTIONS) {
        Some((first, rest)) if !rest.is_empty() => {
            format!("one of {} and {} more", first.join(", "), rest.len())
        }
        _ => format!("one of {}", options.join(", ")),
    }
}

/// Returns the known word that is closest to an unknown one.
pub(super) fn closest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let word = plain(word);
    known
        .map(|known| (strsim::damerau_levenshtein(&word, &plain(known)), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map(|(_, known)| known)
}

//! Names of objects.

use serde_json::json;

use super::super::resource::Resource;
use super::super::status::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// Returns what is wrong with a name.
pub(super) fn check(resource: &Resource, name: &str) -> Vec<Cause> {
    let (pattern, length, is_valid) = match resource.kind.kind {
        "Namespace" => (LABEL, 63, is_label(name)),
        "Service" if resource.kind.group.is_empty() => (LABEL, 63, is_label(name)),
        _ => (SUBDOMAIN, 253, name.split('.').all(is_label)),
    };
    let wrong = |why: &str| Cause::invalid("metadata.name", &json!(name), why);
    let mut causes = Vec::new();
    if name.len() > length {
        causes.push(wrong(&format!("must be no more than {length} bytes")));
    }
    if !is_valid {
        causes.push(wrong(pattern));
    }
    causes
}

fn is_label(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().all(|byte| is_word(byte) || byte == b'-')
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().last().is_some_and(is_word)
}

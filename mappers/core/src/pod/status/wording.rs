use serde_json::Value;
use tenet_mapper::{Object, VirtualKey};

use crate::pod::Subject;

/// Turns names of the host in all messages to what they are inside.
pub(super) fn turn(pod: &Subject<'_, '_>, host: &Object, status: &mut Value) {
    let mut names = None;
    messages(status, &mut |message| {
        let names = names.get_or_insert_with(|| names_of(pod, host));
        for (outside, inside) in names.iter() {
            if message.contains(outside.as_str()) {
                *message = replace(message, outside, inside);
            }
        }
    });
}

/// Visits what is written for people.
fn messages(value: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "message" || name == "reason" => visit(text),
                    value => messages(value, visit),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| messages(item, visit)),
        _ => {}
    }
}

/// Names of the host and what they are inside: of the pod, of what it refers to, in the
/// spellings of kubelets. The longer ones come first.
fn names_of(pod: &Subject<'_, '_>, host: &Object) -> Vec<(String, String)> {
    let (outer, inner) = (pod.place.namespace(), pod.virt.namespace());
    let mut names = vec![(
        format!("{}_{outer}({})", host.name(), host.uid()),
        format!("{}_{inner}({})", pod.virt.name(), pod.virt.uid()),
    )];
    let mut objects = vec![(host.name().to_owned(), pod.virt.name().to_owned())];
    for reference in pod.references() {
        let key = VirtualKey::new(inner, reference.name.as_str());
        let place = pod.cx.host_key_named(reference.kind, key.namespace(), key.name());
        objects.push((place.name().to_owned(), reference.name));
    }
    for (outside, inside) in objects {
        names.push((format!("\"{outer}\"/\"{outside}\""), format!("\"{inner}\"/\"{inside}\"")));
        names.push((format!("{outer}/{outside}"), format!("{inner}/{inside}")));
        names.push((outside, inside));
    }
    names.sort_by_key(|(outside, _)| std::cmp::Reverse(outside.len()));
    names
}

/// Replaces whole names only: `web-x-a-x-vc-1` does not occur in `web-x-a-x-vc-10`.
fn replace(text: &str, outside: &str, inside: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(outside) {
        let (before, after) = (&rest[..at], &rest[at + outside.len()..]);
        let is_whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        out.push_str(before);
        out.push_str(if is_whole { inside } else { outside });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_replaced() {
        for (text, expected) in [
            ("pod h-x-a failed", "pod web failed"),
            ("h-x-a", "web"),
            ("h-x-ab h-x-a-1 oh-x-a", "h-x-ab h-x-a-1 oh-x-a"),
            ("\"h-x-a\", h-x-a.", "\"web\", web."),
        ] {
            assert_eq!(replace(text, "h-x-a", "web"), expected);
        }
    }
}

//! Places in an object: the JSON pointer that code walks, the path that people read, the
//! pattern that rules are written for.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The lists of containers, in the order in which a kubelet starts them.
pub(super) const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The pointers of all containers of a pod.
pub(super) fn containers(pod: &Value) -> Vec<String> {
    CONTAINERS.iter().flat_map(|list| elements(pod, &format!("/spec/{list}"))).collect()
}

/// The pointers of the elements of a list; none when there is no list.
pub(super) fn elements(object: &Value, list: &str) -> Vec<String> {
    let length = object.pointer(list).and_then(Value::as_array).map_or(0, Vec::len);
    (0..length).map(|index| format!("{list}/{index}")).collect()
}

/// `/spec/volumes/0/name` as `spec.volumes[0].name`.
pub(super) fn shown(pointer: &str) -> String {
    spell(pointer, |text, index| {
        // Writing to a string cannot fail.
        let _ = write!(text, "[{index}]");
    })
}

/// `/spec/volumes/0/name` as `spec.volumes[].name`.
pub(super) fn pattern(pointer: &str) -> String {
    spell(pointer, |text, _| text.push_str("[]"))
}

fn spell(pointer: &str, element: impl Fn(&mut String, &str)) -> String {
    let mut text = String::with_capacity(pointer.len());
    for token in pointer.split('/').skip(1) {
        if token.bytes().all(|byte| byte.is_ascii_digit()) {
            element(&mut text, token);
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(token);
    }
    text
}

/// Puts a value at a pointer. Members on the way are made; elements of lists are not, and a
/// place that cannot be reached stays empty.
pub(super) fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for token in pointer.split('/').skip(1) {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let next = match at {
            Value::Object(members) => Some(members.entry(token).or_insert(Value::Null)),
            Value::Array(items) => token.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_is_spelt_for_people_and_for_rules() {
        let pointer = "/spec/containers/0/env/12/valueFrom/fieldRef";
        assert_eq!(shown(pointer), "spec.containers[0].env[12].valueFrom.fieldRef");
        assert_eq!(pattern(pointer), "spec.containers[].env[].valueFrom.fieldRef");
    }

    #[test]
    fn members_are_made_and_elements_are_not() {
        let mut object = json!({"list": [{}], "text": "t"});
        for pointer in ["/a/b", "/list/0/c", "/list/1/c", "/list/x", "/text/d"] {
            put(&mut object, pointer, json!(1));
        }
        assert_eq!(object, json!({"a": {"b": 1}, "list": [{"c": 1}], "text": "t"}));
    }
}

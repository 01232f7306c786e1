//! JSON pointers (RFC 6901), and the two notations of one that people read.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Escapes a member name as a token of a JSON pointer.
pub fn escape(name: &str) -> String {
    if name.contains(['~', '/']) { name.replace('~', "~0").replace('/', "~1") } else { name.to_owned() }
}

/// Unescapes a token of a JSON pointer to a member name.
pub fn unescape(token: &str) -> String {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~") } else { token.to_owned() }
}

/// Returns the value at a pointer, as [`Value::pointer`] does, and allocates nothing for names that need no escape.
pub fn get<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    if !pointer.starts_with('/') || pointer.contains('~') {
        return value.pointer(pointer);
    }
    pointer.split('/').skip(1).try_fold(value, |at, token| match at {
        Value::Object(members) => members.get(token),
        Value::Array(items) => items.get(index(token)?),
        _ => None,
    })
}

/// Returns the index that a token stands for. Leading zeros and signs are none.
fn index(token: &str) -> Option<usize> {
    let is_index = token == "0" || token.starts_with(|first: char| ('1'..='9').contains(&first));
    token.parse().ok().filter(|_| is_index)
}

/// Sets the value at a pointer. Missing objects on the way are created, list elements are not. An
/// unreachable location stays unchanged.
pub fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for token in pointer.split('/').skip(1) {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let next = match at {
            Value::Object(members) => Some(members.entry(unescape(token)).or_insert(Value::Null)),
            Value::Array(items) => token.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    *at = value;
}

/// Removes the member at a pointer from its object.
pub fn remove(object: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, token) = pointer.rsplit_once('/')?;
    object.pointer_mut(parent)?.as_object_mut()?.remove(&unescape(token))
}

/// Returns the pointers of the elements of a list; none when there is no list.
pub fn elements(object: &Value, list: &str) -> Vec<String> {
    let length = get(object, list).and_then(Value::as_array).map_or(0, Vec::len);
    (0..length).map(|index| format!("{list}/{index}")).collect()
}

/// Returns a pointer as a field for people: `/spec/volumes/0/name` is `spec.volumes[0].name`.
pub fn field(pointer: &str) -> String {
    spell(pointer, |text, index| {
        // Writing to a string cannot fail.
        let _ = write!(text, "[{index}]");
    })
}

/// Returns a pointer as the path of a rule: `/spec/volumes/0/name` is `spec.volumes[].name`.
pub fn pattern(pointer: &str) -> String {
    spell(pointer, |text, _| text.push_str("[]"))
}

fn spell(pointer: &str, element: impl Fn(&mut String, &str)) -> String {
    let mut text = String::with_capacity(pointer.len());
    for token in pointer.split('/').skip(1) {
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            element(&mut text, token);
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&unescape(token));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_is_spelt_for_people_and_for_rules() {
        let pointer = "/spec/containers/0/env/12/valueFrom/fieldRef";
        assert_eq!(field(pointer), "spec.containers[0].env[12].valueFrom.fieldRef");
        assert_eq!(pattern(pointer), "spec.containers[].env[].valueFrom.fieldRef");
    }

    #[test]
    fn a_value_is_found_where_the_standard_finds_it() {
        let object = json!({"a": {"b": [1, {"c~d": 2, "0": 3}], "": 4}, "0": {"e/f": 5}});
        for pointer in [
            "",
            "/",
            "a",
            "/a",
            "/a/",
            "/a/b/0",
            "/a/b/00",
            "/a/b/+1",
            "/a/b/1/c~0d",
            "/a/b/1/0",
            "/a/b/2",
            "/0/e~1f",
            "/a/b/0/x",
        ] {
            assert_eq!(get(&object, pointer), object.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn members_are_made_and_elements_are_not() {
        let mut object = json!({"list": [{}], "text": "t"});
        for pointer in ["/a/b", "/list/0/c", "/list/1/c", "/list/x", "/text/d"] {
            set(&mut object, pointer, json!(1));
        }
        assert_eq!(object, json!({"a": {"b": 1}, "list": [{"c": 1}], "text": "t"}));
        assert_eq!(elements(&object, "/list"), ["/list/0"]);
    }

    #[test]
    fn a_member_is_taken_out_and_what_is_not_there_is_not() {
        let mut object = json!({"a": {"b/c": 1, "d": 2}, "list": [1]});
        assert_eq!(remove(&mut object, "/a/b~1c"), Some(json!(1)));
        for pointer in ["/a/x", "/x/a", "/list/0", ""] {
            assert_eq!(remove(&mut object, pointer), None, "{pointer}");
        }
        assert_eq!(object, json!({"a": {"d": 2}, "list": [1]}));
    }

    proptest! {
        #[test]
        fn what_is_set_is_found_under_any_name(name in "[a~/01]{0,8}", inner in ".{0,4}") {
            let pointer = format!("/{}/{}", escape(&name), escape(&inner));
            let mut object = json!({});
            set(&mut object, &pointer, json!(1));
            prop_assert_eq!(&object, &json!({ name.as_str(): { inner.as_str(): 1 } }));
            prop_assert_eq!(object.pointer(&pointer), Some(&json!(1)));
            prop_assert_eq!(get(&object, &pointer), Some(&json!(1)));
            prop_assert_eq!(unescape(&escape(&name)), name);
            prop_assert_eq!(remove(&mut object, &pointer), Some(json!(1)));
        }
    }
}

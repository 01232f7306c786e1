//! Label selector of a stream: tells whether an object that was read belongs to the stream.

use serde_json::Value;

/// Requirements of a label selector on values, all of which must hold. One on the mere presence of a label is left out.
#[derive(Debug, Default)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Debug)]
struct Requirement {
    key: String,
    values: Vec<String>,
    /// True if every other value is selected, and objects without the label.
    is_negated: bool,
}

impl Selector {
    /// Reads a selector such as `a=b,c!=d,e in (f,g)`.
    pub(super) fn of(selector: Option<&str>) -> Self {
        let mut is_in_list = false;
        let is_end = |c: char| {
            is_in_list = (is_in_list || c == '(') && c != ')';
            c == ',' && !is_in_list
        };
        Self(selector.unwrap_or_default().split(is_end).filter_map(Requirement::of).collect())
    }

    /// Returns true if it selects objects by a value that they must have.
    pub(super) fn is_positive(&self) -> bool {
        self.0.iter().any(|requirement| !requirement.is_negated)
    }

    /// Returns true if it selects an object.
    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let has_value =
            |Requirement { key, values, .. }: &Requirement| values.iter().any(|value| labels[key] == **value);
        self.0.iter().all(|requirement| has_value(requirement) != requirement.is_negated)
    }
}

impl Requirement {
    fn of(text: &str) -> Option<Self> {
        if let Some((key, list)) = text.split_once(" in (") {
            let values = list.trim_end_matches(')').split(',').map(str::to_owned).collect();
            return Some(Self { key: key.to_owned(), values, is_negated: false });
        }
        let (key, value) = text.split_once('=')?;
        let (key, is_negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        Some(Self { key: key.to_owned(), values: vec![value.to_owned()], is_negated })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_selected_by_all_requirements() {
        let object = |labels| json!({"metadata": {"labels": labels}});
        let cases = [
            (None, json!({}), true),
            (Some("a"), json!({}), true),
            (Some("a=b"), json!({"a": "b"}), true),
            (Some("a=b"), json!({"a": "c"}), false),
            (Some("a=b"), json!({}), false),
            (Some("a!=b"), json!({"a": "b"}), false),
            (Some("a!=b"), json!({"a": "c"}), true),
            (Some("a!=b"), json!({}), true),
            (Some("a=b,c!=d"), json!({"a": "b", "c": "e"}), true),
            (Some("a=b,c!=d"), json!({"a": "b", "c": "d"}), false),
            (Some("a=b,c!=d"), json!({"c": "e"}), false),
            (Some("a in (b,c)"), json!({"a": "c"}), true),
            (Some("a in (b,c)"), json!({"a": "d"}), false),
            (Some("a in (b,c)"), json!({}), false),
            (Some("a in (b,c),d!=e"), json!({"a": "b", "d": "e"}), false),
        ];
        for (selector, labels, is_selected) in cases {
            let object = object(labels);
            assert_eq!(Selector::of(selector).selects(&object), is_selected, "{selector:?}: {object}");
        }
        assert!(Selector::of(Some("a=b,c!=d")).is_positive());
        assert!(!Selector::of(Some("c!=d")).is_positive() && !Selector::of(Some("a")).is_positive());
    }
}

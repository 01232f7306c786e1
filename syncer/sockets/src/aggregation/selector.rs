//! Label and field selectors, as text.

use serde_json::{Map, Value};

/// Label and field selectors of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    /// The values of which it has one; `None` for any.
    values: Option<Vec<String>>,
    /// True if it must have none of the values.
    not: bool,
}

impl Selector {
    /// `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub(super) fn labels(&mut self, text: &str) -> Result<(), String> {
        let parts = split(text);
        self.labels = parts.into_iter().map(requirement).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// `metadata.name=a,metadata.namespace!=b`.
    pub(super) fn fields(&mut self, text: &str) -> Result<(), String> {
        self.fields = split(text).into_iter().map(requirement).collect::<Result<_, _>>()?;
        let unknown = |field: &&Requirement| !["metadata.name", "metadata.namespace"].contains(&field.key.as_str());
        match self.fields.iter().find(unknown) {
            Some(field) => Err(format!("the field selector {:?} is not known", field.key)),
            None => Ok(()),
        }
    }

    pub(super) fn selects(&self, namespace: &str, name: &str, labels: &Map<String, Value>) -> bool {
        let field = |key: &str| Some(if key == "metadata.name" { name } else { namespace });
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        self.fields.iter().all(|field_is| field_is.holds(field(&field_is.key)))
            && self.labels.iter().all(|label_is| label_is.holds(label(&label_is.key)))
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let has = match (&self.values, value) {
            (None, value) => value.is_some(),
            (Some(values), Some(value)) => values.iter().any(|one| one == value),
            (Some(_), None) => false,
        };
        has != self.not
    }
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let make = |key: &str, values: Option<Vec<String>>, not| Requirement { key: key.trim().to_owned(), values, not };
    let one = |value: &str| Some(vec![value.trim().to_owned()]);
    if let Some((key, list)) = text.split_once(" notin ").or_else(|| text.split_once(" in ")) {
        let inner = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
        let inner = inner.ok_or_else(|| format!("the selector {text:?} has no list"))?;
        let values = inner.split(',').map(|value| value.trim().to_owned()).collect();
        return Ok(make(key, Some(values), text.contains(" notin ")));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(make(key, one(value), true));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(make(key, one(value), false));
    }
    let (key, not) = text.strip_prefix('!').map_or((text, false), |key| (key, true));
    let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.chars().all(good) { Ok(make(key, None, not)) } else { Err(format!("the selector {text:?} cannot be read")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_selected_as_kubernetes_selects_them() {
        let labels = json!({"app": "web", "tier": "front"}).as_object().unwrap().clone();
        for (text, selected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=api", false),
            ("app!=web", false),
            ("other!=x", true),
            ("app in (api, web)", true),
            ("app notin (api,web),tier", false),
            ("other notin (x)", true),
            ("tier", true),
            ("!tier", false),
            ("!other", true),
        ] {
            let mut selector = Selector::default();
            selector.labels(text).unwrap();
            assert_eq!(selector.selects("n", "p", &labels), selected, "{text}");
        }
        let mut selector = Selector::default();
        selector.fields("metadata.name=p,metadata.namespace!=m").unwrap();
        assert!(selector.selects("n", "p", &labels) && !selector.selects("m", "p", &labels));
        assert!(selector.fields("spec.nodeName=a").is_err());
        assert!(selector.labels("a b").is_err() && selector.labels("a in b").is_err());
    }
}

//! Label and field selectors.

use serde_json::Value;

use super::resource::Resource;
use super::status::Status;

/// Conditions on the objects of a list or a watch.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug)]
enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Clone, Debug)]
struct FieldTerm {
    pointer: String,
    /// The value of an object that does not have the field.
    default: &'static str,
    value: String,
    is_equal: bool,
}

impl Selector {
    /// Reads the selectors of a request.
    pub(super) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Status> {
        let labels = split(labels).into_iter().map(label_term).collect::<Result<_, _>>()?;
        let fields = fields.split(',').filter(|term| !term.is_empty());
        let fields = fields.map(|term| field_term(resource, term)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Returns true if every object is selected.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns true if the object is selected.
    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|term| term.selects(labels)) && self.fields.iter().all(|term| term.selects(object))
    }
}

impl LabelTerm {
    fn selects(&self, labels: &Value) -> bool {
        let of = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Self::In(key, values) => of(key).is_some_and(|found| values.iter().any(|value| value == found)),
            Self::NotIn(key, values) => of(key).is_none_or(|found| values.iter().all(|value| value != found)),
            Self::Exists(key) => of(key).is_some(),
            Self::Absent(key) => of(key).is_none(),
        }
    }
}

impl FieldTerm {
    fn selects(&self, object: &Value) -> bool {
        let found = object.pointer(&self.pointer).and_then(Value::as_str).unwrap_or(self.default);
        (found == self.value) == self.is_equal
    }
}

/// Splits at commas outside of parentheses.
fn split(selector: &str) -> Vec<&str> {
    let (mut terms, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (position, character) in selector.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&selector[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms.into_iter().map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn label_term(term: &str) -> Result<LabelTerm, Status> {
    let one = |value: &str| vec![value.trim().to_owned()];
    let many = |values: &str| values.trim_end_matches(')').split(',').map(|value| value.trim().to_owned()).collect();
    let key = |key: &str| key.trim().to_owned();
    if let Some((name, values)) = term.split_once(" notin ") {
        return Ok(LabelTerm::NotIn(key(name), many(values.trim().trim_start_matches('('))));
    }
    if let Some((name, values)) = term.split_once(" in ") {
        return Ok(LabelTerm::In(key(name), many(values.trim().trim_start_matches('('))));
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(LabelTerm::NotIn(key(name), one(value)));
    }
    if let Some((name, value)) = term.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        if value.contains('=') {
            return Err(Status::bad_request("unable to parse requirement: found '=', expected: identifier"));
        }
        return Ok(LabelTerm::In(key(name), one(value)));
    }
    Ok(match term.strip_prefix('!') {
        Some(name) => LabelTerm::Absent(key(name)),
        None => LabelTerm::Exists(key(term)),
    })
}

fn field_term(resource: &Resource, term: &str) -> Result<FieldTerm, Status> {
    let (path, value, is_equal) = if let Some((path, value)) = term.split_once("!=") {
        (path, value, false)
    } else {
        let (path, value) = term.split_once('=').unwrap_or((term, ""));
        (path, value.strip_prefix('=').unwrap_or(value), true)
    };
    let supported = match (path, resource.kind.kind) {
        ("metadata.namespace", _) => resource.kind.namespaced,
        ("metadata.name", _)
        | (
            "spec.nodeName"
            | "spec.restartPolicy"
            | "spec.schedulerName"
            | "spec.serviceAccountName"
            | "status.phase"
            | "status.podIP"
            | "status.nominatedNodeName",
            "Pod",
        )
        | ("status.phase", "Namespace")
        | ("type", "Secret" | "Event")
        | ("spec.unschedulable", "Node")
        | ("spec.clusterIP" | "spec.type", "Service")
        | ("reason" | "reportingComponent" | "source", "Event") => true,
        (path, "Event") => path.starts_with("involvedObject."),
        _ => false,
    };
    if !supported {
        return Err(Status::bad_request(match resource.kind.kind {
            "Pod" | "Node" | "Namespace" | "Secret" | "Service" | "Event" => {
                format!("field label not supported: {path}")
            }
            _ => format!(r#""{path}" is not a known field selector: only "metadata.name", "metadata.namespace""#),
        }));
    }
    let default = if path == "spec.unschedulable" { "false" } else { "" };
    let pointer = format!("/{}", path.replace('.', "/"));
    Ok(FieldTerm { pointer, default, value: value.to_owned(), is_equal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenet_mapper::kinds;

    use super::*;

    #[test]
    fn selectors_select_what_an_api_server_selects() {
        let pod = json!({"metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}},
                         "spec": {"nodeName": "n1"}});
        let selects = |labels: &str, fields: &str| {
            Selector::parse(&Resource::plain(kinds::POD), labels, fields).unwrap().selects(&pod)
        };
        for labels in ["app=web", "app==web,tier", "app in (web, db)", "!gone", "app!=db", "gone notin (a,b)", ""] {
            assert!(selects(labels, ""), "{labels}");
        }
        for labels in ["app=db", "!app", "gone", "app notin (web)", "gone in (a)"] {
            assert!(!selects(labels, ""), "{labels}");
        }
        assert!(selects("", "metadata.name=web,spec.nodeName=n1,status.phase!=Running"));
        assert!(!selects("", "spec.nodeName=n2"));
    }
}

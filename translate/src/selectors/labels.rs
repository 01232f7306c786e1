use serde_json::{Map, Value, json};

use super::{Scope, SelectorError};
use crate::keys::{MANAGED_BY, NAMESPACE};
use crate::labels::{LabelPolicy, is_reserved};

/// Narrows a `metav1.LabelSelector` to the pods of one virtual namespace of one virtual cluster.
///
/// An empty selector selects every pod of the namespace. An absent selector stays absent: the field that carries it
/// defines if that selects all or nothing.
///
/// ```
/// use serde_json::json;
/// use tenet_translate::labels::LabelPolicy;
/// use tenet_translate::selectors::{Scope, label_selector};
///
/// let scope = Scope { vc: "vc-1", namespace: "shop", labels: &LabelPolicy::default() };
/// assert_eq!(
///     label_selector(Some(&json!({"matchLabels": {"app": "web"}})), scope),
///     Ok(Some(json!({"matchLabels": {
///         "app": "web", "tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop",
///     }})))
/// );
/// ```
pub fn label_selector(selector: Option<&Value>, scope: Scope<'_>) -> Result<Option<Value>, SelectorError> {
    Ok(LabelSelector::read(selector)?.map(|mut selector| {
        selector.rename(scope.labels);
        // `read` refuses our own labels, so these inserts overwrite none.
        selector.labels.insert(MANAGED_BY.to_owned(), scope.vc.into());
        selector.labels.insert(NAMESPACE.to_owned(), scope.namespace.into());
        selector.write()
    }))
}

/// `LabelSelector` that requirements are added to. All requirements of a selector must hold, so
/// an additional one only narrows it.
#[derive(Default)]
pub struct LabelSelector {
    labels: Map<String, Value>,
    expressions: Vec<Value>,
}

impl LabelSelector {
    /// Reads a selector. `None` selects nothing and must stay `None`; an empty one selects all.
    pub fn read(selector: Option<&Value>) -> Result<Option<Self>, SelectorError> {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else {
            return Ok(None);
        };
        let selector = selector.as_object().ok_or(SelectorError::Malformed("labelSelector"))?;
        let mut read = Self { labels: Map::new(), expressions: Vec::new() };
        for (field, value) in selector {
            match (field.as_str(), value) {
                (_, Value::Null) => {}
                ("matchLabels", Value::Object(labels)) => read.labels.clone_from(labels),
                ("matchExpressions", Value::Array(expressions)) => {
                    read.expressions.clone_from(expressions);
                }
                ("matchLabels", _) => return Err(SelectorError::Malformed("matchLabels")),
                ("matchExpressions", _) => {
                    return Err(SelectorError::Malformed("matchExpressions"));
                }
                _ => return Err(SelectorError::Unknown(format!("labelSelector.{field}"))),
            }
        }
        read.check()?;
        Ok(Some(read))
    }

    fn check(&self) -> Result<(), SelectorError> {
        let expressions = self.expressions.iter().map(|expression| {
            let key = expression.get("key").and_then(Value::as_str);
            key.ok_or(SelectorError::Malformed("matchExpressions"))
        });
        for key in self.labels.keys().map(|key| Ok(key.as_str())).chain(expressions) {
            refuse_reserved(key?)?;
        }
        Ok(())
    }

    /// Adds a requirement: `In` and `NotIn` take values, `Exists` and `DoesNotExist` none.
    pub fn require(&mut self, key: &str, operator: &str, values: &[&str]) {
        let mut requirement = json!({"key": key, "operator": operator});
        if !values.is_empty() {
            requirement["values"] = json!(values);
        }
        self.expressions.push(requirement);
    }

    /// Gives every key the name that it has on the host. Requirements that are added later keep theirs.
    pub fn rename(&mut self, policy: &LabelPolicy) {
        self.labels = std::mem::take(&mut self.labels)
            .into_iter()
            .map(|(key, value)| (policy.host_key(&key).into_owned(), value))
            .collect();
        for expression in &mut self.expressions {
            if let Some(Value::String(key)) = expression.get_mut("key") {
                *key = policy.host_key(key).into_owned();
            }
        }
    }

    /// Returns all requirements, those of `matchLabels` included.
    pub fn requirements(&self) -> Vec<Value> {
        let of_label = |(key, value)| json!({"key": key, "operator": "In", "values": [value]});
        self.labels.iter().map(of_label).chain(self.expressions.iter().cloned()).collect()
    }

    /// Returns true if an object with these labels is selected. An unknown operator selects nothing.
    pub fn matches(&self, labels: Option<&Value>) -> bool {
        let holds = |requirement: &Value| {
            let found = requirement["key"].as_str().and_then(|key| labels?.get(key));
            let is_listed = || {
                let values = requirement["values"].as_array();
                values.is_some_and(|values| found.is_some_and(|found| values.contains(found)))
            };
            match requirement["operator"].as_str() {
                Some("In") => is_listed(),
                Some("NotIn") => !is_listed(),
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        };
        self.requirements().iter().all(holds)
    }

    /// Merges `matchLabelKeys` or `mismatchLabelKeys`: the pod's own value is required or
    /// excluded. API servers do so at creation (pod affinity from 1.29 on, topology spread from
    /// 1.34 on); for older ones it is done here, so the host does not need the keys. A
    /// requirement that exists already is not repeated.
    pub fn merge_keys(
        &mut self,
        keys: Option<&Value>,
        operator: &str,
        pod_labels: Option<&Value>,
    ) -> Result<(), SelectorError> {
        for key in texts(keys, "matchLabelKeys")? {
            refuse_reserved(key)?;
            // A key that the pod does not carry is skipped, as by the API server.
            let value = pod_labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
            let Some(value) = value else { continue };
            let merged = json!({"key": key, "operator": operator, "values": [value]});
            if !self.expressions.contains(&merged) {
                self.expressions.push(merged);
            }
        }
        Ok(())
    }

    /// Returns the selector in the form of the API.
    pub fn write(self) -> Value {
        let mut selector = Map::new();
        if !self.labels.is_empty() {
            selector.insert("matchLabels".to_owned(), Value::Object(self.labels));
        }
        if !self.expressions.is_empty() {
            selector.insert("matchExpressions".to_owned(), Value::Array(self.expressions));
        }
        Value::Object(selector)
    }
}

fn refuse_reserved(key: &str) -> Result<(), SelectorError> {
    if is_reserved(key) { Err(SelectorError::Reserved(key.to_owned())) } else { Ok(()) }
}

/// Reads a list of strings; an absent list is empty.
pub fn texts<'a>(list: Option<&'a Value>, field: &'static str) -> Result<Vec<&'a str>, SelectorError> {
    match list {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().ok_or(SelectorError::Malformed(field))).collect()
        }
        Some(_) => Err(SelectorError::Malformed(field)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn scope() -> Scope<'static> {
        static POLICY: LazyLock<LabelPolicy> = LazyLock::new(LabelPolicy::default);
        Scope { vc: "vc-1", namespace: "shop", labels: &POLICY }
    }

    #[test]
    fn a_selector_is_narrowed_and_none_stays_none() {
        let own = json!({"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"});
        let exists = json!([{"key": "app", "operator": "Exists"}]);
        for (selector, expected) in [
            (json!({}), json!({"matchLabels": own})),
            (json!({"matchLabels": null, "matchExpressions": []}), json!({"matchLabels": own})),
            (json!({"matchExpressions": exists}), json!({"matchLabels": own, "matchExpressions": exists})),
        ] {
            assert_eq!(label_selector(Some(&selector), scope()), Ok(Some(expected)), "{selector}");
        }
        assert_eq!(label_selector(None, scope()), Ok(None));
        assert_eq!(label_selector(Some(&Value::Null), scope()), Ok(None));
    }

    #[test]
    fn a_selector_matches_as_the_api_defines_it() {
        let labels = json!({"team": "a", "tier": "front"});
        let by = |operator: &str, key: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, matches) in [
            (json!({}), true),
            (json!({"matchLabels": {"team": "a"}}), true),
            (json!({"matchLabels": {"team": "a", "tier": "back"}}), false),
            (by("In", "team", json!(["b", "a"])), true),
            (by("In", "absent", json!(["a"])), false),
            (by("NotIn", "team", json!(["a"])), false),
            (by("NotIn", "absent", json!(["a"])), true),
            (by("Exists", "tier", Value::Null), true),
            (by("Exists", "absent", Value::Null), false),
            (by("DoesNotExist", "tier", Value::Null), false),
            (by("DoesNotExist", "absent", Value::Null), true),
            (by("Gt", "team", json!(["a"])), false),
        ] {
            let read = LabelSelector::read(Some(&selector)).unwrap().unwrap();
            assert_eq!(read.matches(Some(&labels)), matches, "{selector}");
        }
        assert!(!LabelSelector::read(Some(&json!({"matchLabels": {"a": "b"}}))).unwrap().unwrap().matches(None));
    }

    #[test]
    fn a_selector_that_would_reach_further_is_refused() {
        let reserved = |key: &str| SelectorError::Reserved(key.to_owned());
        for (selector, error) in [
            (json!({"matchLabels": {NAMESPACE: "other"}}), reserved(NAMESPACE)),
            (json!({"matchExpressions": [{"key": MANAGED_BY, "operator": "Exists"}]}), reserved(MANAGED_BY)),
            (json!({"fresh": {}}), SelectorError::Unknown("labelSelector.fresh".to_owned())),
            (json!(["app"]), SelectorError::Malformed("labelSelector")),
        ] {
            assert_eq!(label_selector(Some(&selector), scope()), Err(error), "{selector}");
        }
    }
}

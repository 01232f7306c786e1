use serde_json::{Map, Value};

use super::labels::{LabelSelector, texts};
use super::{Scope, SelectorError};
use crate::keys::{MANAGED_BY, NAMESPACE};

/// Narrows every term of `spec.affinity.podAffinity` or `podAntiAffinity`.
pub fn pod_affinity(affinity: &Value, pod_labels: Option<&Value>, scope: Scope<'_>) -> Result<Value, SelectorError> {
    let mut narrowed = Map::new();
    for (field, value) in object(affinity, "affinity")? {
        let terms = match (field.as_str(), value) {
            (_, Value::Null) => continue,
            (_, Value::Array(terms)) => terms,
            _ => return Err(SelectorError::Malformed("affinity")),
        };
        let terms: Result<Vec<_>, _> = match field.as_str() {
            "requiredDuringSchedulingIgnoredDuringExecution" => {
                terms.iter().map(|term| affinity_term(term, pod_labels, scope)).collect()
            }
            "preferredDuringSchedulingIgnoredDuringExecution" => {
                terms.iter().map(|term| weighted_term(term, pod_labels, scope)).collect()
            }
            _ => return Err(SelectorError::Unknown(field.clone())),
        };
        narrowed.insert(field.clone(), Value::Array(terms?));
    }
    Ok(Value::Object(narrowed))
}

fn weighted_term(term: &Value, pod_labels: Option<&Value>, scope: Scope<'_>) -> Result<Value, SelectorError> {
    let mut narrowed = Map::new();
    for (field, value) in object(term, "affinity term")? {
        let value = match field.as_str() {
            "weight" => value.clone(),
            "podAffinityTerm" => affinity_term(value, pod_labels, scope)?,
            _ => return Err(SelectorError::Unknown(field.clone())),
        };
        narrowed.insert(field.clone(), value);
    }
    Ok(Value::Object(narrowed))
}

/// Narrows a term of a pod affinity or anti-affinity.
///
/// Its namespaces (those listed, all for an empty `namespaceSelector`, else the pod's own) become a
/// requirement on our namespace label, since on the host all pods are in one namespace. A term
/// without `labelSelector` matches no pod, and stays so.
pub fn affinity_term(term: &Value, pod_labels: Option<&Value>, scope: Scope<'_>) -> Result<Value, SelectorError> {
    let known =
        ["labelSelector", "namespaces", "topologyKey", "namespaceSelector", "matchLabelKeys", "mismatchLabelKeys"];
    let term = only(object(term, "affinity term")?, &known)?;
    let mut narrowed = Map::new();
    copy(term, "topologyKey", &mut narrowed);

    let everywhere = match term.get("namespaceSelector") {
        None | Some(Value::Null) => false,
        Some(selector) if selects_all(selector) => true,
        Some(_) => return Err(SelectorError::NamespaceSelector),
    };
    let mut namespaces = texts(term.get("namespaces"), "namespaces")?;
    if namespaces.is_empty() {
        namespaces.push(scope.namespace);
    }
    namespaces.sort_unstable();
    namespaces.dedup();

    if let Some(mut selector) = LabelSelector::read(term.get("labelSelector"))? {
        selector.merge_keys(term.get("matchLabelKeys"), "In", pod_labels)?;
        selector.merge_keys(term.get("mismatchLabelKeys"), "NotIn", pod_labels)?;
        selector.rename(scope.labels);
        selector.require(MANAGED_BY, "In", &[scope.vc]);
        if !everywhere {
            selector.require(NAMESPACE, "In", &namespaces);
        }
        narrowed.insert("labelSelector".to_owned(), selector.write());
    }
    Ok(Value::Object(narrowed))
}

/// Narrows one of `spec.topologySpreadConstraints` to the pod's own namespace: a constraint
/// counts only pods of that namespace.
pub fn spread_constraint(
    constraint: &Value,
    pod_labels: Option<&Value>,
    scope: Scope<'_>,
) -> Result<Value, SelectorError> {
    let copied =
        ["maxSkew", "topologyKey", "whenUnsatisfiable", "minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy"];
    let mut known = copied.to_vec();
    known.extend(["labelSelector", "matchLabelKeys"]);
    let constraint = only(object(constraint, "topology spread constraint")?, &known)?;
    let mut narrowed = Map::new();
    for field in copied {
        copy(constraint, field, &mut narrowed);
    }
    if let Some(mut selector) = LabelSelector::read(constraint.get("labelSelector"))? {
        selector.merge_keys(constraint.get("matchLabelKeys"), "In", pod_labels)?;
        selector.rename(scope.labels);
        selector.require(MANAGED_BY, "In", &[scope.vc]);
        selector.require(NAMESPACE, "In", &[scope.namespace]);
        narrowed.insert("labelSelector".to_owned(), selector.write());
    }
    Ok(Value::Object(narrowed))
}

fn object<'a>(value: &'a Value, what: &'static str) -> Result<&'a Map<String, Value>, SelectorError> {
    value.as_object().ok_or(SelectorError::Malformed(what))
}

fn only<'a>(object: &'a Map<String, Value>, known: &[&str]) -> Result<&'a Map<String, Value>, SelectorError> {
    match object.keys().find(|field| !known.contains(&field.as_str())) {
        Some(field) => Err(SelectorError::Unknown(field.clone())),
        None => Ok(object),
    }
}

fn copy(from: &Map<String, Value>, field: &str, to: &mut Map<String, Value>) {
    if let Some(value) = from.get(field).filter(|value| !value.is_null()) {
        to.insert(field.to_owned(), value.clone());
    }
}

/// Returns true if the selector selects every namespace: it is empty, or its lists are empty.
fn selects_all(selector: &Value) -> bool {
    selector.as_object().is_some_and(|selector| {
        selector.iter().all(|(field, value)| match (field.as_str(), value) {
            ("matchLabels", Value::Object(labels)) => labels.is_empty(),
            ("matchExpressions", Value::Array(expressions)) => expressions.is_empty(),
            ("matchLabels" | "matchExpressions", value) => value.is_null(),
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::json;

    use super::*;
    use crate::labels::LabelPolicy;

    fn scope() -> Scope<'static> {
        static POLICY: LazyLock<LabelPolicy> = LazyLock::new(LabelPolicy::default);
        Scope { vc: "vc", namespace: "shop", labels: &POLICY }
    }

    fn in_vc() -> Value {
        json!({"key": "tenet.sh/managed-by", "operator": "In", "values": ["vc"]})
    }

    fn in_namespaces(namespaces: &[&str]) -> Value {
        json!({"key": "tenet.sh/namespace", "operator": "In", "values": namespaces})
    }

    fn term(extra: &Value) -> Result<Value, SelectorError> {
        let mut term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}});
        for (field, value) in extra.as_object().unwrap() {
            term[field] = value.clone();
        }
        affinity_term(&term, Some(&json!({"app": "a", "hash": "1"})), scope())
    }

    fn expressions(extra: &Value) -> Value {
        let term = term(extra).unwrap();
        assert_eq!(term["topologyKey"], "zone");
        assert_eq!(term.as_object().unwrap().len(), 2, "the host term has no other field");
        term["labelSelector"]["matchExpressions"].clone()
    }

    #[test]
    fn a_term_means_the_namespaces_that_it_meant_inside() {
        for (extra, expected) in [
            (json!({}), json!([in_vc(), in_namespaces(&["shop"])])),
            (json!({"namespaces": null, "namespaceSelector": null}), json!([in_vc(), in_namespaces(&["shop"])])),
            (json!({"namespaces": []}), json!([in_vc(), in_namespaces(&["shop"])])),
            (json!({"namespaces": ["b", "a", "b"]}), json!([in_vc(), in_namespaces(&["a", "b"])])),
            (json!({"namespaceSelector": {}}), json!([in_vc()])),
            (json!({"namespaceSelector": {"matchLabels": {}}}), json!([in_vc()])),
            (json!({"namespaceSelector": {}, "namespaces": ["a"]}), json!([in_vc()])),
        ] {
            assert_eq!(expressions(&extra), expected);
        }
    }

    #[test]
    fn label_keys_are_merged_once() {
        let own = json!({"key": "hash", "operator": "In", "values": ["1"]});
        let other = json!({"key": "hash", "operator": "NotIn", "values": ["1"]});
        let scope = [in_vc(), in_namespaces(&["shop"])];
        let merged = |extra: Value, first: Value| {
            assert_eq!(expressions(&extra), json!([first, scope[0], scope[1]]));
        };
        merged(json!({"matchLabelKeys": ["hash", "absent"]}), own.clone());
        merged(json!({"matchLabelKeys": ["hash"], "labelSelector": {"matchExpressions": [own]}}), own.clone());
        merged(json!({"mismatchLabelKeys": ["hash"]}), other.clone());
        // A selector may also name a key of mismatchLabelKeys.
        let exists = json!({"key": "hash", "operator": "Exists"});
        assert_eq!(
            expressions(&json!({"mismatchLabelKeys": ["hash"], "labelSelector": {"matchExpressions": [exists]}})),
            json!([exists, other, scope[0], scope[1]])
        );
    }

    #[test]
    fn a_term_without_selector_still_matches_nothing() {
        for selector in [json!(null), json!({})] {
            let narrowed = term(&json!({"labelSelector": selector})).unwrap();
            assert_eq!(narrowed.get("labelSelector").is_some(), !selector.is_null());
        }
    }

    #[test]
    fn what_cannot_be_narrowed_is_an_error() {
        let reserved = "tenet.sh/namespace";
        for (extra, error) in [
            (json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}), SelectorError::NamespaceSelector),
            (json!({"namespaceSelector": {"new": 1}}), SelectorError::NamespaceSelector),
            (json!({"namespaces": "a"}), SelectorError::Malformed("namespaces")),
            (json!({"namespaces": [1]}), SelectorError::Malformed("namespaces")),
            (json!({"future": 1}), SelectorError::Unknown("future".to_owned())),
            (json!({"labelSelector": {"future": 1}}), SelectorError::Unknown("labelSelector.future".to_owned())),
            (json!({"labelSelector": {"matchLabels": {reserved: "a"}}}), SelectorError::Reserved(reserved.to_owned())),
            (
                json!({"labelSelector": {"matchExpressions": [{"key": reserved, "operator": "DoesNotExist"}]}}),
                SelectorError::Reserved(reserved.to_owned()),
            ),
            (json!({"labelSelector": {"matchExpressions": [{}]}}), SelectorError::Malformed("matchExpressions")),
            (json!({"matchLabelKeys": [reserved]}), SelectorError::Reserved(reserved.to_owned())),
        ] {
            assert_eq!(term(&extra), Err(error));
        }
    }

    #[test]
    fn both_lists_of_an_affinity_are_narrowed() {
        let term = json!({"topologyKey": "zone", "labelSelector": {}});
        let narrowed = json!({"topologyKey": "zone",
            "labelSelector": {"matchExpressions": [in_vc(), in_namespaces(&["shop"])]}});
        let affinity = json!({
            "requiredDuringSchedulingIgnoredDuringExecution": [term],
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": term}]
        });
        assert_eq!(
            pod_affinity(&affinity, None, scope()).unwrap(),
            json!({
                "requiredDuringSchedulingIgnoredDuringExecution": [narrowed],
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": narrowed}]
            })
        );
        let future = json!({"requiredDuringSchedulingRequiredDuringExecution": []});
        assert!(matches!(pod_affinity(&future, None, scope()), Err(SelectorError::Unknown(_))));
    }

    #[test]
    fn a_spread_constraint_counts_pods_of_its_own_namespace() {
        let constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 2, "matchLabelKeys": ["hash"], "labelSelector": {"matchLabels": {"app": "a"}}});
        assert_eq!(
            spread_constraint(&constraint, Some(&json!({"hash": "1"})), scope()).unwrap(),
            json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2,
                "labelSelector": {"matchLabels": {"app": "a"}, "matchExpressions": [
                    {"key": "hash", "operator": "In", "values": ["1"]}, in_vc(), in_namespaces(&["shop"])]}})
        );
        let nothing = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"});
        assert_eq!(spread_constraint(&nothing, None, scope()).unwrap(), nothing);
    }
}

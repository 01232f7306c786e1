//! Pods selected across namespaces, as by a `NetworkPolicy`.

use serde_json::{Value, json};

use super::labels::{LabelSelector, texts};
use super::{Scope, SelectorError};
use crate::keys::{MANAGED_BY, NAMESPACE};

/// Label with the name of a namespace, which the API server sets on each.
const NAME: &str = "kubernetes.io/metadata.name";

/// Translates a pair of selectors into one selector of the host: the pods that `pods` selects (absent: all) in the
/// namespaces that `namespaces` selects (absent: the namespace of the scope).
///
/// An empty `namespaces` selects all namespaces of the virtual cluster. Requirements on the label
/// `kubernetes.io/metadata.name` can be translated; other labels of namespaces are not on the host.
///
/// ```
/// use serde_json::json;
/// use tenet_translate::labels::LabelPolicy;
/// use tenet_translate::selectors::{Scope, select_pods};
///
/// let scope = Scope { vc: "vc-1", namespace: "shop", labels: &LabelPolicy::default() };
/// let web = json!({"matchLabels": {"app": "web"}});
/// let selector = select_pods(Some(&web), None, scope).unwrap();
/// assert_eq!(selector["matchExpressions"][1]["values"], json!(["shop"]));
/// ```
pub fn select_pods(pods: Option<&Value>, namespaces: Option<&Value>, scope: Scope<'_>) -> Result<Value, SelectorError> {
    let all = json!({});
    let mut selector = LabelSelector::read(pods.filter(|pods| !pods.is_null()).or(Some(&all)))?.unwrap_or_default();
    selector.rename(scope.labels);
    selector.require(MANAGED_BY, "In", &[scope.vc]);
    match LabelSelector::read(namespaces)? {
        None => selector.require(NAMESPACE, "In", &[scope.namespace]),
        Some(namespaces) => {
            for requirement in namespaces.requirements() {
                let operator = requirement["operator"].as_str().ok_or(SelectorError::Malformed("matchExpressions"))?;
                let key = requirement["key"].as_str().unwrap_or_default();
                if key != NAME {
                    return Err(SelectorError::NamespaceLabel(key.to_owned()));
                }
                selector.require(NAMESPACE, operator, &texts(requirement.get("values"), "values")?);
            }
        }
    }
    Ok(selector.write())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::labels::LabelPolicy;

    fn scope() -> Scope<'static> {
        static POLICY: LazyLock<LabelPolicy> = LazyLock::new(LabelPolicy::default);
        Scope { vc: "vc", namespace: "shop", labels: &POLICY }
    }

    fn requirements(namespaces: &Value) -> Result<Value, SelectorError> {
        let pods = json!({"matchLabels": {"app": "web"}});
        let selector = select_pods(Some(&pods), Some(namespaces), scope())?;
        assert_eq!(selector["matchLabels"], pods["matchLabels"]);
        assert_eq!(selector["matchExpressions"][0], json!({"key": MANAGED_BY, "operator": "In", "values": ["vc"]}));
        Ok(json!(selector["matchExpressions"].as_array().unwrap()[1..]))
    }

    #[test]
    fn pods_are_those_of_the_namespaces_that_were_meant() {
        let on_our_label =
            |operator: &str, values: &[&str]| json!([{"key": NAMESPACE, "operator": operator, "values": values}]);
        let by_name = |operator: &str, values: Value| json!({"matchExpressions": [{"key": NAME, "operator": operator, "values": values}]});
        for (namespaces, expected) in [
            (Value::Null, on_our_label("In", &["shop"])),
            (json!({}), json!([])),
            (json!({"matchLabels": {NAME: "kube-system"}}), on_our_label("In", &["kube-system"])),
            (by_name("In", json!(["a", "b"])), on_our_label("In", &["a", "b"])),
            (by_name("NotIn", json!(["a"])), on_our_label("NotIn", &["a"])),
        ] {
            assert_eq!(requirements(&namespaces), Ok(expected), "{namespaces}");
        }
        let exists = json!({"matchExpressions": [{"key": NAME, "operator": "Exists"}]});
        assert_eq!(requirements(&exists), Ok(json!([{"key": NAMESPACE, "operator": "Exists"}])));
    }

    #[test]
    fn labels_of_namespaces_that_are_not_on_the_host_are_an_error() {
        for namespaces in [
            json!({"matchLabels": {"team": "a"}}),
            json!({"matchLabels": {NAME: "a", "team": "a"}}),
            json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]}),
        ] {
            assert_eq!(requirements(&namespaces), Err(SelectorError::NamespaceLabel("team".to_owned())));
        }
        let reserved = SelectorError::Reserved(NAMESPACE.to_owned());
        assert_eq!(requirements(&json!({"matchLabels": {NAMESPACE: "a"}})), Err(reserved.clone()));
        assert_eq!(select_pods(Some(&json!({"matchLabels": {NAMESPACE: "a"}})), None, scope()), Err(reserved));
    }

    #[test]
    fn no_selector_of_pods_selects_all_of_them() {
        let narrowed = select_pods(None, None, scope()).unwrap();
        assert_eq!(narrowed, select_pods(Some(&json!({})), None, scope()).unwrap());
        assert_eq!(narrowed["matchExpressions"].as_array().unwrap().len(), 2);
    }
}

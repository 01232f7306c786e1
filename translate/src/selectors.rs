//! Label selectors that cross to the host. There, the pods of all virtual namespaces, and of
//! other virtual clusters, share one namespace, so every selector is narrowed to the virtual cluster
//! and to the virtual namespaces that it selects.

mod form;
mod labels;
mod namespaces;
mod pods;

pub use form::SelectorForm;
pub use labels::{LabelSelector, label_selector};
pub use namespaces::select_pods;
pub use pods::{affinity_term, pod_affinity, spread_constraint};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::keys::{MANAGED_BY, NAMESPACE};
use crate::labels::{LabelPolicy, is_reserved};

/// Scope that a selector is narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Name of the virtual cluster.
    pub vc: &'a str,
    /// Virtual namespace of the object that carries the selector.
    pub namespace: &'a str,
    /// Keys that labels have on the host.
    pub labels: &'a LabelPolicy,
}

/// Reason why a selector cannot cross.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// Labels under our prefix never cross, so nothing on the host could match.
    #[error("selects by the reserved label {0:?}")]
    Reserved(String),
    /// Labels of namespaces are not on the host.
    #[error("namespaceSelector cannot be translated; name the namespaces, or select all with {{}}")]
    NamespaceSelector,
    /// Like [`Self::NamespaceSelector`], for an object in which a namespace name can be translated.
    #[error(
        "selects namespaces by {0:?}, which is not on the host; select them by kubernetes.io/metadata.name, or all with {{}}"
    )]
    NamespaceLabel(String),
    /// A field that this version does not know.
    #[error("the field {0} is not known to this version of Tenet")]
    Unknown(String),
    /// A field of another type than the API has.
    #[error("the field {0} has the wrong type")]
    Malformed(&'static str),
}

/// Narrows the selector of a Service. A Service without one keeps none: its endpoints are
/// written by hand. The API server stores an empty selector as none.
pub fn service_selector(
    selector: Option<&Value>,
    scope: Scope<'_>,
) -> Result<Option<Map<String, Value>>, SelectorError> {
    let selector = match selector {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(selector)) if selector.is_empty() => return Ok(None),
        Some(Value::Object(selector)) => selector,
        Some(_) => return Err(SelectorError::Malformed("selector")),
    };
    if let Some(key) = selector.keys().find(|key| is_reserved(key)) {
        return Err(SelectorError::Reserved(key.clone()));
    }
    let on_host = |(key, value): (&String, &Value)| (scope.labels.host_key(key).into_owned(), value.clone());
    let mut narrowed: Map<_, _> = selector.iter().map(on_host).collect();
    narrowed.insert(MANAGED_BY.to_owned(), scope.vc.into());
    narrowed.insert(NAMESPACE.to_owned(), scope.namespace.into());
    Ok(Some(narrowed))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::json;

    use super::*;

    fn scope() -> Scope<'static> {
        static POLICY: LazyLock<LabelPolicy> = LazyLock::new(LabelPolicy::default);
        Scope { vc: "vc", namespace: "shop", labels: &POLICY }
    }

    #[test]
    fn a_service_selects_pods_of_its_own_namespace_only() {
        let narrowed = service_selector(Some(&json!({"app": "web"})), scope());
        let expected = json!({"app": "web", "tenet.sh/managed-by": "vc", "tenet.sh/namespace": "shop"});
        assert_eq!(narrowed.unwrap().map(Value::Object), Some(expected));
    }

    #[test]
    fn a_service_without_selector_gets_none() {
        for selector in [None, Some(&json!(null)), Some(&json!({}))] {
            assert_eq!(service_selector(selector, scope()), Ok(None));
        }
    }

    #[test]
    fn a_service_cannot_widen_its_selector() {
        for key in ["tenet.sh/managed-by", "tenet.sh/namespace", "X.Tenet.sh/a"] {
            let selector = json!({"app": "web", key: "other"});
            let error = SelectorError::Reserved(key.to_owned());
            assert_eq!(service_selector(Some(&selector), scope()), Err(error));
        }
        let error = SelectorError::Malformed("selector");
        assert_eq!(service_selector(Some(&json!("app=web")), scope()), Err(error));
    }
}

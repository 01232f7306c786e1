//! Labels and annotations that cross to the host. None of the host's come back up.

mod glob;
mod load_balancers;
mod policy;

pub use glob::Globs;
pub use load_balancers::{LOAD_BALANCERS, shapes_load_balancer};
pub use policy::LabelPolicy;

use serde_json::{Map, Value};

use crate::keys::PREFIX;

/// Copy of the virtual object that `kubectl apply` stores. It does not describe a host object, and a `kubectl
/// apply` on the host would act on it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Returns true if a label or annotation key is reserved: under `tenet.sh`, a subdomain of it, or either in
/// another spelling. API servers accept upper case in annotation keys.
pub fn is_reserved(key: &str) -> bool {
    let domain = key.split('/').next().unwrap_or_default().trim_matches('.');
    let Some((rest, end)) = domain.len().checked_sub(PREFIX.len()).and_then(|at| domain.split_at_checked(at)) else {
        return false;
    };
    end.eq_ignore_ascii_case(PREFIX) && (rest.is_empty() || rest.ends_with('.'))
}

/// Returns the labels of a virtual object that cross, under the keys that they have on the host: all except reserved
/// ones.
///
/// A host object that selects by labels in our namespace must therefore select on a reserved key
/// as well, as every translated selector does, see [`selectors`](crate::selectors).
pub fn labels_down(tenant: Option<&Value>, policy: &LabelPolicy) -> Map<String, Value> {
    unreserved(tenant).into_iter().map(|(key, value)| (policy.host_key(&key).into_owned(), value)).collect()
}

/// Returns the labels that are not reserved, under their own keys.
pub fn unreserved(labels: Option<&Value>) -> Map<String, Value> {
    down(labels, |key| !is_reserved(key))
}

/// Returns the annotations of a virtual object that cross: those that `allow` lists, except reserved ones
/// and the last-applied configuration.
pub fn annotations_down(tenant: Option<&Value>, allow: &Globs) -> Map<String, Value> {
    down(tenant, |key| annotation_crosses(key, allow))
}

/// Returns true if an annotation with this key crosses.
pub fn annotation_crosses(key: &str, allow: &Globs) -> bool {
    !is_reserved(key) && key != LAST_APPLIED && allow.matches(key)
}

fn down(tenant: Option<&Value>, crosses: impl Fn(&str) -> bool) -> Map<String, Value> {
    let Some(tenant) = tenant.and_then(Value::as_object) else {
        return Map::new();
    };
    let crossing = tenant.iter().filter(|(key, value)| value.is_string() && crosses(key));
    crossing.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn our_keys_are_reserved_in_every_spelling() {
        for key in [
            "tenet.sh/managed-by",
            "tenet.sh/",
            "tenet.sh",
            "TENET.sh/uid",
            "Tenet.SH/x",
            "x.tenet.sh/y",
            "a.b.Tenet.sh/y",
            "tenet.sh./x",
            ".tenet.sh/x",
            "tenet.sh/a/b",
        ] {
            assert!(is_reserved(key), "{key}");
        }
        for key in ["app", "tenet.sh.example.com/x", "mytenet.sh/x", "example.com/tenet.sh", "tenet", "", "/"] {
            assert!(!is_reserved(key), "{key}");
        }
    }

    #[test]
    fn labels_cross_except_reserved_ones() {
        let tenant =
            json!({"app": "web", "pod-template-hash": "1", "tenet.sh/managed-by": "other", "X.tenet.sh/a": "b"});
        assert_eq!(
            Value::Object(labels_down(Some(&tenant), &LabelPolicy::default())),
            json!({"app": "web", "pod-template-hash": "1"})
        );
        for nothing in [None, Some(&json!(null)), Some(&json!([])), Some(&json!({"a": 1}))] {
            assert!(labels_down(nothing, &LabelPolicy::default()).is_empty());
        }
    }

    #[test]
    fn annotations_cross_by_the_allow_list_only() {
        let tenant = json!({
            "prometheus.io/scrape": "true", "example.com/a": "1", "tenet.sh/uid": "forged", "x.Tenet.sh/b": "c",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "nginx.ingress.kubernetes.io/server-snippet": "evil"
        });
        let crossing = |globs: &[&str]| Value::Object(annotations_down(Some(&tenant), &Globs::new(globs)));
        assert_eq!(crossing(&[]), json!({}));
        assert_eq!(crossing(&["prometheus.io/*"]), json!({"prometheus.io/scrape": "true"}));
        assert_eq!(crossing(&["tenet.sh/*", "*.sh/*", "kubectl*"]), json!({}));
        assert_eq!(
            crossing(&["*"]),
            json!({"prometheus.io/scrape": "true", "example.com/a": "1", "nginx.ingress.kubernetes.io/server-snippet": "evil"})
        );
    }
}

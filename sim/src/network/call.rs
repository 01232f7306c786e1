//! A request as the network sees it.

use http::Method;
use http::request::Parts;
use tenet_mapper::Side;

use crate::script::Scope;

/// A request as the network sees it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) side: Side,
    method: Method,
    scope: Scope,
    /// True for a list that an informer begins with: a proof selects fields, and an audit pages metadata.
    is_of_informer: bool,
    pub(super) is_of_pods: bool,
}

impl Call {
    pub(super) fn new(side: Side, parts: &Parts) -> Self {
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let is_collection = !is_object(path);
        let scope = match parts.method {
            Method::GET if has("watch") => Scope::Watches,
            Method::GET if is_collection => Scope::Lists,
            Method::GET => Scope::Reads,
            _ => Scope::Writes,
        };
        let is_of_informer = scope == Scope::Lists && has("limit") && !has("fieldSelector") && !has("continue");
        let is_of_pods = path.ends_with("/pods");
        Self { side, method: parts.method.clone(), scope, is_of_informer, is_of_pods }
    }

    pub(super) fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    pub(super) fn is_watch(&self) -> bool {
        self.scope == Scope::Watches
    }

    pub(super) fn is_in(&self, scope: Scope) -> bool {
        scope == Scope::All || scope == self.scope
    }

    /// Returns true for a list whose age the client cannot tell.
    pub(super) fn may_be_stale(&self) -> bool {
        self.is_of_informer
    }
}

/// Returns true if a path names one object, and not a collection.
fn is_object(path: &str) -> bool {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = parts.as_slice() else { return true };
    match rest {
        ["namespaces", _] => true,
        ["namespaces", _, rest @ ..] | rest => rest.len() > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_no_object() {
        for (path, expected) in [
            ("/api/v1/pods", false),
            ("/api/v1/namespaces", false),
            ("/api/v1/namespaces/a", true),
            ("/api/v1/namespaces/a/pods", false),
            ("/api/v1/namespaces/a/pods/b", true),
            ("/apis/apps/v1/namespaces/a/deployments", false),
            ("/version", true),
        ] {
            assert_eq!(is_object(path), expected, "{path}");
        }
    }
}

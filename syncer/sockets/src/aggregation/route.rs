//! Routes of `metrics.k8s.io`.

use percent_encoding::percent_decode_str;

use super::selector::Selector;

/// A resource of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Nodes,
    Pods,
}

impl Resource {
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }
}

/// A read of objects.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) selector: Selector,
}

/// Resource that a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Route {
    Group,
    Version,
    Resource(Ask),
    Nowhere,
}

/// Reads a path and a query; an error is a sentence.
pub(super) fn parse(path: &str, query: &str) -> Result<Route, String> {
    let Some(rest) = path.strip_prefix("/apis/metrics.k8s.io") else { return Ok(Route::Nowhere) };
    let parts: Vec<_> = rest.split('/').skip(1).collect();
    let (resource, namespace, name) = match parts.as_slice() {
        [] | [""] => return Ok(Route::Group),
        ["v1beta1"] | ["v1beta1", ""] => return Ok(Route::Version),
        ["v1beta1", "nodes"] => (Resource::Nodes, None, None),
        ["v1beta1", "nodes", name] => (Resource::Nodes, None, Some(*name)),
        ["v1beta1", "pods"] => (Resource::Pods, None, None),
        ["v1beta1", "namespaces", namespace, "pods"] => (Resource::Pods, Some(*namespace), None),
        ["v1beta1", "namespaces", namespace, "pods", name] => (Resource::Pods, Some(*namespace), Some(*name)),
        _ => return Ok(Route::Nowhere),
    };
    let mut selector = Selector::default();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().map_err(|_| format!("{key} is not UTF-8"))?;
        match key {
            "labelSelector" => selector.labels(&value)?,
            "fieldSelector" => selector.fields(&value)?,
            _ => {}
        }
    }
    let owned = |part: Option<&str>| part.map(str::to_owned);
    Ok(Route::Resource(Ask { resource, namespace: owned(namespace), name: owned(name), selector }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_leads_to_its_resource() {
        let ask = |path: &str| match parse(path, "") {
            Ok(Route::Resource(ask)) => (ask.resource.plural(), ask.namespace, ask.name),
            other => panic!("{path}: {other:?}"),
        };
        let some = |text: &str| Some(text.to_owned());
        let base = "/apis/metrics.k8s.io/v1beta1";
        assert_eq!(ask(&format!("{base}/nodes")), ("nodes", None, None));
        assert_eq!(ask(&format!("{base}/nodes/n")), ("nodes", None, some("n")));
        assert_eq!(ask(&format!("{base}/pods")), ("pods", None, None));
        assert_eq!(ask(&format!("{base}/namespaces/a/pods/b")), ("pods", some("a"), some("b")));
        assert_eq!(parse("/apis/metrics.k8s.io", ""), Ok(Route::Group));
        assert_eq!(parse(base, ""), Ok(Route::Version));
        for path in ["/", "/apis", "/openapi/v2", "/apis/metrics.k8s.io/v1", "/apis/metrics.k8s.io/v1beta1/secrets"] {
            assert_eq!(parse(path, ""), Ok(Route::Nowhere), "{path}");
        }
        assert!(parse(&format!("{base}/pods"), "labelSelector=a+in+(").is_err());
    }
}

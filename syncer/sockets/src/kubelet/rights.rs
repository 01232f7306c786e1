//! Rights that a request needs, as a kubelet asks for them: on the node, under a
//! subresource. The verb of a request that runs a command in a container or connects to it is `create` with any
//! method, as WebSocket clients send GET.

use http::Method;

use super::route::{Action, Route};
use crate::access::Attributes;

/// The rights of which one is needed, the narrowest first.
pub(super) fn needed(route: Option<&Route>, method: &Method, node: &str) -> Vec<Attributes> {
    let verb = match route {
        Some(Route::Pod(_, Action::Logs { .. })) => "get",
        Some(Route::Pod(..)) => "create",
        _ => verb(method),
    };
    let right = |subresource| Attributes {
        verb,
        version: "v1",
        resource: "nodes",
        subresource,
        name: node.to_owned(),
        ..Attributes::default()
    };
    subresources(route).iter().map(|subresource| right(subresource)).collect()
}

/// Returns the subresources, the narrowest first: a server that does not know a narrow one refuses it, and is asked for
/// the wide one.
fn subresources(route: Option<&Route>) -> &'static [&'static str] {
    match route {
        Some(Route::Pod(_, Action::Exec { .. } | Action::Run { .. })) => &["exec", "proxy"],
        Some(Route::Pod(_, Action::Attach { .. })) => &["attach", "proxy"],
        Some(Route::Pod(_, Action::PortForward { .. })) => &["portforward", "proxy"],
        Some(Route::Pod(_, Action::Logs { .. })) | None => &["proxy"],
        Some(Route::Pods | Route::RunningPods) => &["pods", "proxy"],
        Some(Route::StatsSummary) => &["stats"],
        Some(Route::Metrics | Route::MetricsResource | Route::MetricsCadvisor) => &["metrics"],
        Some(Route::Healthz) => &["healthz", "proxy"],
        Some(Route::Configz) => &["configz", "proxy"],
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "create",
    }
}

#[cfg(test)]
mod tests {
    use super::super::route::parse;
    use super::*;

    #[test]
    fn each_request_needs_a_right_on_its_node() {
        let exec = "command=ls&output=1";
        for (path, query, method, verb, subresources) in [
            ("/exec/shop/web/main", exec, Method::GET, "create", &["exec", "proxy"][..]),
            ("/exec/shop/web/main", exec, Method::POST, "create", &["exec", "proxy"]),
            ("/attach/shop/web/main", "output=1", Method::GET, "create", &["attach", "proxy"]),
            ("/portForward/shop/web", "", Method::GET, "create", &["portforward", "proxy"]),
            ("/run/shop/web/main", "cmd=ls", Method::POST, "create", &["exec", "proxy"]),
            ("/containerLogs/shop/web/main", "", Method::GET, "get", &["proxy"]),
            ("/pods", "", Method::GET, "get", &["pods", "proxy"]),
            ("/stats/summary", "", Method::GET, "get", &["stats"]),
            ("/metrics", "", Method::GET, "get", &["metrics"]),
            ("/metrics/resource", "", Method::GET, "get", &["metrics"]),
            ("/nowhere", "", Method::GET, "get", &["proxy"]),
            ("/nowhere", "", Method::DELETE, "delete", &["proxy"]),
        ] {
            let route = parse(&method, path, query).ok();
            let needed = needed(route.as_ref(), &method, "worker-1");
            assert!(needed.iter().all(|right| right.verb == verb && right.name == "worker-1"), "{path}: {needed:?}");
            assert_eq!(needed.iter().map(|right| right.subresource).collect::<Vec<_>>(), subresources, "{path}");
        }
    }
}

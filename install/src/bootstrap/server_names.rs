//! Names and addresses under which clients reach the virtual API server.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{BootstrapError, Request};
use crate::api::Api;
use crate::names;

/// Returns the host Service of the virtual cluster, which has an address.
pub(super) async fn service(host: &Api, request: &Request) -> Result<Value, BootstrapError> {
    service_of(host, &request.namespace, &request.name).await
}

/// Returns a host Service that has an address.
pub(super) async fn service_of(host: &Api, namespace: &str, name: &str) -> Result<Value, BootstrapError> {
    let found = host.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).await?;
    let has_address = |service: &Value| {
        service["spec"]["clusterIP"].as_str().is_some_and(|address| address.parse::<IpAddr>().is_ok())
    };
    found
        .filter(has_address)
        .ok_or_else(|| BootstrapError::NoAddress { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// Returns all names, sorted. The addresses of the nodes are in it if the Service has node ports and the right to read
/// nodes was granted.
pub(super) async fn all(
    host: &Api,
    request: &Request,
    service: &Value,
    ranges: &str,
) -> Result<Vec<String>, BootstrapError> {
    let mut all = fixed(&request.name, &request.namespace);
    all.extend(ranges.split(',').filter_map(first_address));
    all.extend(of_service(service));
    if service["spec"]["type"] == "NodePort" {
        // Without the right, node addresses have to be named by --tls-san.
        let nodes = host.list("/api/v1/nodes").await.unwrap_or_default();
        all.extend(nodes.iter().flat_map(of_node));
    }
    all.extend(request.tls_sans.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
    Ok(sorted(all))
}

/// Adds the names of the Service in the namespace of the tenant's objects.
pub(super) fn add_workload_service(all: &mut Vec<String>, name: &str, namespace: &str, service: &Value) {
    all.extend(of_namespace(name, namespace));
    all.extend(of_service(service));
    *all = sorted(std::mem::take(all));
}

fn sorted(all: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = all.into_iter().map(|name| normal(&name)).collect();
    all.sort();
    all.dedup();
    all
}

fn of_namespace(service: &str, namespace: &str) -> [String; 3] {
    ["", ".svc", ".svc.cluster.local"].map(|rest| format!("{service}.{namespace}{rest}"))
}

fn fixed(name: &str, namespace: &str) -> Vec<String> {
    let headless = names::headless(name);
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), "kubernetes".to_owned()];
    all.extend(["default", "default.svc", "default.svc.cluster.local"].map(|rest| format!("kubernetes.{rest}")));
    for service in [name.to_owned(), headless.clone(), format!("*.{headless}")] {
        all.extend(of_namespace(&service, namespace));
    }
    all.push(name.to_owned());
    all
}

/// Returns the address that the API server takes for its own Service.
fn first_address(range: &str) -> Option<String> {
    let range: IpNet = range.trim().parse().ok()?;
    Some(range.hosts().find(|address| *address != range.network())?.to_string())
}

fn of_service(service: &Value) -> Vec<String> {
    let spec = &service["spec"];
    let listed = |field: &str| spec[field].as_array().into_iter().flatten();
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    let ingress = ingress.flat_map(|point| [&point["ip"], &point["hostname"]]);
    let all = listed("clusterIPs").chain(listed("externalIPs")).chain(ingress);
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn of_node(node: &Value) -> Vec<String> {
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    addresses.filter_map(|address| address["address"].as_str()).map(str::to_owned).collect()
}

/// Writes an address in its only form, as it is read back from a certificate.
fn normal(name: &str) -> String {
    name.parse::<IpAddr>().map_or_else(|_| name.to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_service_of_the_virtual_cluster_is_known_under_each_of_its_names() {
        let names = fixed("vc-1", "team-a");
        for name in ["vc-1", "vc-1.team-a", "vc-1.team-a.svc", "vc-1.team-a.svc.cluster.local", "kubernetes"] {
            assert!(names.contains(&name.to_owned()), "{name} {names:?}");
        }
        assert!(names.contains(&"*.vc-1-headless.team-a.svc".to_owned()), "{names:?}");
    }

    #[test]
    fn the_service_of_the_workloads_is_known_by_its_names_and_its_address() {
        let mut names = fixed("vc-1", "team-a");
        add_workload_service(&mut names, "vc-1", "tenant", &json!({"spec": {"clusterIPs": ["10.96.0.11"]}}));
        for name in ["vc-1.team-a.svc", "vc-1.tenant.svc", "vc-1.tenant.svc.cluster.local", "10.96.0.11"] {
            assert!(names.contains(&name.to_owned()), "{name} {names:?}");
        }
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn addresses_of_the_service_and_of_its_load_balancer_are_names() {
        let service = json!({
            "spec": {"clusterIPs": ["10.96.0.9"], "externalIPs": ["192.0.2.7"]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]}},
        });
        assert_eq!(of_service(&service), ["10.96.0.9", "192.0.2.7", "192.0.2.1", "lb.example.com"]);
        assert_eq!(first_address("10.96.0.0/16").as_deref(), Some("10.96.0.1"));
        assert_eq!(first_address("fd00:10::/108").as_deref(), Some("fd00:10::1"));
        assert_eq!(normal("FD00:0::1"), "fd00::1");
    }
}

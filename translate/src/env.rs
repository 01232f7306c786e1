//! Environment variables of Services. The host's kubelet would set those of the host's Services, so the
//! host pod has `enableServiceLinks: false` and takes the variables of the virtual Services by `envFrom`.
//!
//! The kubelet still adds those of the host's own `default/kubernetes`, but only where neither `env` nor `envFrom`
//! defines them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pointer;

/// Service whose variables every pod gets, independent of its namespace and `enableServiceLinks`.
const MASTER: (&str, &str) = ("default", "kubernetes");

/// Name and value of a variable.
pub type Variable = (String, String);

/// Returns the variables that a kubelet gives a pod in `namespace`: those of `default/kubernetes` always, and with
/// `enable_service_links` those of every Service in the pod's namespace. A Service of the pod's own
/// namespace that is also called `kubernetes` replaces the former. Services without a
/// ClusterIP, and headless ones, have no variables.
///
/// Two Services may give one variable different values (`foo` with a port `port` and `foo-service`,
/// for example). A kubelet uses either, at random; here the later one by name wins.
pub fn service_env<'a>(
    namespace: &str,
    services: impl IntoIterator<Item = &'a Value>,
    enable_service_links: bool,
) -> Vec<Variable> {
    let mut chosen: BTreeMap<&str, &Value> = BTreeMap::new();
    for service in services {
        let text = |field| text(pointer::get(service, field));
        let (of, name) = (text("/metadata/namespace"), text("/metadata/name"));
        if (of, name) == MASTER {
            chosen.entry(name).or_insert(service);
        } else if enable_service_links && of == namespace {
            chosen.insert(name, service);
        }
    }
    let mut env: Vec<Variable> = Vec::new();
    let mut position: BTreeMap<String, usize> = BTreeMap::new();
    for (name, value) in chosen.into_values().flat_map(variables) {
        if let Some(at) = position.get(&name) {
            env[*at].1 = value;
        } else {
            position.insert(name.clone(), env.len());
            env.push((name, value));
        }
    }
    env
}

/// Returns the variables of one Service in the kubelet's order: host, ports, and the docker links.
fn variables(service: &Value) -> Vec<Variable> {
    let address = text(pointer::get(service, "/spec/clusterIP"));
    if address.is_empty() || address == "None" {
        return Vec::new();
    }
    let prefix = variable_name(text(pointer::get(service, "/metadata/name")));
    let ports: Vec<Port<'_>> = service
        .pointer("/spec/ports")
        .and_then(Value::as_array)
        .map(|ports| ports.iter().filter_map(Port::read).collect())
        .unwrap_or_default();

    let mut env = vec![(format!("{prefix}_SERVICE_HOST"), address.to_owned())];
    if let Some(first) = ports.first() {
        env.push((format!("{prefix}_SERVICE_PORT"), first.number.to_string()));
    }
    for port in ports.iter().filter(|port| !port.name.is_empty()) {
        let name = format!("{prefix}_SERVICE_PORT_{}", variable_name(port.name));
        env.push((name, port.number.to_string()));
    }
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.to_lowercase();
        let url = format!("{protocol}://{}:{}", bracketed(address), port.number);
        if index == 0 {
            env.push((format!("{prefix}_PORT"), url.clone()));
        }
        let link = format!("{prefix}_PORT_{}_{}", port.number, port.protocol.to_uppercase());
        env.push((link.clone(), url));
        env.push((format!("{link}_PROTO"), protocol));
        env.push((format!("{link}_PORT"), port.number.to_string()));
        env.push((format!("{link}_ADDR"), address.to_owned()));
    }
    env
}

struct Port<'a> {
    name: &'a str,
    number: i64,
    protocol: &'a str,
}

impl<'a> Port<'a> {
    fn read(port: &'a Value) -> Option<Self> {
        let protocol = text(port.get("protocol"));
        Some(Self {
            name: text(port.get("name")),
            number: port.get("port")?.as_i64()?,
            protocol: if protocol.is_empty() { "TCP" } else { protocol },
        })
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn variable_name(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

/// Formats an address in front of a port: an IPv6 address in brackets.
fn bracketed(address: &str) -> String {
    if address.contains([':', '%']) { format!("[{address}]") } else { address.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, address: &str, ports: &Value) -> Value {
        json!({"metadata": {"namespace": namespace, "name": name},
               "spec": {"clusterIP": address, "ports": ports}})
    }

    fn kubernetes() -> Value {
        let ports = json!([{"name": "https", "port": 443, "protocol": "TCP"}]);
        service("default", "kubernetes", "10.0.0.1", &ports)
    }

    fn lines(env: &[Variable]) -> Vec<String> {
        env.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn the_api_server_is_always_there() {
        let expected = [
            "KUBERNETES_SERVICE_HOST=10.0.0.1",
            "KUBERNETES_SERVICE_PORT=443",
            "KUBERNETES_SERVICE_PORT_HTTPS=443",
            "KUBERNETES_PORT=tcp://10.0.0.1:443",
            "KUBERNETES_PORT_443_TCP=tcp://10.0.0.1:443",
            "KUBERNETES_PORT_443_TCP_PROTO=tcp",
            "KUBERNETES_PORT_443_TCP_PORT=443",
            "KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1",
        ];
        let services = [service("shop", "web", "10.0.0.2", &json!([{"port": 80}])), kubernetes()];
        assert_eq!(lines(&service_env("shop", &services, false)), expected);
        assert_eq!(lines(&service_env("default", &services, false)), expected);
        assert_eq!(lines(&service_env("default", &services, true)), expected);
    }

    #[test]
    fn services_of_the_namespace_are_linked() {
        let ports = json!([{"port": 53, "name": "dns-udp", "protocol": "UDP"}, {"port": 9153, "name": "metrics"}]);
        let services = [
            service("shop", "my-dns", "fd00::a", &ports),
            service("shop", "headless", "None", &json!([{"port": 1}])),
            service("shop", "external", "", &json!([])),
            service("other", "web", "10.0.0.2", &json!([{"port": 80}])),
            json!({}),
            json!(null),
        ];
        let expected = [
            "MY_DNS_SERVICE_HOST=fd00::a",
            "MY_DNS_SERVICE_PORT=53",
            "MY_DNS_SERVICE_PORT_DNS_UDP=53",
            "MY_DNS_SERVICE_PORT_METRICS=9153",
            "MY_DNS_PORT=udp://[fd00::a]:53",
            "MY_DNS_PORT_53_UDP=udp://[fd00::a]:53",
            "MY_DNS_PORT_53_UDP_PROTO=udp",
            "MY_DNS_PORT_53_UDP_PORT=53",
            "MY_DNS_PORT_53_UDP_ADDR=fd00::a",
            "MY_DNS_PORT_9153_TCP=tcp://[fd00::a]:9153",
            "MY_DNS_PORT_9153_TCP_PROTO=tcp",
            "MY_DNS_PORT_9153_TCP_PORT=9153",
            "MY_DNS_PORT_9153_TCP_ADDR=fd00::a",
        ];
        assert_eq!(lines(&service_env("shop", &services, true)), expected);
    }

    #[test]
    fn a_service_of_the_own_namespace_named_kubernetes_wins() {
        let own = service("shop", "kubernetes", "10.0.0.9", &json!([{"port": 80}]));
        for services in [[kubernetes(), own.clone()], [own.clone(), kubernetes()]] {
            assert_eq!(service_env("shop", &services, true)[0].1, "10.0.0.9");
            assert_eq!(service_env("shop", &services, false)[0].1, "10.0.0.1");
        }
    }

    #[test]
    fn a_variable_stands_once_whatever_the_order_of_the_services() {
        let a = service("shop", "foo", "10.0.0.1", &json!([{"port": 1}]));
        let b = service("shop", "foo-service", "10.0.0.2", &json!([{"port": 2}]));
        let env = service_env("shop", [&a, &b], true);
        assert_eq!(env, service_env("shop", [&b, &a], true));
        let port: Vec<_> = env.iter().filter(|(name, _)| name == "FOO_SERVICE_PORT").collect();
        assert_eq!(port, [&("FOO_SERVICE_PORT".to_owned(), "tcp://10.0.0.2:2".to_owned())]);
    }
}

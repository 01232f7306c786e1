//! Checks after each step. They are pure: each reads a snapshot and sends no request.

use serde_json::Value;

use super::snapshot::{Snapshot, find, is_going, name_of};

/// Difference from the expected state, in words.
pub(super) type Mismatch = String;

/// Checks that `count` pods of nginx run inside and nowhere else, each with its copy on the same node.
pub(super) fn pods_run(seen: &Snapshot, count: usize) -> Result<(), Mismatch> {
    let inside: Vec<&Value> =
        seen.inside.pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == "nginx").collect();
    let running = inside.iter().filter(|pod| runs(pod)).count();
    let on_host = seen.host.pods.iter().filter(|pod| runs(pod)).count();
    if inside.len() != count || running != count || seen.host.pods.len() != count || on_host != count {
        return Err(format!(
            "{running} of {} pods Running inside, {on_host} of {} on the host",
            inside.len(),
            seen.host.pods.len()
        ));
    }
    for pod in inside {
        let name = name_of(pod);
        let Some(copy) = find(&seen.host.pods, &seen.host_name(name)) else {
            return Err(format!("pod {name} has no copy {}", seen.host_name(name)));
        };
        let (node, host_node) = (&pod["spec"]["nodeName"], &copy["spec"]["nodeName"]);
        if node != host_node {
            return Err(format!("pod {name} is on node {node}, its copy on {host_node}"));
        }
    }
    Ok(())
}

pub(super) fn same_cluster_ip(seen: &Snapshot) -> Result<(), Mismatch> {
    let address = |service: Option<&Value>| {
        service.and_then(|service| service["spec"]["clusterIP"].as_str()).unwrap_or("none").to_owned()
    };
    let inside = address(find(&seen.inside.services, "nginx"));
    let host = address(find(&seen.host.services, &seen.host_name("nginx")));
    let ports = |service: Option<&Value>| service.map(|service| service["spec"]["ports"][0]["port"].clone());
    if inside == host
        && inside != "none"
        && ports(find(&seen.inside.services, "nginx")) == ports(find(&seen.host.services, &seen.host_name("nginx")))
    {
        return Ok(());
    }
    Err(format!("{inside} inside, {host} on the host"))
}

pub(super) fn unused_stays_inside(seen: &Snapshot) -> Result<(), Mismatch> {
    if find(&seen.inside.config_maps, "page").is_none() || find(&seen.inside.secrets, "password").is_none() {
        return Err("they do not exist inside".to_owned());
    }
    let copies =
        [find(&seen.host.config_maps, &seen.host_name("page")), find(&seen.host.secrets, &seen.host_name("password"))];
    match copies.into_iter().flatten().next() {
        None => Ok(()),
        Some(copy) => Err(format!("the host has {}", name_of(copy))),
    }
}

pub(super) fn copies_are_mounted(seen: &Snapshot) -> Result<(), Mismatch> {
    let (page, password) = (seen.host_name("page"), seen.host_name("password"));
    let pairs = [
        (find(&seen.inside.config_maps, "page"), find(&seen.host.config_maps, &page), &page),
        (find(&seen.inside.secrets, "password"), find(&seen.host.secrets, &password), &password),
    ];
    for (original, copy, name) in pairs {
        let Some(copy) = copy else { return Err(format!("the host has no {name}")) };
        if original.is_none_or(|original| original["data"] != copy["data"]) {
            return Err(format!("{name} has other data than its original"));
        }
    }
    for pod in &seen.host.pods {
        for name in [&page, &password] {
            if !mentions(&pod["spec"]["volumes"], name) {
                return Err(format!("host pod {} does not mount {name}", name_of(pod)));
            }
        }
    }
    Ok(())
}

/// Checks that nothing is left. The `kubernetes` Service cannot be deleted, so its copy stays.
pub(super) fn nothing_is_left(seen: &Snapshot) -> Result<(), Mismatch> {
    let stays = seen.host_name("kubernetes");
    let sides = [
        ("pod", &seen.inside.pods, &seen.host.pods),
        ("service", &seen.inside.services, &seen.host.services),
        ("configmap", &seen.inside.config_maps, &seen.host.config_maps),
        ("secret", &seen.inside.secrets, &seen.host.secrets),
    ];
    let mut left = Vec::new();
    for (kind, inside, host) in sides {
        let ours = |name: &&str| name.starts_with("nginx") || ["page", "password"].contains(name);
        left.extend(inside.iter().map(name_of).filter(ours).map(|name| format!("{kind}/{name} inside")));
        let copies = host.iter().map(name_of).filter(|name| *name != stays);
        left.extend(copies.map(|name| format!("{kind}/{name} on the host")));
    }
    if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
}

fn runs(pod: &Value) -> bool {
    let ready = pod["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
    ready && pod["status"]["phase"] == "Running" && !is_going(pod)
}

/// Returns true if a string occurs in a value: a ConfigMap can be mounted by itself or as part of a projection.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string == text,
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(fields) => fields.values().any(|field| mentions(field, text)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::snapshot::Side, *};

    fn pod(name: &str, node: &str, volumes: &Value) -> Value {
        json!({
            "metadata": {"name": name, "labels": {"app": "nginx"}},
            "spec": {"nodeName": node, "volumes": volumes},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        })
    }

    fn snapshot(inside: Side, host: Side) -> Snapshot {
        Snapshot { name: "vc-1".to_owned(), inside, host, namespace: "tenet-vc-1".to_owned() }
    }

    fn pods(inside: Vec<Value>, host: Vec<Value>) -> Snapshot {
        snapshot(Side { pods: inside, ..Side::default() }, Side { pods: host, ..Side::default() })
    }

    #[test]
    fn every_pod_needs_its_own_copy_on_the_same_node() {
        let none = json!([]);
        let one = || pod("nginx-1", "node-1", &none);
        let copy = |node| pod("nginx-1-x-default-x-vc-1", node, &none);
        let mut going = one();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let cases = [
            (pods(vec![one()], vec![copy("node-1")]), Ok(())),
            (pods(vec![one()], vec![]), Err("1 of 1 pods Running inside, 0 of 0 on the host")),
            (pods(vec![going], vec![copy("node-1")]), Err("0 of 1 pods Running inside, 1 of 1 on the host")),
            (pods(vec![one()], vec![copy("node-2")]), Err("pod nginx-1 is on node \"node-1\", its copy on \"node-2\"")),
            (
                pods(vec![one()], vec![pod("other", "node-1", &none)]),
                Err("pod nginx-1 has no copy nginx-1-x-default-x-vc-1"),
            ),
        ];
        for (seen, want) in cases {
            assert_eq!(pods_run(&seen, 1), want.map_err(str::to_owned));
        }
    }

    #[test]
    fn copies_must_have_the_data_and_be_mounted() {
        let object = |name: &str, data: &str| json!({"metadata": {"name": name}, "data": {"key": data}});
        let seen = |data: &str, volumes: Value| {
            snapshot(
                Side {
                    config_maps: vec![object("page", "a")],
                    secrets: vec![object("password", "b")],
                    ..Side::default()
                },
                Side {
                    config_maps: vec![object("page-x-default-x-vc-1", data)],
                    secrets: vec![object("password-x-default-x-vc-1", "b")],
                    pods: vec![pod("nginx", "node-1", &volumes)],
                    ..Side::default()
                },
            )
        };
        let mounted = json!([
            {"configMap": {"name": "page-x-default-x-vc-1"}},
            {"projected": {"sources": [{"secret": {"name": "password-x-default-x-vc-1"}}]}},
        ]);
        assert_eq!(copies_are_mounted(&seen("a", mounted.clone())), Ok(()));
        assert!(copies_are_mounted(&seen("other", mounted)).is_err());
        assert_eq!(
            copies_are_mounted(&seen("a", json!([]))),
            Err("host pod nginx does not mount page-x-default-x-vc-1".to_owned())
        );
    }

    #[test]
    fn only_the_copy_of_the_kubernetes_service_may_stay() {
        let service = |name: &str| json!({"metadata": {"name": name}});
        let seen = |name: &str| {
            snapshot(
                Side { services: vec![service("kubernetes")], ..Side::default() },
                Side { services: vec![service(name)], ..Side::default() },
            )
        };
        assert_eq!(nothing_is_left(&seen("kubernetes-x-default-x-vc-1")), Ok(()));
        assert_eq!(
            nothing_is_left(&seen("nginx-x-default-x-vc-1")),
            Err("service/nginx-x-default-x-vc-1 on the host".to_owned())
        );
    }
}

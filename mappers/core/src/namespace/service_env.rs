//! Variables of Services, in `ConfigMap`s of the host: those of each namespace, and `KUBERNETES_*`, which leads to the
//! virtual API server.
//!
//! Containers take them by `envFrom`, in front of their own. So a pod does not grow with the Services of its namespace,
//! a container that starts later sees later Services, and what the container itself defines wins, as with a kubelet.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};
use tenet_mapper::keys::SOURCE;
use tenet_mapper::rules::{Table, copy};
use tenet_mapper::translate::digest::digest;
use tenet_mapper::translate::env::{Variable, service_env};
use tenet_mapper::{ApplyHost, Context, Dependency, HostKey, MapError, Object, Side, VirtualKey, kinds};

/// Bytes of one `ConfigMap`, below the 1 MiB that the API server takes.
const LIMIT: usize = 900_000;

static TABLE: LazyLock<Arc<Table>> = LazyLock::new(|| Arc::new(crate::table(&[("", &[copy("data").whole().kept()])])));

/// The namespace of the Service of the virtual API server.
pub(crate) const API: &str = "default";

/// Returns the `ConfigMap`s that are kept for a namespace: the first pod that needs one brings it, so one that is not
/// among those `present` is kept only as the continuation of one that is.
pub(super) fn kept(cx: &Context<'_>, namespace: &Object, present: &[Object]) -> Vec<ApplyHost> {
    let is_present = |map: &ApplyHost| present.iter().any(|found| found.name() == map.key.name());
    let mut kept = of_namespace(cx, namespace);
    if !kept.first().is_some_and(is_present) {
        kept.clear();
    }
    if namespace.name() == API {
        kept.extend(of_api(cx, namespace).ok().filter(is_present));
    }
    kept
}

/// Returns the `ConfigMap`s with the variables of all Services of a namespace, in the order of their numbers. One that
/// a pod refers to stays when it has nothing to hold any more.
pub(crate) fn of_namespace(cx: &Context<'_>, namespace: &Object) -> Vec<ApplyHost> {
    let services = cx.list(Side::Virtual, kinds::SERVICE, namespace.name());
    let own = services.iter().filter(|service| !is_api(service));
    let mut parts = split(service_env(namespace.name(), own.map(Object::value), true), LIMIT);
    let host_key = |index: usize| host_key(cx, namespace.name(), index);
    while cx.host(kinds::CONFIG_MAP, &host_key(parts.len())).is_some() {
        parts.push(Map::new());
    }
    parts.into_iter().enumerate().map(|(index, data)| map(cx, namespace, host_key(index), data)).collect()
}

/// Returns the `ConfigMap` with the variables of the API server, or the Service that must exist first. `namespace` is
/// that of the virtual Service.
pub(crate) fn of_api(cx: &Context<'_>, namespace: &Object) -> Result<ApplyHost, Dependency> {
    let data = service_env(namespace.name(), [&api(cx)?], false).into_iter();
    let data = data.map(|(name, value)| (name, Value::String(value))).collect();
    Ok(map(cx, namespace, api_place(cx), data))
}

/// Returns the `ConfigMap`s of a namespace that are on the host.
pub(super) fn present(cx: &Context<'_>, namespace: &VirtualKey) -> Vec<Object> {
    let numbered = (0..).map_while(|index| cx.host(kinds::CONFIG_MAP, &host_key(cx, namespace.name(), index)));
    let api = cx.host(kinds::CONFIG_MAP, &api_place(cx)).filter(|_| namespace.name() == API);
    numbered.chain(api).collect()
}

/// Returns true if the host has this `ConfigMap` already; an error when another object has its name.
pub(crate) fn is_current(cx: &Context<'_>, map: &ApplyHost) -> Result<bool, MapError> {
    let Some(found) = cx.host(kinds::CONFIG_MAP, &map.key) else { return Ok(false) };
    let owner = cx.owned_by(kinds::NAMESPACE, &VirtualKey::new("", map.owner.name.as_str()), &found)?;
    let source = map.desired["metadata"]["annotations"][SOURCE].as_str();
    Ok(owner == map.owner && found.annotation(SOURCE) == source)
}

/// Returns true if the Service of this namespace and name gives the variables `KUBERNETES_*` to the pods of its own
/// namespace, in place of those of the API server.
pub(crate) fn hides_api(cx: &Context<'_>, namespace: &str) -> bool {
    let own = cx.virt(kinds::SERVICE, &VirtualKey::new(namespace, "kubernetes"));
    own.is_some_and(|own| !is_api(&own) && has_address(&own))
}

fn map(cx: &Context<'_>, namespace: &Object, key: HostKey, data: Map<String, Value>) -> ApplyHost {
    let owner = cx.owner(kinds::NAMESPACE, namespace);
    let data = Value::Object(data);
    let mut annotations = owner.annotations(key.namespace(), key.name());
    annotations.insert(SOURCE.to_owned(), digest(&data).into());
    let mut desired = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": key.name(), "namespace": key.namespace(),
            "labels": owner.labels(&cx.facts().names.cluster), "annotations": annotations,
        },
    });
    // The API server stores no empty map, and it would differ from none for ever.
    if data.as_object().is_some_and(|data| !data.is_empty()) {
        desired["data"] = data;
    }
    ApplyHost { kind: kinds::CONFIG_MAP, key, owner, desired, table: Some(Arc::clone(&TABLE)), fallback: None }
}

/// Distributes variables over parts of at most `limit` bytes; one part when there are none.
fn split(env: Vec<Variable>, limit: usize) -> Vec<Map<String, Value>> {
    let (mut parts, mut bytes) = (vec![Map::new()], 0);
    for (name, value) in env {
        let added = name.len() + value.len();
        if bytes > 0 && bytes + added > limit {
            parts.push(Map::new());
            bytes = 0;
        }
        bytes += added;
        if let Some(part) = parts.last_mut() {
            part.insert(name, Value::String(value));
        }
    }
    parts
}

/// Returns `default/kubernetes` as host pods reach it: the host Service that leads to the virtual
/// API server. The virtual one has the same address, or will have.
fn api(cx: &Context<'_>) -> Result<Value, Dependency> {
    let host_key = cx.api_service();
    let key = VirtualKey::new("default", "kubernetes");
    let host = cx.host(kinds::SERVICE, &host_key).filter(has_address);
    let service = host.or_else(|| cx.virt(kinds::SERVICE, &key).filter(has_address));
    let Some(service) = service else { return Err(Dependency::host(kinds::SERVICE, &host_key)) };
    let ports = service.list_at("/spec/ports");
    let port =
        |wanted: &dyn Fn(&Value) -> bool| ports.iter().find(|port| wanted(port)).map(|port| port["port"].clone());
    let port = port(&|port| port["port"] == 443).or_else(|| port(&|port| port["name"] == "https"));
    let port = port.or_else(|| ports.first().map(|port| port["port"].clone())).unwrap_or(json!(443));
    Ok(json!({
        "metadata": {"namespace": key.namespace(), "name": key.name()},
        "spec": {
            "clusterIP": service.at("/spec/clusterIP"),
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        },
    }))
}

fn is_api(service: &Object) -> bool {
    (service.namespace(), service.name()) == ("default", "kubernetes")
}

fn has_address(service: &Object) -> bool {
    service.str_at("/spec/clusterIP").is_some_and(|address| address != "None")
}

fn host_key(cx: &Context<'_>, namespace: &str, index: usize) -> HostKey {
    let names = &cx.facts().names;
    HostKey::new(names.host_namespace(namespace), names.service_env_name(namespace, index))
}

fn api_place(cx: &Context<'_>) -> HostKey {
    let names = &cx.facts().names;
    HostKey::new(names.host_namespace("default"), names.api_env_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_split_below_the_limit() {
        let env: Vec<Variable> = (0..10).map(|n| (format!("NAME_{n}"), "1234".to_owned())).collect();
        for (limit, parts) in [(1000, 1), (100, 1), (99, 2), (30, 4), (1, 10)] {
            let split = split(env.clone(), limit);
            assert_eq!(split.len(), parts, "{limit}");
            assert_eq!(split.iter().map(Map::len).sum::<usize>(), 10, "nothing is lost");
        }
        assert_eq!(super::split(Vec::new(), 1), [Map::new()]);
    }
}

//! Environment variables of Services: those of the virtual cluster, and `KUBERNETES_*`, which
//! leads to its API server.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenet_mapper::translate::env::{Variable, env_from_keys, prepend_service_env, service_env};
use tenet_mapper::{Dependency, MapError, Object, Read, Side, VirtualKey, kinds, pointer};

use super::{Subject, containers};

/// Adds the variables of Services in front of the `env` of every container of a draft.
///
/// Returns an object that must exist first, if any; the draft is not complete then.
pub(super) fn add(pod: &Subject<'_, '_>, draft: &mut Value) -> Result<Option<Dependency>, MapError> {
    let variables = match variables(pod) {
        Ok(variables) => variables,
        Err(missing) => return Ok(Some(missing)),
    };
    let containers = containers(pod.virt.value());
    pod.cx.need(containers.iter().flat_map(|container| sources(pod, container)).map(|(read, _)| read))?;
    for container in containers {
        let from = env_from(pod, &container)?;
        let pointer = format!("{container}/env");
        let own = draft.pointer(&pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let env = prepend_service_env(own, &from, &variables);
        pointer::set(draft, &pointer, Value::Array(env));
    }
    Ok(None)
}

fn variables(pod: &Subject<'_, '_>) -> Result<Vec<Variable>, Dependency> {
    let api = api(pod)?;
    let links = pod.virt.at("/spec/enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    let linked = if links { pod.cx.list(Side::Virtual, kinds::SERVICE, pod.virt.namespace()) } else { Vec::new() };
    // The first `default/kubernetes` wins.
    let services = std::iter::once(&api).chain(linked.iter().map(Object::value));
    Ok(service_env(pod.virt.namespace(), services, links))
}

/// Returns `default/kubernetes` as host pods reach it: the host Service that leads to the virtual
/// API server. The virtual one has the same address, or will have.
fn api(pod: &Subject<'_, '_>) -> Result<Value, Dependency> {
    let place = pod.cx.api_service();
    let key = VirtualKey::new("default", "kubernetes");
    let addressed = |service: &Object| service.str_at("/spec/clusterIP").is_some_and(|address| address != "None");
    let host = pod.cx.host(kinds::SERVICE, &place).filter(addressed);
    let service = host.or_else(|| pod.cx.virt(kinds::SERVICE, &key).filter(addressed));
    let Some(service) = service else { return Err(Dependency::host(kinds::SERVICE, &place)) };
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

/// The `ConfigMap`s and Secrets from which a container takes variables, each with its entry in
/// `envFrom`.
fn sources<'p>(pod: &'p Subject<'_, '_>, container: &str) -> Vec<(Read, &'p Value)> {
    let mut sources = Vec::new();
    for source in pod.virt.list_at(&format!("{container}/envFrom")) {
        for (kind, member) in [(kinds::CONFIG_MAP, "configMapRef"), (kinds::SECRET, "secretRef")] {
            if let Some(name) = source[member]["name"].as_str().filter(|name| !name.is_empty()) {
                sources.push((Read::new(kind, VirtualKey::new(pod.virt.namespace(), name)), source));
            }
        }
    }
    sources
}

/// Returns the variables that a container takes from `ConfigMap`s and Secrets, which hide those of
/// Services.
fn env_from(pod: &Subject<'_, '_>, container: &str) -> Result<BTreeSet<String>, MapError> {
    let mut names = BTreeSet::new();
    for (read, source) in sources(pod, container) {
        let object = pod.cx.content(read.kind, &read.key)?;
        let data = object.as_ref().and_then(|object| object.at("/data")).and_then(Value::as_object);
        names.extend(env_from_keys(source, data.into_iter().flat_map(|data| data.keys().map(String::as_str))));
    }
    Ok(names)
}

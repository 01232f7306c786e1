//! Environment variables of Services: those of the virtual cluster, and `KUBERNETES_*`, which
//! leads to its API server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tenet_mapper::translate::env::{Variable, env_from_keys, prepend_service_env, service_env};
use tenet_mapper::{Dependency, Kind, MapError, Object, VirtualKey, kinds, pointer};

use super::{Subject, config, containers};

/// Puts the variables of Services in front of the `env` of every container of a draft.
pub(super) async fn add(pod: &Subject<'_, '_>, draft: &mut Value) -> Result<(), MapError> {
    let variables = variables(pod)?;
    let mut known = BTreeMap::new();
    for container in containers(pod.virt.value()) {
        let from = env_from(pod, &container, &mut known).await?;
        let pointer = format!("{container}/env");
        let own = draft.pointer(&pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let env = prepend_service_env(own, &from, &variables);
        pointer::set(draft, &pointer, Value::Array(env));
    }
    Ok(())
}

fn variables(pod: &Subject<'_, '_>) -> Result<Vec<Variable>, MapError> {
    let api = api(pod)?;
    let links = pod.virt.at("/spec/enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    let linked = if links { pod.cx.list(kinds::SERVICE, pod.virt.namespace()) } else { Vec::new() };
    // The first `default/kubernetes` counts.
    let services = std::iter::once(&api).chain(linked.iter().map(Object::value));
    Ok(service_env(pod.virt.namespace(), services, links))
}

/// `default/kubernetes` as host pods reach it: at the host Service that leads to the virtual
/// API server. The virtual one has the same address, or will have.
fn api(pod: &Subject<'_, '_>) -> Result<Value, MapError> {
    let place = config::api_service(pod.cx)?;
    let key = VirtualKey::new("default", "kubernetes");
    let addressed = |service: &Object| service.str_at("/spec/clusterIP").is_some_and(|address| address != "None");
    let host = pod.cx.host(kinds::SERVICE, &place).filter(addressed);
    let service = host.or_else(|| pod.cx.virt(kinds::SERVICE, &key).filter(addressed));
    let Some(service) = service else { return Err(MapError::not_ready(Dependency::host(kinds::SERVICE, &place))) };
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

/// The keys of the `ConfigMap`s and Secrets that were read.
type Known = BTreeMap<(Kind, String), Vec<String>>;

/// The variables that a container takes from `ConfigMap`s and Secrets: they hide those of
/// Services.
async fn env_from(pod: &Subject<'_, '_>, container: &str, known: &mut Known) -> Result<BTreeSet<String>, MapError> {
    let mut names = BTreeSet::new();
    for source in pod.virt.list_at(&format!("{container}/envFrom")) {
        for (kind, member) in [(kinds::CONFIG_MAP, "configMapRef"), (kinds::SECRET, "secretRef")] {
            let Some(name) = source[member]["name"].as_str().filter(|name| !name.is_empty()) else { continue };
            let entry = (kind, name.to_owned());
            if !known.contains_key(&entry) {
                let object = pod.cx.fetch(kind, &VirtualKey::new(pod.virt.namespace(), name)).await?;
                let data = object.as_ref().and_then(|object| object.at("/data")).and_then(Value::as_object);
                known.insert(entry.clone(), data.into_iter().flat_map(|data| data.keys().cloned()).collect());
            }
            let keys = known.get(&entry).into_iter().flatten().map(String::as_str);
            names.extend(env_from_keys(source, keys));
        }
    }
    Ok(names)
}

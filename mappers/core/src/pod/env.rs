//! Environment variables of Services: containers take them from `ConfigMap`s of the host, in front of their own
//! `envFrom`.

use serde_json::{Value, json};
use tenet_mapper::{ApplyHost, Dependency, Effect, MapError, VirtualKey, kinds, pointer};

use super::{Subject, containers};
use crate::namespace::service_env::{API, hides_api, is_current, of_api, of_namespace};

/// Reason why the variables are not known yet.
pub(super) enum NotYet {
    /// An object must exist first.
    Missing(Dependency),
    /// The name of a `ConfigMap` is taken.
    Taken(MapError),
}

/// Adds the variables to every container of a draft. Returns the writes of `ConfigMap`s that must come before the pod.
pub(super) fn add(pod: &Subject<'_, '_>, draft: &mut Value) -> Result<Vec<Effect>, NotYet> {
    let maps = maps(pod).map_err(NotYet::Missing)?;
    for container in containers(pod.virt.value()) {
        let pointer = format!("{container}/envFrom");
        let own = pointer::get(draft, &pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let of_services = maps.iter().map(|map| json!({"configMapRef": {"name": map.key.name(), "optional": false}}));
        pointer::set(draft, &pointer, of_services.chain(own).collect());
    }
    let mut missing = Vec::new();
    for map in maps {
        if !is_current(pod.cx, &map).map_err(NotYet::Taken)? {
            missing.push(Effect::ApplyHost(Box::new(map)));
        }
    }
    Ok(missing)
}

/// The `ConfigMap`s with what a kubelet of the virtual cluster would set. A later one wins.
fn maps(pod: &Subject<'_, '_>) -> Result<Vec<ApplyHost>, Dependency> {
    let namespace = |name: &str| {
        let key = VirtualKey::new("", name);
        pod.cx.virt(kinds::NAMESPACE, &key).ok_or_else(|| Dependency::virt(kinds::NAMESPACE, &key))
    };
    let has_links = pod.virt.at("/spec/enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    let mut maps = Vec::new();
    if !has_links || !hides_api(pod.cx, pod.virt.namespace()) {
        maps.push(of_api(pod.cx, &namespace(API)?)?);
    }
    if has_links {
        maps.extend(of_namespace(pod.cx, &namespace(pod.virt.namespace())?));
    }
    Ok(maps)
}

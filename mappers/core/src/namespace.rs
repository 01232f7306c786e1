//! Namespaces: none crosses. On the host, one has the variables of its Services, for its pods.
//!
//! A pod brings these `ConfigMap`s with it when it is the first that needs them; this mapper keeps them up to date, for
//! containers that start later, and removes them with the namespace.

pub(crate) mod service_env;

use std::time::Duration;

use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::{Rule, omit, set};
use tenet_mapper::{
    Context, Deletion, Dependency, Effect, HostKey, Input, KeysOf, MapError, Mapper, MapperSpec, Object, Outcome,
    Projection, Right, Side, Verb, VirtualKey, kinds,
};

use crate::service::FOREIGN;

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "the owner record of the ConfigMaps with the variables of its Services names it"),
    omit("spec", "all namespaces of a virtual cluster are in one namespace of the host"),
    omit("status", "all namespaces of a virtual cluster are in one namespace of the host"),
];

/// Time in which changes of Services are collected, so that a burst of them is one write.
const SETTLE: Duration = Duration::from_millis(500);

/// Keeps what the pods of a namespace need on the host.
pub struct NamespaceMapper(MapperSpec);

impl NamespaceMapper {
    /// The mapper of Namespaces.
    pub fn new() -> Self {
        let table = crate::table_with(RULES, &[]);
        let spec = MapperSpec { table: Some(table.into()), ..MapperSpec::new("namespace", kinds::NAMESPACE) }
            .settles(SETTLE)
            .reads(Input::new(Side::Virtual, kinds::NAMESPACE, Projection::Metadata, KeysOf::Own))
            .reads(Input::new(Side::Virtual, kinds::SERVICE, Projection::Whole, KeysOf::With(namespace_of)))
            .reads(Input::new(Side::Host, kinds::SERVICE, FOREIGN, KeysOf::With(api_of_foreign)).foreign())
            .reads(Input::new(
                Side::Host,
                kinds::CONFIG_MAP,
                Projection::Digest(&["data", "binaryData"]),
                KeysOf::Owner,
            ))
            .needs(Right::host(kinds::CONFIG_MAP, Verb::KEEP, "keeps the variables of Services"));
        Self(spec)
    }
}

impl Default for NamespaceMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for NamespaceMapper {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let places = service_env::present(cx, key);
        let Some(namespace) = cx.virt(kinds::NAMESPACE, key) else {
            return Ok(Outcome::done().then_together(places.iter().filter_map(|map| orphan(cx, key, map))));
        };
        let stale: Vec<_> = places.iter().filter(|map| is_of_another(cx, key, map, &namespace)).collect();
        if !stale.is_empty() {
            let gone = stale.iter().filter_map(|map| orphan(cx, key, map));
            let outcome = Outcome::done().then_together(gone);
            return Ok(stale.iter().fold(outcome, |outcome, map| {
                let host_key = HostKey::new(map.namespace(), map.name());
                outcome.wait_for(Dependency::host(kinds::CONFIG_MAP, &host_key))
            }));
        }
        if namespace.is_deleting() {
            return Ok(Outcome::done());
        }
        let kept = service_env::kept(cx, &namespace, &places);
        Ok(Outcome::done().then_together(kept.into_iter().map(|map| Effect::ApplyHost(Box::new(map)))))
    }
}

/// The delete of a `ConfigMap` whose namespace is gone.
fn orphan(cx: &Context<'_>, key: &VirtualKey, map: &Object) -> Option<Effect> {
    cx.owned_by(kinds::NAMESPACE, key, map).ok().filter(|_| !map.is_deleting())?;
    Some(Effect::Delete(Deletion::orphan(kinds::CONFIG_MAP, map, kinds::NAMESPACE)))
}

/// Returns true if a `ConfigMap` belongs to an earlier namespace of this name.
fn is_of_another(cx: &Context<'_>, key: &VirtualKey, map: &Object, namespace: &Object) -> bool {
    cx.owned_by(kinds::NAMESPACE, key, map).is_ok_and(|owner| owner.uid != namespace.uid())
}

fn namespace_of(service: &Object) -> Vec<VirtualKey> {
    vec![VirtualKey::new("", service.namespace())]
}

/// The Service that leads to the virtual API server is one that is not ours.
fn api_of_foreign(service: &Object) -> Vec<VirtualKey> {
    if service.label(MANAGED_BY).is_some() { Vec::new() } else { vec![VirtualKey::new("", service_env::API)] }
}

#[cfg(test)]
mod tests;

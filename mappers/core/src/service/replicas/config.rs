//! The section `replicateServices` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_mapper::VirtualKey;
use tenet_mapper::format::{DnsLabel, ServiceRefText};
use tenet_mapper::translate::ServiceRef;

/// Services that both clusters know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReplicateServices {
    /// Services of the host namespace that are shown inside.
    pub from_host: Vec<FromHost>,
    /// Services inside that have a further name in the host namespace.
    pub to_host: Vec<ToHost>,
}

/// Service of the host that is shown inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FromHost {
    /// Name of a Service in the host namespace.
    #[schemars(with = "DnsLabel")]
    pub from: String,
    /// Virtual Service, as namespace/name.
    #[schemars(with = "ServiceRefText")]
    pub to: ServiceRef,
}

/// Service inside that has a further name on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToHost {
    /// Virtual Service, as namespace/name.
    #[schemars(with = "ServiceRefText")]
    pub from: ServiceRef,
    /// Name of the Service in the host namespace.
    #[schemars(with = "DnsLabel")]
    pub to: String,
}

impl ReplicateServices {
    /// Returns the entry for a virtual Service that shows one of the host.
    pub(super) fn shown_at(&self, key: &VirtualKey) -> Option<&FromHost> {
        self.from_host.iter().find(|entry| key_of(&entry.to) == *key)
    }

    /// Returns the names that a virtual Service has on the host.
    pub(super) fn names_of<'s>(&'s self, key: &'s VirtualKey) -> impl Iterator<Item = &'s str> {
        self.to_host.iter().filter(move |entry| key_of(&entry.from) == *key).map(|entry| entry.to.as_str())
    }
}

pub(super) fn key_of(service: &ServiceRef) -> VirtualKey {
    VirtualKey::new(service.namespace.as_str(), service.name.as_str())
}

//! The section `replicateServices` of the configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_mapper::format::{DnsLabel, HostServiceRefText, ServiceRefText};
use tenet_mapper::translate::{HostServiceRef, ServiceRef};
use tenet_mapper::{Facts, HostKey, VirtualKey};

/// Services that both clusters know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReplicateServices {
    /// Services of the host that are shown inside.
    pub from_host: Vec<FromHost>,
    /// Services inside that have a further name in the host namespace.
    pub to_host: Vec<ToHost>,
}

/// Service of the host that is shown inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FromHost {
    /// Service of the host, as namespace/name, or as a name in the host namespace.
    #[schemars(with = "HostServiceRefText")]
    pub from: HostServiceRef,
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

impl FromHost {
    /// Returns the key of the virtual Service.
    pub(super) fn key(&self) -> VirtualKey {
        key_of(&self.to)
    }

    /// Returns the key of the Service of the host.
    pub(super) fn host_key(&self, facts: &Facts) -> HostKey {
        let own = facts.names.host_namespace(&self.to.namespace);
        HostKey::new(self.from.namespace.as_deref().unwrap_or(own), self.from.name.as_str())
    }
}

impl ReplicateServices {
    /// Returns the entry for a virtual Service that shows one of the host.
    pub(super) fn shown_at(&self, key: &VirtualKey) -> Option<&FromHost> {
        self.from_host.iter().find(|entry| entry.key() == *key)
    }

    /// Returns the keys of the virtual Services that show a Service of the host.
    pub(super) fn showing(&self, facts: &Facts, host: &HostKey) -> Vec<VirtualKey> {
        self.from_host.iter().filter(|entry| entry.host_key(facts) == *host).map(FromHost::key).collect()
    }

    /// Returns the entries by the namespace of their Service of the host.
    pub(super) fn by_namespace(&self, facts: &Facts) -> BTreeMap<String, Vec<&FromHost>> {
        let mut all: BTreeMap<String, Vec<&FromHost>> = BTreeMap::new();
        for entry in &self.from_host {
            all.entry(entry.host_key(facts).namespace().to_owned()).or_default().push(entry);
        }
        all
    }

    /// Returns the names that a virtual Service has on the host.
    pub(super) fn names_of<'s>(&'s self, key: &'s VirtualKey) -> impl Iterator<Item = &'s str> {
        self.to_host.iter().filter(move |entry| key_of(&entry.from) == *key).map(|entry| entry.to.as_str())
    }
}

fn key_of(service: &ServiceRef) -> VirtualKey {
    VirtualKey::new(service.namespace.as_str(), service.name.as_str())
}

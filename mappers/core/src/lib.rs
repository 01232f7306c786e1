//! Built-in mappers: one file per kind, and one explicit list.

mod class;
mod config_map;
mod coredns;
mod endpoint_slice;
mod event;
mod hold;
mod ingress;
mod ingress_class;
#[cfg(test)]
mod laws;
mod namespace;
mod network_policy;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod picture_policy;
mod pod;
mod pod_disruption_budget;
mod priority_class;
mod runtime_class;
mod secret;
mod service;
mod storage_class;
mod volume_snapshot;
mod volume_snapshot_class;

use tenet_mapper::rules::{Action, HEAD, Rule, Table, set};
use tenet_mapper::translate::Wording;
use tenet_mapper::translate::intern::intern_all;
use tenet_mapper::{Context, Kind, Mapper, Object, Projection, Unwanted, VirtualKey};

pub use config_map::ConfigMapMapper;
pub use coredns::{CoreDns, CoreDnsMapper};
pub use endpoint_slice::{EndpointSliceMapper, EndpointSlices};
pub use event::EventMapper;
pub use ingress::Ingresses;
pub use namespace::NamespaceMapper;
pub use network_policy::{NetworkPolicies, NetworkPolicyNotice};
pub use node::{Always, Capacity, NodeMapper, NodeSource, Nodes};
pub use persistent_volume::PersistentVolumeMapper;
pub use persistent_volume_claim::{PersistentVolumeClaimMapper, Storage};
pub use pod::{Dns, HostsFile, Level, Operator, PodMapper, Pods, Preset, TaintEffect, Toleration, Tolerations};
pub use secret::SecretMapper;
pub use service::{FromHost, ReplicateServices, ServiceMapper, ToHost};

/// Every built-in mapper, in the order of their names.
pub fn all() -> Vec<Box<dyn Mapper>> {
    vec![
        Box::new(config_map::mapper()),
        Box::new(CoreDnsMapper::new()),
        Box::new(EndpointSliceMapper::new()),
        Box::new(EventMapper::new()),
        Box::new(ingress::mapper()),
        Box::new(ingress_class::mapper()),
        Box::new(NamespaceMapper::new()),
        Box::new(network_policy::mapper()),
        Box::new(NetworkPolicyNotice::new()),
        Box::new(NodeMapper::new()),
        Box::new(PersistentVolumeMapper::new()),
        Box::new(PersistentVolumeClaimMapper::new()),
        Box::new(PodMapper::new()),
        Box::new(pod_disruption_budget::mapper()),
        Box::new(priority_class::mapper()),
        Box::new(runtime_class::mapper()),
        Box::new(secret::mapper()),
        Box::new(ServiceMapper::new()),
        Box::new(storage_class::mapper()),
        Box::new(volume_snapshot::mapper()),
        Box::new(volume_snapshot_class::mapper()),
    ]
}

/// The head of a table of a kind whose copies are [bare](tenet_mapper::MapperSpec::bare).
const BARE_HEAD: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "carries the host's name and the owner record, and no labels or annotations of the tenant"),
];

/// The table of a kind: the head, and these parts.
fn table(parts: &[(&str, &[Rule])]) -> Table {
    table_with(HEAD, parts)
}

fn table_with(head: &'static [Rule], parts: &[(&str, &[Rule])]) -> Table {
    let parts = [&[("", head)], parts].concat();
    // The tables are constants, and a test builds every one of them.
    Table::new(&parts).expect("the tables do not contradict themselves")
}

/// The projection that keeps the fields which come up by these rules.
fn shown(rules: &[Rule]) -> Projection {
    let up = rules.iter().filter(|rule| rule.action == Action::Up).map(|rule| rule.path);
    Projection::Fields(intern_all(up))
}

/// Fate of a copy of content to which no admitted object refers. One that is not decided yet, or cannot be as its host
/// object has lost its owner record, may run on the host: changes of the content reach it.
fn unwanted_content(cx: &Context<'_>, kind: Kind, virt: &Object) -> Unwanted {
    let is_mentioned = cx.is_mentioned(kind, &VirtualKey::new(virt.namespace(), virt.name()));
    if is_mentioned { Unwanted::Follows } else { Unwanted::Goes }
}

/// The names of a host object and of what is below it, in the words of its original.
fn wording(cx: &Context<'_>, host: &Object, virt: &Object) -> Wording {
    Wording::new(host.namespace(), virt.namespace())
        .named_by(&cx.facts().names)
        .uid(host.uid(), virt.uid())
        .object(host.name(), virt.name())
}

/// The key of a cluster-scoped object of the host that is shown inside under its own name.
fn same_name(host: &Object) -> Vec<VirtualKey> {
    vec![VirtualKey::new("", host.name())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_names_and_every_kind_has_a_table() {
        let mappers = all();
        let names: Vec<_> = mappers.iter().map(|mapper| mapper.spec().id).collect();
        assert!(names.is_sorted(), "{names:?}");
        for mapper in &mappers {
            let is_notice = mapper.spec().stands_in_for.is_some();
            assert!(is_notice || mapper.spec().table.is_some(), "{} has no table", mapper.spec().id);
        }
    }
}

//! Reads of Services of the host that are shown inside, and the rights to show them.

use std::collections::BTreeSet;

use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::{
    Elsewhere, Facts, HostKey, HostScope, Input, KeysOf, Object, Projection, Right, Side, Verb, VirtualKey, kinds,
};

use super::config::{FromHost, ReplicateServices};
use super::picture::SERVICE_NAME;
use crate::service::{FOREIGN, api};

/// Fields of a slice of the host that are shown.
const SLICE: Projection = Projection::Fields(&[
    "addressType",
    "endpoints[].addresses",
    "endpoints[].conditions",
    "endpoints[].hostname",
    "ports",
]);

const WHY: &str = "shows the Services of replicateServices.fromHost";

/// Returns the slices inside, of which those that the syncer has made belong to Services that it shows.
pub(in crate::service) fn slices() -> Input {
    let slices = Input::new(Side::Virtual, kinds::ENDPOINT_SLICE, Projection::Whole, KeysOf::With(key_of_slice));
    slices.selected(crate::endpoint_slice::NOT_FROM_SELECTOR)
}

/// Returns what else showing Services of the host reads at all times.
pub(in crate::service) fn inputs() -> [Input; 2] {
    [
        // Of the host namespace, which has the Service of the virtual API server as well.
        Input::new(Side::Host, kinds::SERVICE, FOREIGN, KeysOf::Configured(keys_of_service)).foreign(),
        Input::new(Side::Virtual, kinds::NAMESPACE, Projection::Metadata, KeysOf::None),
    ]
}

/// Returns what showing Services of the host reads where the configuration says.
pub(in crate::service) fn elsewhere() -> [Elsewhere; 2] {
    [
        Elsewhere::new(kinds::SERVICE, FOREIGN, scopes_of_services, showing, WHY),
        Elsewhere::new(kinds::ENDPOINT_SLICE, SLICE, scopes_of_slices, keys_of_host_slice, WHY),
    ]
}

/// Returns the rights that showing Services of the host needs inside.
pub(in crate::service) fn rights() -> [Right; 2] {
    [Right::virt(kinds::SERVICE, Verb::KEEP, WHY), Right::virt(kinds::ENDPOINT_SLICE, Verb::KEEP, WHY)]
}

/// Returns the Service of a slice that the syncer has made.
fn key_of_slice(slice: &Object) -> Vec<VirtualKey> {
    let name = slice.label(SERVICE_NAME).filter(|_| slice.label(MANAGED_BY).is_some());
    name.map(|name| VirtualKey::new(slice.namespace(), name)).into_iter().collect()
}

fn keys_of_service(facts: &Facts, service: &Object) -> Vec<VirtualKey> {
    let api = (service.name() == facts.api_service).then(api::key);
    showing(facts, service).into_iter().chain(api).collect()
}

fn showing(facts: &Facts, service: &Object) -> Vec<VirtualKey> {
    section(facts).showing(facts, &HostKey::new(service.namespace(), service.name()))
}

fn keys_of_host_slice(facts: &Facts, slice: &Object) -> Vec<VirtualKey> {
    let service = slice.label(SERVICE_NAME).map(|name| HostKey::new(slice.namespace(), name));
    service.map(|service| section(facts).showing(facts, &service)).unwrap_or_default()
}

/// Returns the other namespaces of the host whose Services are listed.
fn scopes_of_services(facts: &Facts) -> Vec<HostScope> {
    let section = section(facts);
    let others = section.by_namespace(facts).into_iter().filter(|(namespace, _)| !is_own(facts, namespace));
    others.map(|(namespace, entries)| HostScope { keys: keys(&entries), ..HostScope::of(namespace) }).collect()
}

/// Returns the slices of the listed Services, in every namespace of the host.
fn scopes_of_slices(facts: &Facts) -> Vec<HostScope> {
    let section = section(facts);
    let scope = |(namespace, entries): (String, Vec<&FromHost>)| {
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.from.name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let selector = Some(format!("{SERVICE_NAME} in ({})", names.join(",")));
        HostScope { selector, keys: keys(&entries), ..HostScope::of(namespace) }
    };
    section.by_namespace(facts).into_iter().map(scope).collect()
}

fn keys(entries: &[&FromHost]) -> Vec<VirtualKey> {
    entries.iter().map(|entry| entry.key()).collect()
}

/// Returns true for the host namespace of the tenant's objects.
pub(super) fn is_own(facts: &Facts, namespace: &str) -> bool {
    facts.names.host_namespace("") == namespace
}

fn section(facts: &Facts) -> std::sync::Arc<ReplicateServices> {
    facts.sections.get()
}

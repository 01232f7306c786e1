//! CoreDNS: the DNS server of the virtual cluster, as ordinary objects of its namespace `kube-system`. Its pods run on
//! the host like those of any tenant.
//!
//! Each object says in an annotation which manifest it was made from. It is written when that differs from the present
//! one: after an upgrade, or after a change of the configuration. The number of replicas and the Corefile belong to the
//! tenant unless the configuration sets them, so a value that the tenant has changed stays.

mod config;
mod manifest;
mod record;

use serde_json::{Value, json};
use tenet_mapper::keys::{MANAGED_BY, MANIFEST};
use tenet_mapper::rules::{Rule, omit, set};
use tenet_mapper::{
    ApplyVirtual, Context, Effect, Input, KeysOf, Kind, MapError, Mapper, MapperSpec, Object, Outcome, Projection,
    Read, Right, Section, Side, Verb, VirtualKey, kinds, pointer,
};

pub use config::CoreDns;
pub(crate) use manifest::PORT;
use manifest::Part;
use record::Record;

use crate::pod::Dns;

/// Deployments, as the API serves them.
pub(crate) const DEPLOYMENT: Kind = Kind::of("apps", "v1", "Deployment", "deployments");

/// Namespace of all namespaced objects of CoreDNS.
pub(crate) const NAMESPACE: &str = "kube-system";
/// Name of the Deployment and its `ConfigMap`.
const NAME: &str = "coredns";
/// Name of the Service, which programs know.
pub(crate) const SERVICE: &str = "kube-dns";

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "kube-system/coredns alone: the digest of the manifest that it was made from"),
    set("spec", "kube-system/coredns alone: the manifest of CoreDNS; no Deployment crosses"),
    omit("status", "belongs to the controllers of the virtual cluster"),
];

/// Keeps CoreDNS in the virtual cluster.
pub struct CoreDnsMapper(MapperSpec);

impl CoreDnsMapper {
    /// The mapper of the Deployment of CoreDNS.
    pub fn new() -> Self {
        let table = crate::table_with(RULES, &[]);
        // Their metadata says all. A Deployment gets a new version with each change of its status.
        let metadata = |kind, keys| Input::new(Side::Virtual, kind, Projection::Fields(&[]), keys);
        let mut spec = MapperSpec { table: Some(table.into()), ..MapperSpec::new("coredns", DEPLOYMENT) }
            .owns(Section::of::<CoreDns>("coredns"))
            .reads(metadata(DEPLOYMENT, KeysOf::With(key_of_part)).selected(MANAGED_BY))
            .reads(metadata(kinds::NAMESPACE, KeysOf::With(key_of_namespace)));
        for kind in [kinds::CONFIG_MAP, kinds::SERVICE] {
            spec = spec.reads(metadata(kind, KeysOf::With(key_of_part)));
        }
        for kind in manifest::KINDS {
            spec = spec.needs(Right::virt(kind, &[Verb::Get, Verb::Create, Verb::Patch], "deploys CoreDNS"));
        }
        // A user can grant only rights that the user has.
        for kind in manifest::READ_BY_COREDNS {
            spec = spec.needs(Right::virt(kind, &[Verb::List, Verb::Watch], "grants CoreDNS the right to read them"));
        }
        Self(spec)
    }
}

impl Default for CoreDnsMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for CoreDnsMapper {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let config = cx.section::<CoreDns>();
        let namespace = cx.virt(kinds::NAMESPACE, &VirtualKey::new("", NAMESPACE));
        if !config.enabled || *key != own_key() || namespace.is_none_or(|namespace| namespace.is_deleting()) {
            return Ok(Outcome::done());
        }
        let mut open = Vec::new();
        for part in manifest::parts(&config, &cx.section::<Dns>().cluster_domain) {
            match cached(cx, &part) {
                Some(found) if cx.facts().has_made(&found) && is_current(&part, &found) => {}
                _ => open.push(part),
            }
        }
        cx.need(open.iter().map(|part| Read::new(part.kind, &part.key)))?;
        let mut effects = Vec::new();
        for part in open {
            match cx.content(part.kind, &part.key)? {
                // A distribution, or the tenant, has installed a DNS server: two of them would share a Service.
                Some(found) if !cx.facts().has_made(&found) => return Ok(Outcome::done()),
                found => effects.extend(effect(part, found.as_ref())),
            }
        }
        Ok(Outcome::done().then_each(effects))
    }
}

fn own_key() -> VirtualKey {
    VirtualKey::new(NAMESPACE, NAME)
}

fn key_of_namespace(namespace: &Object) -> Vec<VirtualKey> {
    if namespace.name() == NAMESPACE { vec![own_key()] } else { Vec::new() }
}

fn key_of_part(object: &Object) -> Vec<VirtualKey> {
    if object.namespace() == NAMESPACE && [NAME, SERVICE].contains(&object.name()) {
        vec![own_key()]
    } else {
        Vec::new()
    }
}

/// Returns the metadata of an object whose kind is watched. The others are read.
fn cached(cx: &Context<'_>, part: &Part) -> Option<Object> {
    let is_watched = [DEPLOYMENT, kinds::CONFIG_MAP, kinds::SERVICE].contains(&part.kind);
    is_watched.then(|| cx.virt(part.kind, &part.key)).flatten()
}

/// Returns true if an object is not to be written: it was made from this manifest, or from a newer one.
fn is_current(part: &Part, found: &Object) -> bool {
    let earlier = Record::read(found);
    found.is_deleting() || earlier.is_some_and(|earlier| earlier.is_newer() || earlier == Record::of(part))
}

/// Returns the write of an object that was made from another manifest.
fn effect(part: Part, found: Option<&Object>) -> Option<Effect> {
    if found.is_some_and(|found| is_current(&part, found)) {
        return None;
    }
    let (record, earlier) = (Record::of(&part), found.and_then(Record::read));
    let mut desired = part.object;
    if let Some(found) = found {
        if let Some((pointer, present)) = part.tenants.and_then(|pointer| Some((pointer, found.at(pointer)?)))
            && earlier.is_some_and(|earlier| earlier.is_changed(present))
        {
            pointer::set(&mut desired, pointer, present.clone());
        }
        if part.kind == kinds::SERVICE {
            keep_allocated(&mut desired, found);
        }
    }
    desired["metadata"]["annotations"][MANIFEST] = json!(record.text());
    Some(Effect::ApplyVirtual(ApplyVirtual { kind: part.kind, key: part.key, desired, adopt: false }))
}

/// Keeps the fields of a Service that the manifest does not have: addresses and their families, which are allocated.
fn keep_allocated(desired: &mut Value, found: &Object) {
    let Some(spec) = desired.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for (field, value) in found.at("/spec").and_then(Value::as_object).into_iter().flatten() {
        spec.entry(field.clone()).or_insert_with(|| value.clone());
    }
}

/// Returns true if the installation promises a DNS Service in the virtual cluster.
pub(crate) fn is_promised(cx: &Context<'_>) -> bool {
    cx.section::<CoreDns>().enabled && cx.virt(kinds::NAMESPACE, &VirtualKey::new("", NAMESPACE)).is_some()
}

#[cfg(test)]
mod tests;

//! `StorageClass`es: a picture of each class of the host that tenants may use. Nothing crosses down: a class that a tenant
//! makes stays inside.

use std::sync::Arc;

use serde_json::{Value, json};
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::{Rule, Table, omit, set, up};
use tenet_mapper::{
    ApplyVirtual, Context, Deletion, Effect, HostKey, Input, KeysOf, Kind, MapError, Mapper, MapperSpec, Object,
    Outcome, Projection, Right, Side, Verb, VirtualKey,
};

use crate::persistent_volume_claim::Storage;

/// `StorageClass`es, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("storage.k8s.io", "v1", "StorageClass", "storageclasses").cluster_scoped();

/// Fields that are read of a class of the host: those that its picture shows.
pub(crate) const FIELDS: &[&str] =
    &["provisioner", "reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion", "allowedTopologies"];

/// The annotation of the class that claims without one get.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "has the name, and the annotation of a default class"),
    up("provisioner"),
    up("reclaimPolicy"),
    up("volumeBindingMode"),
    up("allowVolumeExpansion"),
    up("allowedTopologies"),
    omit("parameters", "name Secrets and settings of the host"),
    omit("mountOptions", "the host mounts the volumes"),
];

/// Shows the `StorageClass`es of the host that tenants may use.
pub struct StorageClassMapper {
    spec: MapperSpec,
    table: Arc<Table>,
}

impl StorageClassMapper {
    /// The mapper of `StorageClass`es.
    pub fn new() -> Self {
        let table = Arc::new(crate::table_with(RULES, &[]));
        let spec = MapperSpec { table: Some(Arc::clone(&table)), ..MapperSpec::new("storage-class", KIND) }
            .reads(Input::new(Side::Virtual, KIND, Projection::Whole, KeysOf::Own))
            .reads(
                Input::new(Side::Host, KIND, Projection::Fields(FIELDS), KeysOf::With(same_name)).foreign().optional(),
            )
            .needs(Right::virt(KIND, Verb::KEEP, "shows the classes that tenants may use"));
        Self { spec, table }
    }
}

impl Default for StorageClassMapper {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns true if claims without a class get this one.
pub(crate) fn is_default(class: &Object) -> bool {
    class.annotation(DEFAULT) == Some("true")
}

fn same_name(host: &Object) -> Vec<VirtualKey> {
    vec![VirtualKey::new("", host.name())]
}

fn picture(table: &Table, host: &Object) -> Value {
    let mut class = table.up(host.value());
    class["apiVersion"] = json!(KIND.api_version());
    class["kind"] = json!(KIND.kind);
    class["metadata"] = json!({"name": host.name(), "annotations": {DEFAULT: is_default(host).to_string()}});
    class
}

impl Mapper for StorageClassMapper {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        if !cx.can_read(Side::Host, KIND) {
            return Ok(Outcome::done());
        }
        let virt = cx.virt(KIND, key);
        let is_ours = virt.as_ref().is_none_or(|virt| virt.label(MANAGED_BY) == Some(&cx.facts().names.cluster));
        let host = cx.host(KIND, &HostKey::new("", key.name()));
        let is_allowed = host.as_ref().is_some_and(|host| cx.section::<Storage>().shows(host));
        match (virt, host) {
            (Some(virt), None) if is_ours && !virt.is_deleting() => {
                Ok(Outcome::one(Effect::Delete(Deletion::picture(KIND, &virt))))
            }
            (_, Some(host)) if is_allowed && is_ours => Ok(Outcome::one(Effect::ApplyVirtual(ApplyVirtual {
                kind: KIND,
                key: key.clone(),
                desired: picture(&self.table, &host),
                adopt: false,
            }))),
            (Some(virt), Some(_)) if is_allowed => {
                Err(MapError::foreign(Side::Virtual, KIND, &virt, format!("it lacks the label {MANAGED_BY}")))
            }
            _ => Ok(Outcome::done()),
        }
    }
}

#[cfg(test)]
mod tests;

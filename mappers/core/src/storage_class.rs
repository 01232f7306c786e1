//! `StorageClass`es: a picture of each class of the host that tenants may use. Nothing crosses down: a class that a tenant
//! makes stays inside.

use serde_json::json;
use tenet_mapper::rules::{Rule, omit, set, up};
use tenet_mapper::{Context, Kind, MapError, Mapper, MapperSpec, Object, Outcome, VirtualKey};

use crate::class_picture::ClassPicture;
use crate::persistent_volume_claim::Storage;

/// `StorageClass`es, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("storage.k8s.io", "v1", "StorageClass", "storageclasses").cluster_scoped();

/// Fields that a picture shows.
pub(crate) const FIELDS: &[&str] =
    &["provisioner", "reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion", "allowedTopologies"];

/// The annotation of the class that claims without one get.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

const PICTURE: ClassPicture = ClassPicture {
    kind: KIND,
    fields: FIELDS,
    is_allowed: |cx, class| cx.section::<Storage>().shows(class),
    annotations: |class| json!({DEFAULT: is_default(class).to_string()}),
};

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
pub struct StorageClassMapper(MapperSpec);

impl StorageClassMapper {
    /// The mapper of `StorageClass`es.
    pub fn new() -> Self {
        let table = crate::table_with(RULES, &[]);
        Self(PICTURE.declare(MapperSpec { table: Some(table.into()), ..MapperSpec::new("storage-class", KIND) }))
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

impl Mapper for StorageClassMapper {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        PICTURE.reconcile(&self.0, cx, key)
    }
}

#[cfg(test)]
mod tests;

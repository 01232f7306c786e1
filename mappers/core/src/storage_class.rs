//! `StorageClass`es: a picture of each class of the host that tenants may use. Nothing crosses down: a class that a
//! tenant makes stays inside.

use tenet_mapper::rules::{Rule, omit, set, up};
use tenet_mapper::{Kind, MapperSpec, Object};

use crate::class::{self, ClassMapper, ClassPicture};
use crate::persistent_volume_claim::Storage;

/// `StorageClass`es, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("storage.k8s.io", "v1", "StorageClass", "storageclasses").cluster_scoped();

/// The annotation of the class that claims without one get.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

const PICTURE: ClassPicture =
    ClassPicture { is_allowed: |cx, class| cx.section::<Storage>().shows(class), default: Some(DEFAULT) };

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
pub(crate) fn mapper() -> ClassMapper {
    ClassMapper::new(MapperSpec::new("storage-class", KIND), RULES, PICTURE)
}

/// Returns true if claims without a class get this one.
pub(crate) fn is_default(class: &Object) -> bool {
    class::is_default(class, DEFAULT)
}

#[cfg(test)]
mod tests;

//! `VolumeSnapshotClass`es: a picture of each class of the host that tenants may use. Nothing crosses down: a class
//! that a tenant makes stays inside.

use tenet_mapper::rules::{Rule, omit, set, up};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::{Context, Kind, MapperSpec, Object};

use crate::class::{self, ClassMapper, ClassPicture};
use crate::persistent_volume_claim::Storage;

/// `VolumeSnapshotClass`es, as the API serves them.
pub(crate) const KIND: Kind =
    Kind::of("snapshot.storage.k8s.io", "v1", "VolumeSnapshotClass", "volumesnapshotclasses").cluster_scoped();

/// Annotation of the class that snapshots without one get.
const DEFAULT: &str = "snapshot.storage.kubernetes.io/is-default-class";

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "has the name, and the annotation of a default class"),
    up("driver"),
    up("deletionPolicy"),
    omit("parameters", "name Secrets and settings of the host"),
];

const PICTURE: ClassPicture = ClassPicture { is_allowed: may_use, default: Some(DEFAULT) };

/// Shows the `VolumeSnapshotClass`es of the host that tenants may use. It is off until the configuration enables it.
pub(crate) fn mapper() -> ClassMapper {
    ClassMapper::new(MapperSpec::new("volume-snapshot-class", KIND).opt_in(), RULES, PICTURE)
}

/// Returns true if tenants may use a class of the host.
fn may_use(cx: &Context<'_>, class: &Object) -> bool {
    is_default(class) || is_named(cx, class.name())
}

/// Returns true if the configuration names a class.
pub(crate) fn is_named(cx: &Context<'_>, name: &str) -> bool {
    Globs::new(&cx.section::<Storage>().snapshot_classes).matches(name)
}

/// Returns true if snapshots without a class get this one.
pub(crate) fn is_default(class: &Object) -> bool {
    class::is_default(class, DEFAULT)
}

#[cfg(test)]
mod tests {
    use tenet_mapper::Side;
    use tenet_mapper::testing::Clusters;

    use super::*;

    const CLASSES: &str = "
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: standard, annotations: {snapshot.storage.kubernetes.io/is-default-class: 'true'}}
driver: disk.example.com
deletionPolicy: Delete
parameters: {csi.storage.k8s.io/snapshotter-secret-name: credentials}
---
{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshotClass, metadata: {name: fast}, driver: a, deletionPolicy: Delete}";

    #[test]
    fn the_default_class_and_those_of_the_configuration_are_shown_without_their_parameters() {
        for (named, expected) in [(vec![], vec!["standard"]), (vec!["f*".to_owned()], vec!["standard", "fast"])] {
            let section = Storage { snapshot_classes: named, ..Storage::default() };
            let mut clusters = Clusters::default().with(Side::Host, CLASSES).section(section);
            let mut shown = Vec::new();
            for name in ["standard", "fast"] {
                shown.extend((clusters.converge(&mapper(), "", name).unwrap() > 0).then_some(name));
            }
            assert_eq!(shown, expected);
            let class = clusters.object(Side::Virtual, KIND, "", "standard").unwrap();
            assert_eq!((class.str_at("/driver"), class.at("/parameters")), (Some("disk.example.com"), None));
            assert_eq!(class.annotation(DEFAULT), Some("true"));
        }
    }
}

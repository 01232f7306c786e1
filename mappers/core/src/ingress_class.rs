//! IngressClasses: a picture of each class of the host, so that an Ingress can name one. Nothing crosses down: a class
//! that a tenant makes stays inside.

use tenet_mapper::rules::{Rule, omit, set, up};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::{Kind, MapperSpec};

use crate::class::{ClassMapper, ClassPicture};
use crate::ingress::Ingresses;

/// IngressClasses, as the API serves them.
const KIND: Kind = Kind::of("networking.k8s.io", "v1", "IngressClass", "ingressclasses").cluster_scoped();

/// Annotation of the class that Ingresses without one get.
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "the name, and the annotation of a default class"),
    up("spec.controller"),
    omit("spec.parameters", "name objects of the host"),
];

const PICTURE: ClassPicture = ClassPicture {
    is_allowed: |cx, class| {
        let classes = &cx.section::<Ingresses>().classes;
        classes.is_empty() || Globs::new(classes).matches(class.name())
    },
    default: Some(DEFAULT),
};

/// Shows the IngressClasses of the host that tenants may use. It is off until the configuration enables it.
pub(crate) fn mapper() -> ClassMapper {
    ClassMapper::new(MapperSpec::new("ingress-class", KIND).opt_in(), RULES, PICTURE)
}

#[cfg(test)]
mod tests;

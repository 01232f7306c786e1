//! IngressClasses: a picture of each class of the host, so that an Ingress can name one. Nothing crosses down: a class that a
//! tenant makes stays inside.

use serde_json::{Value, json};
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::{Rule, omit, set, up};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::{
    ApplyVirtual, Context, Deletion, Effect, HostKey, Input, KeysOf, Kind, MapError, Mapper, MapperSpec, Object,
    Outcome, Projection, Right, Side, Verb, VirtualKey,
};

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

/// Shows the IngressClasses of the host that tenants may use. It is off until the configuration enables it.
pub struct IngressClassMapper(MapperSpec);

impl IngressClassMapper {
    /// The mapper of IngressClasses.
    pub fn new() -> Self {
        let table = crate::table_with(RULES, &[]);
        let fields = Projection::Fields(&["spec.controller"]);
        let spec = MapperSpec { table: Some(table.into()), ..MapperSpec::new("ingress-class", KIND) }
            .opt_in()
            .reads(Input::new(Side::Virtual, KIND, Projection::Whole, KeysOf::Own))
            .reads(Input::new(Side::Host, KIND, fields, KeysOf::With(same_name)).foreign().optional())
            .needs(Right::virt(KIND, Verb::KEEP, "shows the classes of the host"));
        Self(spec)
    }
}

impl Default for IngressClassMapper {
    fn default() -> Self {
        Self::new()
    }
}

/// A change of a class of the host touches the class of that name.
fn same_name(host: &Object) -> Vec<VirtualKey> {
    vec![VirtualKey::new("", host.name())]
}

fn picture(host: &Object) -> Value {
    json!({
        "apiVersion": KIND.api_version(), "kind": KIND.kind,
        "metadata": {
            "name": host.name(),
            "annotations": {DEFAULT: (host.annotation(DEFAULT) == Some("true")).to_string()},
        },
        "spec": {"controller": host.at("/spec/controller").unwrap_or(&Value::Null)},
    })
}

impl Mapper for IngressClassMapper {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        if !cx.can_read(Side::Host, KIND) {
            return Ok(Outcome::done());
        }
        let virt = cx.virt(KIND, key);
        let is_ours = virt.as_ref().is_none_or(|virt| virt.label(MANAGED_BY) == Some(&cx.facts().names.cluster));
        let section = cx.section::<Ingresses>();
        let is_allowed = section.classes.is_empty() || Globs::new(&section.classes).matches(key.name());
        match (virt, cx.host(KIND, &HostKey::new("", key.name()))) {
            (Some(virt), None) if is_ours && !virt.is_deleting() => {
                Ok(Outcome::one(Effect::Delete(Deletion::picture(KIND, &virt))))
            }
            (_, Some(host)) if is_allowed && is_ours => Ok(Outcome::one(Effect::ApplyVirtual(ApplyVirtual {
                kind: KIND,
                key: key.clone(),
                desired: picture(&host),
                adopt: false,
            }))),
            (Some(_), Some(_)) if is_allowed => Err(MapError::Foreign {
                object: format!("{KIND} {key} in the virtual cluster"),
                why: format!("it lacks the label {MANAGED_BY}"),
            }),
            _ => Ok(Outcome::done()),
        }
    }
}

#[cfg(test)]
mod tests;

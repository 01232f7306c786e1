//! Shows the IngressClasses of the host to the tenant, so that an Ingress can name one. Nothing crosses down: a class
//! that the tenant makes stays inside.

use serde_json::{Value, json};
use tenet_mapper::{
    ApplyVirtual, Context, Deletion, Effect, HostKey, Input, KeysOf, Kind, MapError, Mapper, MapperSpec, Object,
    Outcome, Projection, Right, Side, Verb, VirtualKey,
};

/// IngressClasses, as the API serves them.
pub const KIND: Kind = Kind::of("networking.k8s.io", "v1", "IngressClass", "ingressclasses").cluster_scoped();

/// Shows the IngressClasses of the host.
struct IngressClasses(MapperSpec);

/// The mapper, to be added to the list that a syncer starts with.
pub fn mapper() -> Box<dyn Mapper> {
    let spec = MapperSpec::new("ingress-class", KIND)
        .reads(Input::new(Side::Virtual, KIND, Projection::Whole, KeysOf::Own))
        .reads(
            Input::new(Side::Host, KIND, Projection::Fields(&["spec.controller"]), KeysOf::With(same_name)).foreign(),
        )
        .needs(Right::virt(KIND, Verb::KEEP, "shows the classes of the host"));
    Box::new(IngressClasses(spec))
}

/// A change of a class of the host touches the class of that name.
fn same_name(host: &Object) -> Vec<VirtualKey> {
    vec![VirtualKey::new("", host.name())]
}

impl Mapper for IngressClasses {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let virt = cx.virt(KIND, key);
        let is_ours = |virt: &Object| cx.facts().has_made(virt);
        match (virt, cx.host(KIND, &HostKey::new("", key.name()))) {
            (Some(virt), None) if is_ours(&virt) && !virt.is_deleting() => {
                Ok(Outcome::one(Effect::Delete(Deletion::picture(KIND, &virt))))
            }
            (_, None) => Ok(Outcome::done()),
            (Some(virt), Some(_)) if !is_ours(&virt) => Err(MapError::not_made(KIND, &virt)),
            (_, Some(host)) => Ok(Outcome::one(Effect::ApplyVirtual(ApplyVirtual {
                kind: KIND,
                key: key.clone(),
                desired: json!({
                    "apiVersion": KIND.api_version(), "kind": "IngressClass", "metadata": {"name": key.name()},
                    "spec": {"controller": host.at("/spec/controller").unwrap_or(&Value::Null)},
                }),
                adopt: false,
            }))),
        }
    }
}

#[cfg(test)]
mod tests;

//! Pictures of classes: cluster-scoped objects of the host that tenants name in their objects. A picture shows what the
//! tenant must know of a class that the installation allows; a class that a tenant makes stays inside.

use serde_json::{Map, Value, json};
use tenet_mapper::rules::{Action, Rule};
use tenet_mapper::{
    ApplyVirtual, Context, Deletion, Effect, HostKey, Input, KeysOf, MapError, Mapper, MapperSpec, Object, Outcome,
    Projection, Right, Side, Verb, VirtualKey,
};

use crate::picture_policy;

const WHY: &str = "the class is on the host, where its settings are changed. Ask the operator of the host, or make a class of \
                   another name";

/// Choice of the classes that are shown, beside the table.
pub(crate) struct ClassPicture {
    /// Returns true for a class that tenants may use.
    pub(crate) is_allowed: fn(&Context<'_>, &Object) -> bool,
    /// Annotation of the class that objects without one get, if the kind has it.
    pub(crate) default: Option<&'static str>,
}

/// Returns true if a class carries the annotation of a default class.
pub(crate) fn is_default(class: &Object, annotation: &str) -> bool {
    class.annotation(annotation) == Some("true")
}

/// Mapper of a kind of classes. Its table says what a picture shows.
pub(crate) struct ClassMapper {
    spec: MapperSpec,
    picture: ClassPicture,
    /// Name and content of the policy that refuses changes of pictures.
    policy: (String, Value),
}

impl ClassMapper {
    /// Adds the table, the classes of both sides, and the rights to the identity of a mapper.
    pub(crate) fn new(spec: MapperSpec, rules: &'static [Rule], picture: ClassPicture) -> Self {
        let kind = spec.kind;
        let host = Input::new(Side::Host, kind, crate::shown(rules), KeysOf::With(crate::same_name));
        let spec = MapperSpec { table: Some(crate::table_with(rules, &[]).into()), ..spec }
            .reads(Input::new(Side::Virtual, kind, Projection::Whole, KeysOf::Own))
            .reads(host.foreign().optional())
            .needs(Right::virt(kind, Verb::KEEP, "shows the classes that tenants may use"));
        let spec = picture_policy::declare(spec, "refuses changes of classes that the host would not follow");
        let policy = (format!("tenet-{}", kind.plural), unchanged(&spec, rules, picture.default));
        Self { spec, picture, policy }
    }

    fn picture(&self, host: &Object) -> Value {
        let mut class = self.spec.table.as_ref().map(|table| table.up(host.value())).unwrap_or_default();
        class["apiVersion"] = json!(self.spec.kind.api_version());
        class["kind"] = json!(self.spec.kind.kind);
        let annotations = self.picture.default.into_iter();
        let annotations: Map<_, _> =
            annotations.map(|key| (key.to_owned(), json!(is_default(host, key).to_string()))).collect();
        class["metadata"] = json!({"name": host.name(), "annotations": annotations});
        class
    }
}

/// Returns the policy for pictures: nothing that they show may change.
fn unchanged(spec: &MapperSpec, rules: &[Rule], default: Option<&str>) -> Value {
    let shown = rules.iter().filter(|rule| rule.action == Action::Up);
    let mut validations: Vec<_> = shown.map(|rule| picture_policy::unchanged(rule.path, WHY)).collect();
    let mut variables = Vec::new();
    if let Some(annotation) = default {
        for (name, object) in [("default", "object"), ("oldDefault", "oldObject")] {
            let map = format!("{object}.metadata.annotations");
            let value = format!("has({map}) && '{annotation}' in {map} ? {map}['{annotation}'] : ''");
            variables.push(picture_policy::variable(name, &value));
        }
        validations.push(picture_policy::rule("variables.default == variables.oldDefault", WHY));
    }
    picture_policy::spec(spec.kind, &json!(variables), &json!(validations))
}

impl Mapper for ClassMapper {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let kind = self.spec.kind;
        if !cx.can_read(Side::Host, kind) {
            return Ok(Outcome::done());
        }
        let virt = cx.virt(kind, key);
        let is_ours = virt.as_ref().is_none_or(|virt| cx.facts().has_made(virt));
        let host = cx.host(kind, &HostKey::new("", key.name()));
        let is_allowed = host.as_ref().is_some_and(|host| (self.picture.is_allowed)(cx, host));
        match (virt, host) {
            (Some(virt), None) if is_ours && !virt.is_deleting() => {
                Ok(Outcome::one(Effect::Delete(Deletion::picture(kind, &virt))))
            }
            (_, Some(host)) if is_allowed && is_ours => {
                let desired = self.picture(&host);
                let shown = Effect::ApplyVirtual(ApplyVirtual { kind, key: key.clone(), desired, adopt: false });
                let (policy, changes) = picture_policy::keep(cx, &self.policy.0, &self.policy.1);
                Ok(changes.into_iter().fold(Outcome::one(shown).then_together(policy), Outcome::wait_for))
            }
            (Some(virt), Some(_)) if is_allowed => Err(MapError::not_made(kind, &virt)),
            _ => Ok(Outcome::done()),
        }
    }
}

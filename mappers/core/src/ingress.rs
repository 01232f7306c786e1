//! Ingresses: the hosts of a rule reach the outside world, so the configuration says which of them a tenant may claim.

mod alb;
mod annotations;
mod backends;
mod config;
mod named;

use serde_json::Value;
use tenet_mapper::rules::{Refusal, Rule, copy, reference, refuse, up};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::{
    Context, CopyMapper, Dependency, Effect, Event, EventReason, Input, KeysOf, Kind, MapError, Mapper, MapperSpec,
    Object, Outcome, Projection, Side, Translate, kinds, pointer,
};

pub use config::Ingresses;

/// Ingresses, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("networking.k8s.io", "v1", "Ingress", "ingresses");

const TOP: &[Rule] = &[copy("spec.ingressClassName").kept(), up("status")];

const RULE: &[Rule] = &[copy("host").kept(), copy("http.paths[].path").kept(), copy("http.paths[].pathType").kept()];

const BACKEND: &[Rule] = &[
    reference("service.name", kinds::SERVICE.group_kind()).kept(),
    copy("service.port.number").kept(),
    copy("service.port.name").kept(),
    refuse("resource", "names an object of a kind that the syncer does not know"),
];

const TLS: &[Rule] = &[copy("hosts[]").kept(), reference("secretName", kinds::SECRET.group_kind()).kept()];

/// Translation of an Ingress for the host.
struct Translation(MapperSpec);

/// The mapper of Ingresses. It is off until the configuration enables it.
pub(crate) fn mapper() -> impl Mapper {
    let table = crate::table(&[
        ("", TOP),
        ("spec.defaultBackend", BACKEND),
        ("spec.rules[]", RULE),
        ("spec.rules[].http.paths[].backend", BACKEND),
        ("spec.tls[]", TLS),
    ]);
    let in_annotations = [kinds::SECRET, kinds::CONFIG_MAP].map(|kind| kind.group_kind());
    let spec = MapperSpec::both_sides("ingress", KIND, table)
        .opt_in()
        .section::<Ingresses>("ingresses")
        .also_refers(in_annotations.to_vec(), named::references)
        .reads(Input::new(Side::Virtual, kinds::SERVICE, Projection::Fields(&["spec.type"]), KeysOf::None));
    CopyMapper::new(Translation(spec))
}

impl Translate for Translation {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    /// Refuses what the configuration does not permit.
    fn complete(
        &self,
        cx: &Context<'_>,
        virt: &Object,
        _: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        annotations::name_class(virt, &mut draft);
        let mut refusals = annotations::refusals(cx, virt);
        refusals.extend(named::translate(cx, virt, &mut draft));
        refusals.extend(alb::translate(cx, virt, &mut draft));
        refusals.extend(claims(&cx.section::<Ingresses>(), virt, &draft));
        if refusals.is_empty() { Ok(draft) } else { Err(MapError::Refused(refusals)) }
    }

    /// Tells what does not cross, and waits for the Services, whose types decide a part of it.
    fn also(&self, cx: &Context<'_>, virt: &Object, outcome: Outcome) -> Outcome {
        let degraded = |message| Effect::Emit(Event::warning(KIND, virt, EventReason::Degraded, message));
        let told = annotations::message(cx, virt).into_iter().chain(backends::messages(cx, virt)).map(degraded);
        let services = backends::services(virt).into_iter().map(|service| Dependency::virt(kinds::SERVICE, &service));
        services.fold(outcome.then_each(told), Outcome::wait_for)
    }
}

/// Returns the claims of an Ingress that the configuration does not permit.
fn claims(section: &Ingresses, virt: &Object, draft: &Value) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |at: &str, why: &str| refusals.push(Refusal { field: pointer::field(at), why: why.to_owned() });
    if draft["spec"].get("defaultBackend").is_some() && !section.allow_default_backend {
        refuse("/spec/defaultBackend", "takes the requests of others; see ingresses.allowDefaultBackend");
    }
    let allowed = Globs::new(&section.classes);
    for (at, _) in annotations::classes(draft).into_iter().filter(|(_, class)| !allowed.matches(class)) {
        if !allowed.is_empty() {
            refuse(at, "is not among ingresses.classes");
        }
    }
    let globs = Globs::new(&section.hosts);
    for host in hosts(virt) {
        match virt.str_at(&host).filter(|name| !name.is_empty()) {
            Some(name) if globs.matches(name) => {}
            Some(_) => refuse(&host, "matches none of ingresses.hosts"),
            None if section.allow_any_host => {}
            None => refuse(&host, "is not set, so it takes the requests of others; see ingresses.allowAnyHost"),
        }
    }
    refusals
}

/// Returns the fields with hosts: one in each rule, and those of each certificate.
fn hosts(virt: &Object) -> Vec<String> {
    let mut hosts: Vec<_> =
        pointer::elements(virt.value(), "/spec/rules").into_iter().map(|rule| format!("{rule}/host")).collect();
    for tls in pointer::elements(virt.value(), "/spec/tls") {
        let list = format!("{tls}/hosts");
        let named = pointer::elements(virt.value(), &list);
        hosts.extend(if named.is_empty() { vec![list] } else { named });
    }
    hosts
}

#[cfg(test)]
mod tests;

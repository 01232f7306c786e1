//! Carries Ingresses to the host. The hosts of a rule reach the outside world, so the configuration says which of them
//! a tenant may claim.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenet_mapper::rules::{HEAD, Refusal, Rule, Table, TableError, copy, reference, refuse, up};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::{Context, CopyMapper, Kind, MapError, Mapper, MapperSpec, Object, Translate, kinds, pointer};

/// Ingresses, as the API serves them.
pub const KIND: Kind = Kind::of("networking.k8s.io", "v1", "Ingress", "ingresses");

const TOP: &[Rule] = &[copy("spec.ingressClassName").kept(), up("status")];

const RULE: &[Rule] = &[copy("host").kept(), copy("http.paths[].path").kept(), copy("http.paths[].pathType").kept()];

const BACKEND: &[Rule] = &[
    reference("service.name", kinds::SERVICE.group_kind()).kept(),
    copy("service.port.number").kept(),
    copy("service.port.name").kept(),
    refuse("resource", "names an object of a kind that the syncer does not know"),
];

const TLS: &[Rule] = &[copy("hosts[]").kept(), reference("secretName", kinds::SECRET.group_kind()).kept()];

/// The configuration section `ingresses`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Section {
    /// Globs of host names that Ingresses may claim.
    hosts: Vec<String>,
    /// Permits rules without a host, which take the requests for all hosts.
    allow_any_host: bool,
    /// Permits a default backend, which takes the requests that no rule takes.
    allow_default_backend: bool,
}

/// Translation of an Ingress for the host.
struct Ingresses(MapperSpec);

/// The mapper, to be added to the list that a syncer starts with.
pub fn mapper() -> Result<Box<dyn Mapper>, TableError> {
    let table = Table::new(&[
        ("", HEAD),
        ("", TOP),
        ("spec.defaultBackend", BACKEND),
        ("spec.rules[]", RULE),
        ("spec.rules[].http.paths[].backend", BACKEND),
        ("spec.tls[]", TLS),
    ])?;
    let spec = MapperSpec::both_sides("ingress", KIND, table).section::<Section>("ingresses");
    Ok(Box::new(CopyMapper::new(Ingresses(spec))))
}

impl Translate for Ingresses {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    /// Refuses what the configuration does not permit.
    fn complete(&self, cx: &Context<'_>, virt: &Object, _: Option<&Object>, draft: Value) -> Result<Value, MapError> {
        let section = cx.section::<Section>();
        let mut refusals = Vec::new();
        let mut refuse =
            |at: &str, why: &str| refusals.push(Refusal { field: pointer::field(at), why: why.to_owned() });
        if draft["spec"].get("defaultBackend").is_some() && !section.allow_default_backend {
            refuse("/spec/defaultBackend", "takes the requests of others; see ingresses.allowDefaultBackend");
        }
        let globs = Globs::new(&section.hosts);
        for host in hosts(virt) {
            match virt.str_at(&host) {
                Some(name) if globs.matches(name) => {}
                Some(_) => refuse(&host, "matches none of ingresses.hosts"),
                None if section.allow_any_host => {}
                None => refuse(&host, "is not set, so it takes the requests of others; see ingresses.allowAnyHost"),
            }
        }
        if refusals.is_empty() { Ok(draft) } else { Err(MapError::Refused(refusals)) }
    }
}

/// Fields with hosts: one in each rule, and those of each certificate.
fn hosts(virt: &Object) -> Vec<String> {
    let mut hosts = Vec::new();
    for rule in pointer::elements(virt.value(), "/spec/rules") {
        hosts.push(format!("{rule}/host"));
    }
    for tls in pointer::elements(virt.value(), "/spec/tls") {
        let list = format!("{tls}/hosts");
        let named = pointer::elements(virt.value(), &list);
        hosts.extend(if named.is_empty() { vec![list] } else { named });
    }
    hosts
}

#[cfg(test)]
mod tests;

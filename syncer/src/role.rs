//! The Role of a syncer, generated from the rights that its parts declare.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use tenet_config::{Config, Overrides};
use tenet_mapper::translate::own_objects;
use tenet_mapper::{Mapper, Right, Side, Verb, kinds};

use crate::claim;
use crate::mappers::enabled;
use crate::settings::Settings;
use crate::{Args, Sockets, lease};

/// A right, and the part of the syncer that needs it.
#[derive(Clone, Debug)]
pub struct Need {
    /// The part: the name of a mapper, or `kubelet`.
    pub by: &'static str,
    /// The right.
    pub right: Right,
}

/// The rights of the engine, of the claim, of the sockets, of the mappers that run, and of
/// the lease.
pub fn needs(config: &Config, mappers: &[Box<dyn Mapper>], sockets: &impl Sockets) -> Vec<Need> {
    let enabled = enabled(&config.kinds, mappers);
    let specs = mappers.iter().map(|mapper| mapper.spec()).filter(|spec| enabled.contains(&spec.id));
    // The sections of a configuration were checked when it was loaded.
    let facts = Settings::of(mappers).and_then(|settings| settings.facts(config, "", "")).ok();
    let of_mappers = specs.flat_map(|spec| {
        let elsewhere = facts.iter().flat_map(move |facts| spec.rights_elsewhere(facts));
        let rights = spec.rights().into_iter().chain(elsewhere);
        rights.map(|right| Need { by: spec.id.as_str(), right })
    });
    let of_claim = claim::rights().into_iter().map(|right| Need { by: "claim", right });
    let of_engine = of_engine().into_iter().map(|right| Need { by: "engine", right });
    of_engine.chain(of_claim).chain(of_mappers).chain(sockets.rights(config)).chain(lease::needs(config)).collect()
}

/// The rights of the engine itself. On the host it needs none: there it watches and writes for mappers alone.
fn of_engine() -> Vec<Right> {
    use Verb::{Create, Get, Patch};
    vec![
        Right::virt(kinds::NAMESPACE, &[Get], "identifies the virtual cluster"),
        Right::virt(kinds::EVENT, &[Get, Create, Patch], "tells the tenant what does not cross"),
    ]
}

/// The documents that the command line asks for, one after the other.
pub(crate) fn print(args: &Args, mappers: &[Box<dyn Mapper>], sockets: &impl Sockets) -> anyhow::Result<String> {
    let settings = Settings::of(mappers)?;
    let config = Config::load_knowing(args.config.as_deref(), &args.overrides(), settings.known())?;
    let needs = needs(&config, mappers, sockets);
    let roles = if args.print_role { roles(&config, &needs) } else { Vec::new() };
    let cluster_role = if args.print_cluster_role { cluster_role(&config, &needs) } else { None };
    let virtual_role = args.print_virtual_role.then(|| virtual_role(&config, &needs));
    Ok(roles.into_iter().chain(cluster_role).chain(virtual_role).collect::<Vec<_>>().join("---\n"))
}

/// The Roles and the `ClusterRole` on the host, as YAML, of a configuration that is given as text.
pub fn host_documents(yaml: &str, mappers: &[Box<dyn Mapper>], sockets: &impl Sockets) -> anyhow::Result<String> {
    let settings = Settings::of(mappers)?;
    let config = Config::from_yaml_knowing(yaml, &Overrides::default(), settings.known())?;
    let needs = needs(&config, mappers, sockets);
    Ok(roles(&config, &needs).into_iter().chain(cluster_role(&config, &needs)).collect::<Vec<_>>().join("---\n"))
}

/// The Role in the host namespace, and one in each other namespace that the configuration lists.
fn roles(config: &Config, needs: &[Need]) -> Vec<String> {
    std::iter::once(role(config, needs)).chain(roles_elsewhere(config, needs)).collect()
}

/// The Roles in other namespaces of the host: the rights to read what the configuration lists there, all of which are
/// optional. Their name has that of the host namespace, as two virtual clusters of one name may read there.
pub fn roles_elsewhere(config: &Config, needs: &[Need]) -> Vec<String> {
    let name = own_objects::host_cluster_role(&config.host.namespace, &config.name);
    let namespaces: BTreeSet<_> = on_host(needs).filter_map(|need| need.right.namespace.as_deref()).collect();
    let role = |namespace: &str| {
        let mut text = head("Role", &name, Some(namespace));
        write_rules(&mut text, on_host(needs).filter(|need| need.right.namespace.as_deref() == Some(namespace)));
        text
    };
    namespaces.into_iter().map(role).collect()
}

/// The Role in the host namespace: all that a syncer with this configuration needs, and the
/// optional rights that reach no further.
pub fn role(config: &Config, needs: &[Need]) -> String {
    let mut text = head("Role", &own_objects::host_role(&config.name), Some(&config.host.namespace));
    let is_own = |right: &Right| !right.is_cluster_scoped() && right.namespace.is_none();
    write_rules(&mut text, on_host(needs).filter(|need| is_own(&need.right)));
    text
}

/// The `ClusterRole` on the host: the rights that reach beyond the host namespace, all of which are
/// optional. `None` when there are none.
pub fn cluster_role(config: &Config, needs: &[Need]) -> Option<String> {
    let mut wide = on_host(needs).filter(|need| need.right.is_cluster_scoped()).peekable();
    wide.peek()?;
    let name = own_objects::host_cluster_role(&config.host.namespace, &config.name);
    let mut text = head("ClusterRole", &name, None);
    write_rules(&mut text, wide);
    Some(text)
}

/// The `ClusterRole` in the virtual cluster: all that a syncer with this configuration asks of it.
pub fn virtual_role(config: &Config, needs: &[Need]) -> String {
    let mut text = head("ClusterRole", &own_objects::virtual_cluster_role(&config.name), None);
    write_rules(&mut text, needs.iter().filter(|need| need.right.side == Side::Virtual));
    text
}

fn on_host(needs: &[Need]) -> impl Iterator<Item = &Need> {
    needs.iter().filter(|need| need.right.side == Side::Host)
}

fn head(kind: &str, name: &str, namespace: Option<&str>) -> String {
    let mut text = format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n");
    if let Some(namespace) = namespace {
        // A namespace may be called `123`.
        let _ = writeln!(text, "  namespace: {namespace:?}");
    }
    text.push_str("rules:\n");
    text
}

/// One rule of a Role.
#[derive(Default)]
struct Rule<'c> {
    verbs: BTreeSet<Verb>,
    /// The reasons of each part.
    why: BTreeMap<String, BTreeSet<&'c str>>,
}

/// Writes one rule for each resource, below a comment for each part that needs it.
fn write_rules<'c>(text: &mut String, needs: impl Iterator<Item = &'c Need>) {
    let mut rules: BTreeMap<(String, String), Rule<'_>> = BTreeMap::new();
    for Need { by, right } in needs {
        let rule = rules.entry((right.group().to_owned(), right.resource())).or_default();
        rule.verbs.extend(&right.verbs);
        let by = if right.optional { format!("{by}, optional") } else { (*by).to_owned() };
        rule.why.entry(by).or_default().insert(&right.why);
    }
    for ((group, resource), Rule { verbs, why }) in rules {
        for (by, why) in why {
            let why: Vec<_> = why.into_iter().collect();
            let _ = writeln!(text, "  # {by}: {}", why.join("; "));
        }
        let verbs: Vec<_> = verbs.into_iter().map(Verb::as_str).collect();
        let verbs = verbs.join(", ");
        let _ = writeln!(text, "  - apiGroups: [{group:?}]\n    resources: [{resource}]\n    verbs: [{verbs}]");
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::Kind;

    use super::*;

    const POLICY: Kind = Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");

    fn config() -> Config {
        let text = "name: vc-1\nhost: { namespace: '123' }\nvirtual: { kubeconfig: /virtual }\n";
        Config::from_yaml(text, &Overrides::default()).unwrap()
    }

    fn needs() -> Vec<Need> {
        vec![
            Need { by: "pod", right: Right::host(kinds::POD, &[Verb::Patch], "resizes running pods").on("resize") },
            Need { by: "budget", right: Right::host(POLICY, Verb::READ, "reads them") },
            Need { by: "budget", right: Right::host(POLICY, Verb::KEEP, "keeps the copies") },
            Need { by: "node", right: Right::host(POLICY, &[Verb::List], "counts them").optional() },
            Need { by: "node", right: Right::host(kinds::NODE, Verb::READ, "reads them").optional() },
            Need { by: "pod", right: Right::virt(kinds::POD, &[Verb::Create], "binds pods").on("binding") },
        ]
    }

    #[test]
    fn one_rule_for_each_resource_says_who_needs_it_and_why() {
        assert_eq!(
            role(&config(), &needs()),
            "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: tenet-syncer-vc-1
  namespace: \"123\"
rules:
  # pod: resizes running pods
  - apiGroups: [\"\"]
    resources: [pods/resize]
    verbs: [patch]
  # budget: keeps the copies; reads them
  # node, optional: counts them
  - apiGroups: [\"policy\"]
    resources: [poddisruptionbudgets]
    verbs: [get, list, watch, create, patch, delete]
"
        );
    }

    #[test]
    fn the_rights_inside_stand_in_a_role_of_their_own() {
        let text = virtual_role(&config(), &needs());
        let rule = "  # pod: binds pods\n  - apiGroups: [\"\"]\n    resources: [pods/binding]\n    verbs: [create]\n";
        assert!(text.contains("name: tenet-syncer:vc-1\nrules:\n") && text.ends_with(rule), "{text}");
        assert_eq!(text.matches("apiGroups").count(), 1, "nothing of the host: {text}");
    }

    #[test]
    fn what_is_read_in_another_namespace_stands_in_a_role_there() {
        let elsewhere = Right::host(kinds::SERVICE, Verb::READ, "shows them").in_namespace("shared").optional();
        let needs = [needs(), vec![Need { by: "service", right: elsewhere }]].concat();
        assert!(!role(&config(), &needs).contains("services"));
        assert_eq!(
            roles_elsewhere(&config(), &needs),
            ["apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: tenet-syncer:123:vc-1
  namespace: \"shared\"
rules:
  # service, optional: shows them
  - apiGroups: [\"\"]
    resources: [services]
    verbs: [get, list, watch]
"]
        );
    }

    #[test]
    fn what_reaches_beyond_the_namespace_stands_in_a_cluster_role() {
        let text = cluster_role(&config(), &needs()).unwrap();
        assert!(text.contains("name: tenet-syncer:123:vc-1\nrules:\n  # node, optional: reads them\n"), "{text}");
        assert!(text.ends_with("resources: [nodes]\n    verbs: [get, list, watch]\n"), "{text}");
        assert_eq!(cluster_role(&config(), &needs()[..4]), None);
    }
}

//! Carries NetworkPolicies to the host, where the pods of all virtual namespaces stand side by side: every selector is
//! narrowed to the pods of the virtual cluster in the namespaces that the tenant meant.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenet_mapper::rules::{HEAD, Refusal, Rule, SelectorForm, Table, TableError, copy, omit, selector, set};
use tenet_mapper::translate::selectors::select_pods;
use tenet_mapper::{Context, CopyMapper, Kind, MapError, Mapper, MapperSpec, Object, Translate, pointer};

/// NetworkPolicies, as the API serves them.
pub const KIND: Kind = Kind::of("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");

const SPEC: &[Rule] = &[selector("podSelector", SelectorForm::Labels).kept(), copy("policyTypes[]").kept()];

const PORTS: &[Rule] = &[copy("ports[].protocol").kept(), copy("ports[].port").kept(), copy("ports[].endPort").kept()];

const PEER: &[Rule] = &[
    set("podSelector", "narrowed to the namespaces that the peer means").kept(),
    omit("namespaceSelector", "becomes a part of podSelector: on the host there is one namespace"),
    copy("ipBlock.cidr").kept(),
    copy("ipBlock.except[]").kept(),
];

/// The configuration section `networkPolicies`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Section {
    /// Ranges of addresses that an `ipBlock` must lie in.
    #[schemars(with = "Vec<String>")]
    allow_ip_blocks: Vec<IpNet>,
    /// Permits rules without peers, which mean all addresses.
    allow_any_peer: bool,
}

/// Translation of a NetworkPolicy for the host.
struct NetworkPolicies(MapperSpec);

/// The mapper, to be added to the list that a syncer starts with.
pub fn mapper() -> Result<Box<dyn Mapper>, TableError> {
    let table = Table::new(&[
        ("", HEAD),
        ("spec", SPEC),
        ("spec.ingress[]", PORTS),
        ("spec.ingress[].from[]", PEER),
        ("spec.egress[]", PORTS),
        ("spec.egress[].to[]", PEER),
    ])?;
    let spec = MapperSpec::both_sides("network-policy", KIND, table).section::<Section>("networkPolicies");
    Ok(Box::new(CopyMapper::new(NetworkPolicies(spec))))
}

impl Translate for NetworkPolicies {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    /// Adds the peers that are selectors; an `ipBlock` is in the draft already.
    fn complete(
        &self,
        cx: &Context<'_>,
        virt: &Object,
        _: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        let section = cx.section::<Section>();
        let scope = cx.scope(virt.namespace());
        // Without a selector the policy would be for all pods of the host namespace.
        if draft["spec"].get("podSelector").is_none() {
            let own = select_pods(None, None, scope);
            draft["spec"]["podSelector"] =
                own.map_err(|error| MapError::refused("spec.podSelector", error.to_string()))?;
        }
        let mut refusals = Vec::new();
        let mut refuse = |at: &str, why: String| refusals.push(Refusal { field: pointer::field(at), why });
        for (list, peers) in [("/spec/ingress", "from"), ("/spec/egress", "to")] {
            for rule in pointer::elements(virt.value(), list) {
                let list = format!("{rule}/{peers}");
                let peers = pointer::elements(virt.value(), &list);
                if peers.is_empty() && !section.allow_any_peer {
                    refuse(&list, "no peers are all addresses; see networkPolicies.allowAnyPeer".to_owned());
                }
                for at in peers {
                    let peer = virt.at(&at).unwrap_or(&Value::Null);
                    match peer.get("ipBlock").filter(|block| !block.is_null()) {
                        Some(block) if section.allows(block) => {}
                        Some(_) => refuse(&at, "ipBlock is in none of networkPolicies.allowIpBlocks".to_owned()),
                        None => match select_pods(peer.get("podSelector"), peer.get("namespaceSelector"), scope) {
                            Ok(pods) => pointer::set(&mut draft, &format!("{at}/podSelector"), pods),
                            Err(error) => refuse(&at, error.to_string()),
                        },
                    }
                }
            }
        }
        if refusals.is_empty() { Ok(draft) } else { Err(MapError::Refused(refusals)) }
    }
}

impl Section {
    fn allows(&self, block: &Value) -> bool {
        let range = block["cidr"].as_str().and_then(|range| range.parse::<IpNet>().ok());
        range.is_some_and(|range| self.allow_ip_blocks.iter().any(|allowed| allowed.contains(&range)))
    }
}

#[cfg(test)]
mod tests;

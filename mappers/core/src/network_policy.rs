//! NetworkPolicies: on the host, where the pods of all virtual namespaces are in one namespace, every selector is
//! narrowed to the pods of the virtual cluster in the namespaces that the tenant meant.

mod config;
mod dns;
mod notice;
mod peers;

use serde_json::Value;
use tenet_mapper::rules::{Refusal, Rule, SelectorForm, copy, omit, selector, set};
use tenet_mapper::translate::selectors::select_pods;
use tenet_mapper::{
    Context, CopyMapper, Dependency, Input, KeysOf, Kind, MapError, Mapper, MapperSpec, Object, Outcome, Projection,
    Side, Translate, kinds, pointer,
};

pub use config::NetworkPolicies;
pub use notice::NetworkPolicyNotice;

/// NetworkPolicies, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");

/// Name of the mapper.
pub(crate) const ID: &str = "network-policy";

const SPEC: &[Rule] = &[selector("podSelector", SelectorForm::Labels).kept(), copy("policyTypes[]").kept()];

const PORTS: &[Rule] = &[copy("ports[].protocol").kept(), copy("ports[].port").kept(), copy("ports[].endPort").kept()];

const PEER: &[Rule] = &[
    set("podSelector", "narrowed to the namespaces that the peer means").kept(),
    omit("namespaceSelector", "becomes a part of podSelector: on the host there is one namespace"),
    copy("ipBlock.cidr").kept(),
    copy("ipBlock.except[]").kept(),
];

/// Translation of a NetworkPolicy for the host.
struct Policies(MapperSpec);

/// The mapper of NetworkPolicies. It is off until the configuration enables it: the host enforces them only if its
/// network does.
pub(crate) fn mapper() -> impl Mapper {
    let table = crate::table(&[
        ("spec", SPEC),
        ("spec.ingress[]", PORTS),
        ("spec.ingress[].from[]", PEER),
        ("spec.egress[]", PORTS),
        ("spec.egress[].to[]", PEER),
    ]);
    let spec = MapperSpec::both_sides(ID, KIND, table)
        .opt_in()
        .section::<NetworkPolicies>("networkPolicies")
        .reads(Input::new(Side::Virtual, kinds::NAMESPACE, Projection::Metadata, KeysOf::None));
    CopyMapper::new(Policies(spec))
}

impl Translate for Policies {
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
        let section = cx.section::<NetworkPolicies>();
        let scope = cx.scope(virt.namespace());
        // Without a selector the policy would be for all pods of the host namespace.
        if draft["spec"].get("podSelector").is_none() {
            let own = select_pods(None, None, scope);
            draft["spec"]["podSelector"] =
                own.map_err(|error| MapError::refused("spec.podSelector", error.to_string()))?;
        }
        let mut refusals = Vec::new();
        let mut refuse = |at: &str, why: String| refusals.push(Refusal { field: pointer::field(at), why });
        for list in peers::lists(virt.value()) {
            let all = pointer::elements(virt.value(), &list);
            if all.is_empty() && !section.allow_any_peer {
                refuse(&list, "no peers are all addresses; see networkPolicies.allowAnyPeer".to_owned());
            }
            for at in all {
                let peer = virt.at(&at).unwrap_or(&Value::Null);
                match peer.get("ipBlock").filter(|block| !block.is_null()) {
                    Some(block) if section.allows(block) => {}
                    Some(_) => refuse(&at, "ipBlock is in none of networkPolicies.allowIpBlocks".to_owned()),
                    // Without a selector it would be narrowed to a namespace that the tenant did not name.
                    None if peers::is_empty(peer) => refuse(&at, "names no peer".to_owned()),
                    None => {
                        let namespaces = peers::listed(cx, peer.get("namespaceSelector"));
                        match select_pods(peer.get("podSelector"), namespaces.as_ref(), scope) {
                            Ok(pods) => pointer::set(&mut draft, &format!("{at}/podSelector"), pods),
                            Err(error) => refuse(&at, error.to_string()),
                        }
                    }
                }
            }
        }
        if !refusals.is_empty() {
            return Err(MapError::Refused(refusals));
        }
        dns::add(cx, virt, scope, &mut draft).map_err(|error| MapError::refused("spec.egress", error.to_string()))?;
        Ok(draft)
    }

    /// Waits for namespaces, if their labels decide about the peers.
    fn also(&self, _: &Context<'_>, virt: &Object, outcome: Outcome) -> Outcome {
        if peers::depend_on_labels(virt) {
            return outcome.wait_for(Dependency::Any(Side::Virtual, kinds::NAMESPACE));
        }
        outcome
    }
}

#[cfg(test)]
mod tests;

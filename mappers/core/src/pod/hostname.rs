//! Hostname of a pod: on the host as a kubelet of the virtual cluster would set it.
//!
//! `spec.hostname` takes no dots, and the long name of a host pod would be the host's, so a hostname with dots crosses as
//! `hostnameOverride`. A host that does not serve that field leaves the short name.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::names::hostname;
use tenet_mapper::{Object, pointer};

use super::config::Dns;
use super::{Subject, security};

/// Longest hostname of a Linux node.
const LONGEST: usize = 64;
/// Length to which a kubelet cuts the name of a pod.
const CUT: usize = 63;

const LONG: &str = "spec.setHostnameAsFQDN";

/// Sets the hostname. A long name that no node can set is refused: a kubelet does not start such a pod.
pub(super) fn set(pod: &Subject<'_, '_>, draft: &mut Value) -> Option<Refusal> {
    // A pod on its node's network has the hostname of the node.
    if security::is_on_host_network(pod.virt) {
        return None;
    }
    let own = pod.virt.str_at("/spec/hostname").filter(|own| !own.is_empty());
    let label = own.map_or_else(|| hostname(pod.virt.name()), str::to_owned);
    pointer::set(draft, "/spec/hostname", json!(label));
    let is_long = pod.virt.at("/spec/setHostnameAsFQDN") == Some(&json!(true));
    if pod.virt.at("/spec/hostnameOverride").is_some_and(|name| !name.is_null()) {
        return None;
    }
    let short = own.map_or_else(|| cut(pod.virt.name()), str::to_owned);
    let wanted = if is_long { long(pod.virt, &short, &pod.cx.section::<Dns>().cluster_domain) } else { short };
    if wanted.len() > LONGEST {
        let why = format!("{wanted} has more than {LONGEST} characters, which no node can set");
        return Some(Refusal { field: LONG.to_owned(), why });
    }
    if wanted.contains('.') {
        pointer::set(draft, "/spec/hostnameOverride", json!(wanted));
    }
    None
}

/// Returns the long name of a pod. Without a subdomain there is none.
fn long(virt: &Object, short: &str, domain: &str) -> String {
    match virt.str_at("/spec/subdomain").filter(|subdomain| !subdomain.is_empty()) {
        Some(subdomain) => format!("{short}.{subdomain}.{}.svc.{domain}", virt.namespace()),
        None => short.to_owned(),
    }
}

/// Cuts the name of a pod as a kubelet does.
fn cut(name: &str) -> String {
    let cut: String = name.chars().take(CUT).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

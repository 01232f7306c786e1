//! Hostname of a pod: on the host as a kubelet of the virtual cluster would set it.
//!
//! `spec.hostname` takes no dots, and the long name of a host pod would be the host's, so a hostname with dots crosses
//! as `hostnameOverride`. A host that does not serve that field leaves the short name.

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

const OVERRIDE: &str = "/spec/hostnameOverride";

const LONG: &str = "spec.setHostnameAsFQDN";

/// Sets the hostname. A long name that no node can set is refused: a kubelet does not start such a pod.
pub(super) fn set(pod: &Subject<'_, '_>, draft: &mut Value) -> Option<Refusal> {
    // A pod on its node's network has the hostname of the node.
    if security::is_on_host_network(pod.virt) {
        return None;
    }
    let label = own(pod.virt).map_or_else(|| hostname(pod.virt.name()), str::to_owned);
    pointer::set(draft, "/spec/hostname", json!(label));
    let wanted = wanted(pod)?;
    if wanted.len() > LONGEST {
        let why = format!("{wanted} has more than {LONGEST} characters, which no node can set");
        return Some(Refusal { field: LONG.to_owned(), why });
    }
    pointer::set(draft, OVERRIDE, json!(wanted));
    None
}

/// Returns a sentence about the hostname of a host pod from which the API server has removed `hostnameOverride`, as it
/// does with fields that it does not serve.
pub(super) fn lost(pod: &Subject<'_, '_>, host: &Object) -> Option<String> {
    if security::is_on_host_network(pod.virt) || host.str_at(OVERRIDE).is_some() {
        return None;
    }
    let wanted = wanted(pod)?;
    Some(format!(
        "spec.hostnameOverride: the host does not serve this field, so the hostname is the short name and not {wanted}"
    ))
}

/// Returns the short and the long name of a pod whose hostname is the short one; `None` if it has no other.
pub(super) fn names(virt: &Object, domain: &str) -> Option<(String, String)> {
    if virt.str_at(OVERRIDE).is_some() || virt.at("/spec/setHostnameAsFQDN") == Some(&json!(true)) {
        return None;
    }
    let short = own(virt).map_or_else(|| cut(virt.name()), str::to_owned);
    let long = long(virt, &short, domain);
    (!short.contains('.') && long != short).then_some((short, long))
}

fn own(virt: &Object) -> Option<&str> {
    virt.str_at("/spec/hostname").filter(|own| !own.is_empty())
}

/// Returns the hostname of the containers where it is not `spec.hostname`.
fn wanted(pod: &Subject<'_, '_>) -> Option<String> {
    if let Some(name) = pod.virt.str_at(OVERRIDE) {
        return Some(name.to_owned());
    }
    let short = own(pod.virt).map_or_else(|| cut(pod.virt.name()), str::to_owned);
    let is_long = pod.virt.at("/spec/setHostnameAsFQDN") == Some(&json!(true));
    let name = if is_long { long(pod.virt, &short, &pod.cx.section::<Dns>().cluster_domain) } else { short };
    name.contains('.').then_some(name)
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

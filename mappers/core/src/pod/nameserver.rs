//! Nameserver of a pod: the `ClusterIP` of the DNS Service of the virtual cluster. A pod cannot change its nameserver
//! later, so a pod that comes before that Service has an address waits for a moment.

use serde_json::{Value, json};
use tenet_mapper::translate::dns::{Dns as Answer, DnsInput, dns};
use tenet_mapper::{Dependency, Next, Object, Outcome, VirtualKey, kinds};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::config::Dns;
use super::{Subject, security};
use crate::coredns;

/// Seconds from the creation of a pod in which it waits for the address.
const PATIENCE: i64 = 30;

/// DNS Service of the virtual cluster.
struct Server {
    key: VirtualKey,
    address: Option<String>,
    /// True if the Service exists, or should.
    is_expected: bool,
    /// True if the Service will have an address, unlike a headless one.
    is_awaited: bool,
}

impl Server {
    fn of(pod: &Subject<'_, '_>, config: &Dns) -> Self {
        let key = VirtualKey::new(config.service.namespace.as_str(), config.service.name.as_str());
        let service = pod.cx.virt(kinds::SERVICE, &key);
        let found = service.as_ref().and_then(|service| service.str_at("/spec/clusterIP")).filter(|ip| !ip.is_empty());
        let address = found.filter(|ip| *ip != "None").map(str::to_owned);
        let is_expected = service.is_some() || coredns::is_promised(pod.cx);
        Self {
            key,
            address: address.or_else(|| config.address.map(|fixed| fixed.to_string())),
            is_expected,
            is_awaited: is_expected && found.is_none(),
        }
    }

    fn answer(&self, pod: &Subject<'_, '_>, config: &Dns) -> Answer {
        dns(&DnsInput {
            policy: pod.virt.str_at("/spec/dnsPolicy"),
            host_network: security::is_on_host_network(pod.virt),
            namespace: pod.virt.namespace(),
            cluster_domain: &config.cluster_domain,
            nameserver: self.address.as_deref(),
            dns_config: pod.virt.at("/spec/dnsConfig"),
        })
    }
}

/// Sets the DNS of the virtual cluster, and returns remarks. A cluster without a DNS Service has none, and its pods get
/// that of their node, as from a kubelet without a cluster DNS.
pub(super) fn set(pod: &Subject<'_, '_>, host: &mut Value) -> Vec<String> {
    let config = pod.cx.section::<Dns>();
    let server = Server::of(pod, &config);
    let answer = server.answer(pod, &config);
    host["spec"]["dnsPolicy"] = json!(answer.policy);
    if let Some(settings) = answer.config {
        host["spec"]["dnsConfig"] = settings;
    }
    let mut remarks = Vec::new();
    if answer.missing_nameserver && server.is_expected {
        remarks.push(format!(
            "spec.dnsPolicy: the Service {} has no address, so the pod uses the DNS of its node",
            server.key
        ));
    }
    if answer.cut {
        remarks.push("spec.dnsConfig: has more than a pod can use; the last of it is left out".to_owned());
    }
    remarks
}

/// Returns the wait for the address of the DNS Service, for a fresh pod that needs it.
pub(super) fn missing(pod: &Subject<'_, '_>) -> Option<Outcome> {
    let config = pod.cx.section::<Dns>();
    let server = Server::of(pod, &config);
    if !server.is_awaited || !server.answer(pod, &config).missing_nameserver {
        return None;
    }
    let end = created(pod.virt)? + PATIENCE;
    let wait = Dependency::virt(kinds::SERVICE, &server.key);
    (pod.cx.now() < end).then(|| Outcome::done().wait_for(wait).next(Next::At(end)))
}

/// Returns the time of a pod's creation, in unix seconds.
fn created(pod: &Object) -> Option<i64> {
    let created = OffsetDateTime::parse(pod.str_at("/metadata/creationTimestamp")?, &Rfc3339).ok()?;
    Some(created.unix_timestamp())
}

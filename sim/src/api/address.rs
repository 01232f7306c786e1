//! Addresses and node ports of Services.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::defaults::items_mut;
use super::random::Random;
use super::status::Cause;

const FIRST_NODE_PORT: u64 = 30_000;
const NODE_PORTS: u64 = 2768;
/// A dry run tells the numbers after this one, since it does not look for a free port.
const DRY_NODE_PORT: u64 = 32_768;

/// Addresses and node ports that Services have.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    network: Ipv4Addr,
    prefix: u8,
    taken: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<u64>,
}

impl Addresses {
    pub(super) fn new((network, prefix): (Ipv4Addr, u8)) -> Self {
        Self { network, prefix, taken: BTreeSet::new(), ports: BTreeSet::new() }
    }

    /// The address of the `kubernetes` Service.
    pub(super) fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) + 1)
    }

    fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix.min(30)))
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        let offset = u64::from(u32::from(address)).checked_sub(u64::from(u32::from(self.network)));
        offset.is_some_and(|offset| offset > 0 && offset < self.size() - 1)
    }

    /// Forgets everything, then takes what these Services have.
    pub(super) fn rebuild<'s>(&mut self, services: impl Iterator<Item = &'s Value>) {
        self.taken.clear();
        self.ports.clear();
        services.for_each(|service| self.take(service));
    }

    /// Takes what a stored Service has.
    pub(super) fn take(&mut self, service: &Value) {
        self.taken.extend(address_of(service));
        self.ports.extend(ports_of(service));
    }

    /// Gives a Service its address and node ports, in addition to those that it had. Returns what is wrong with them.
    pub(super) fn allocate(
        &mut self,
        random: &mut Random,
        old: Option<&Value>,
        service: &mut Value,
        dry_run: bool,
    ) -> Vec<Cause> {
        let kept = self.clone();
        let causes = self.take_address(random, old, service, dry_run);
        let causes = if causes.is_empty() { self.take_ports(random, old, service, dry_run) } else { causes };
        if dry_run || !causes.is_empty() {
            *self = kept;
        }
        causes
    }

    fn take_address(
        &mut self,
        random: &mut Random,
        old: Option<&Value>,
        service: &mut Value,
        dry_run: bool,
    ) -> Vec<Cause> {
        let spec = &service["spec"];
        if spec["type"] == "ExternalName" || spec["clusterIP"] == "None" {
            return Vec::new();
        }
        let had = old.and_then(address_of);
        let wanted = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
        let address = if wanted.is_empty() {
            // A dry run does not look for a free address.
            let free = |random| if dry_run { Some(self.network) } else { self.free(random) };
            match had.or_else(|| free(random)) {
                Some(address) => address,
                None => return vec![wrong(&json!([]), "failed to allocate a serviceIP: range is full")],
            }
        } else {
            let told = json!([wanted]);
            let Ok(address) = wanted.parse::<Ipv4Addr>() else {
                return vec![wrong(&told, "must be a valid IP address")];
            };
            if had != Some(address) {
                if !self.contains(address) {
                    let why = format!(
                        "failed to allocate IP {address}: the provided network does not match the current range"
                    );
                    return vec![wrong(&told, &why)];
                }
                if !dry_run && self.taken.contains(&address) {
                    let why = format!("failed to allocate IP {address}: provided IP is already allocated");
                    return vec![wrong(&told, &why)];
                }
            }
            address
        };
        self.taken.insert(address);
        service["spec"]["clusterIP"] = json!(address.to_string());
        service["spec"]["clusterIPs"] = json!([address.to_string()]);
        Vec::new()
    }

    /// A free address, from the upper part of the range as long as there is one.
    fn free(&self, random: &mut Random) -> Option<Ipv4Addr> {
        let size = self.size();
        let offset = (size / 16).clamp(16, 256).min(size / 2);
        let start = offset + random.below(size - 1 - offset);
        (0..size)
            .map(|step| (start + step) % size)
            .filter_map(|step| Some(Ipv4Addr::from(u32::from(self.network) + u32::try_from(step).ok()?)))
            .find(|address| self.contains(*address) && !self.taken.contains(address))
    }

    fn take_ports(
        &mut self,
        random: &mut Random,
        old: Option<&Value>,
        service: &mut Value,
        dry_run: bool,
    ) -> Vec<Cause> {
        let has_ports = matches!(service["spec"]["type"].as_str(), Some("NodePort"))
            || (service["spec"]["type"] == "LoadBalancer"
                && service["spec"]["allocateLoadBalancerNodePorts"] != json!(false));
        let had: Vec<u64> = old.map(|old| ports_of(old).collect()).unwrap_or_default();
        let (mut causes, mut last) = (Vec::new(), DRY_NODE_PORT);
        for (position, port) in items_mut(service, "/spec/ports").enumerate() {
            let wanted = port["nodePort"].as_u64().filter(|port| *port != 0);
            match wanted {
                Some(wanted) if had.contains(&wanted) => {}
                Some(wanted) if self.ports.contains(&wanted) => {
                    let field = format!("spec.ports[{position}].nodePort");
                    causes.push(Cause::invalid(&field, &json!(wanted), "provided port is already allocated"));
                }
                Some(wanted) => drop(self.ports.insert(wanted)),
                None if has_ports && dry_run => {
                    last += 1;
                    port["nodePort"] = json!(last);
                }
                None if has_ports => {
                    let start = random.below(NODE_PORTS);
                    let free = (0..NODE_PORTS).map(|step| FIRST_NODE_PORT + (start + step) % NODE_PORTS);
                    if let Some(free) = free.into_iter().find(|port| !self.ports.contains(port)) {
                        self.ports.insert(free);
                        port["nodePort"] = json!(free);
                    }
                }
                None => {}
            }
        }
        causes
    }

    /// Frees what a Service has.
    pub(super) fn release(&mut self, service: &Value) {
        if let Some(address) = address_of(service) {
            self.taken.remove(&address);
        }
        for port in ports_of(service) {
            self.ports.remove(&port);
        }
    }
}

fn wrong(value: &Value, why: &str) -> Cause {
    Cause::invalid("spec.clusterIPs", value, why)
}

fn address_of(service: &Value) -> Option<Ipv4Addr> {
    service["spec"]["clusterIP"].as_str()?.parse().ok()
}

fn ports_of(service: &Value) -> impl Iterator<Item = u64> + '_ {
    service["spec"]["ports"].as_array().into_iter().flatten().filter_map(|port| port["nodePort"].as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_once_until_it_is_released() {
        let (mut addresses, mut random) = (Addresses::new(([10, 96, 0, 0].into(), 24)), Random::new(1));
        let mut service = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9"}});
        assert!(addresses.allocate(&mut random, None, &mut service.clone(), true).is_empty());
        assert!(addresses.allocate(&mut random, None, &mut service, false).is_empty());
        let causes = addresses.allocate(&mut random, None, &mut service, false);
        assert!(causes[0].message.contains("already allocated"), "{causes:?}");
        addresses.release(&service);
        assert!(addresses.allocate(&mut random, None, &mut service, false).is_empty());
        let mut any = json!({"spec": {"type": "ClusterIP"}});
        assert!(addresses.allocate(&mut random, None, &mut any, false).is_empty());
        assert_ne!(any["spec"]["clusterIP"], "10.96.0.9");
    }
}

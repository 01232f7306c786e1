//! The range of service addresses of the host.
//!
//! The virtual API server must have the host's range, because its Services have the host's addresses. With the right
//! to read `ServiceCIDR`s the host says it. Without it, dry-run creates of Services with chosen addresses show it: the
//! API server refuses an address outside of the range with another message than one that is taken.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::BootstrapError;
use crate::api::{Api, ApiError};

/// Number of addresses of the smallest range that is looked for, as a power of two.
const SMALLEST: u8 = 4;
/// Place of the probed address within a range: its first and its last address may not be given to a Service.
const PROBED: usize = 4;

/// Returns the ranges of the host, one for each family of its Services, separated by commas.
pub(super) async fn find_out(host: &Api, namespace: &str, service: &Value) -> Result<String, BootstrapError> {
    let addresses: Vec<IpAddr> = addresses(service);
    if let Some(ranges) = listed(host, &addresses).await {
        return Ok(ranges.join(","));
    }
    let mut ranges = Vec::new();
    for address in addresses {
        ranges.push(probed(host, namespace, address).await.map_err(BootstrapError::ServiceRange)?);
    }
    Ok(ranges.join(","))
}

fn addresses(service: &Value) -> Vec<IpAddr> {
    let all = service["spec"]["clusterIPs"].as_array().into_iter().flatten();
    all.filter_map(|address| address.as_str()?.parse().ok()).collect()
}

/// Returns the listed ranges that hold these addresses; `None` if the host does not say.
async fn listed(host: &Api, addresses: &[IpAddr]) -> Option<Vec<String>> {
    let objects = host.list("/apis/networking.k8s.io/v1/servicecidrs").await.ok()?;
    let ranges = objects.iter().flat_map(|object| object["spec"]["cidrs"].as_array().cloned().unwrap_or_default());
    let ranges: Vec<String> = ranges.filter_map(|range| range.as_str().map(str::to_owned)).collect();
    addresses.iter().map(|&address| ranges.iter().find(|range| contains(range, address)).cloned()).collect()
}

/// Returns an address in the spec of a Service that these ranges, which are separated by commas, do not hold.
pub fn outside<'s>(ranges: &str, spec: &'s Value) -> Option<&'s str> {
    let mut all = spec["clusterIPs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.find(|address| address.parse().is_ok_and(|address| !contains(ranges, address)))
}

/// Returns true if an address lies in one of these ranges, which are separated by commas.
fn contains(ranges: &str, address: IpAddr) -> bool {
    ranges.split(',').any(|range| range.trim().parse::<IpNet>().is_ok_and(|range| range.contains(&address)))
}

/// Widens a small range around a known address, as long as the other half of the wider range holds Service addresses,
/// too.
async fn probed(host: &Api, namespace: &str, known: IpAddr) -> Result<String, ApiError> {
    let width = if known.is_ipv4() { 32 } else { 128 };
    let mut range = IpNet::new(known, width - SMALLEST).unwrap_or_else(|_| IpNet::from(known)).trunc();
    while let Some(wider) = range.supernet()
        && let Some(probe) = other_half(wider, range).and_then(|half| half.hosts().nth(PROBED))
        && is_inside(host, namespace, probe).await?
    {
        range = wider;
    }
    Ok(range.to_string())
}

/// Returns the half of a range that is not this one.
fn other_half(wider: IpNet, half: IpNet) -> Option<IpNet> {
    wider.subnets(half.prefix_len()).ok()?.find(|other| *other != half)
}

async fn is_inside(host: &Api, namespace: &str, address: IpAddr) -> Result<bool, ApiError> {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"generateName": "tenet-probe-"},
        "spec": {
            "clusterIP": address.to_string(),
            "ipFamilies": [family],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 443}],
        },
    });
    match host.create(&format!("/api/v1/namespaces/{namespace}/services?dryRun=All"), &service).await {
        Ok(_) => Ok(true),
        Err(error) => reads_inside(&error).ok_or(error),
    }
}

/// Returns true if the API server refuses an address because it is taken, false if because it is outside of the range.
fn reads_inside(error: &ApiError) -> Option<bool> {
    let ApiError::Rejected { code: 422, message, .. } = error else { return None };
    if message.contains("already allocated") {
        return Some(true);
    }
    let outside = ["not in the valid range", "does not match network", "no ServiceCIDR", "not valid"];
    outside.iter().any(|text| message.contains(text)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_range_that_begins_like_it() {
        for (range, address, inside) in [
            ("10.96.0.0/16", "10.96.3.4", true),
            ("10.96.0.0/16", "10.97.3.4", false),
            ("0.0.0.0/0", "10.97.3.4", true),
            ("fd00::/108", "fd00::f:1", true),
            ("fd00::/108", "10.96.0.1", false),
            ("10.96.0.0/33", "10.96.0.1", false),
            ("10.96.0.0", "10.96.0.1", false),
            ("10.96.0.0/16,fd00::/108", "fd00::f:1", true),
        ] {
            assert_eq!(contains(range, address.parse().unwrap()), inside, "{range} {address}");
        }
    }

    #[test]
    fn every_address_of_the_service_has_to_be_in_the_range() {
        let spec = json!({"clusterIPs": ["10.96.0.7", "fd00::7"]});
        assert_eq!(outside("10.96.0.0/16,fd00::/108", &spec), None);
        assert_eq!(outside("10.96.0.0/16", &spec), Some("fd00::7"));
        assert_eq!(outside("10.97.0.0/16,fd00::/108", &spec), Some("10.96.0.7"));
    }

    #[test]
    fn the_answers_of_an_api_server_tell_taken_from_outside() {
        let rejected = |code, message: &str| ApiError::Rejected {
            method: http::Method::POST,
            path: String::new(),
            code,
            message: message.to_owned(),
        };
        for (code, message, inside) in [
            (422, "failed to allocate IP 10.96.0.5: provided IP is already allocated", Some(true)),
            (422, "failed to allocate IP 1.1.1.1: the provided network does not match the current range", None),
            (422, "provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/12", Some(false)),
            (403, "services is forbidden", None),
        ] {
            assert_eq!(reads_inside(&rejected(code, message)), inside, "{message}");
        }
    }

    #[test]
    fn a_range_is_widened_to_its_other_half() {
        for (wider, half, other) in [
            ("10.96.0.0/15", "10.96.0.0/16", "10.97.0.0/16"),
            ("10.96.0.0/27", "10.96.0.16/28", "10.96.0.0/28"),
            ("fd00::/107", "fd00::/108", "fd00::10:0/108"),
        ] {
            let [wider, half, other] = [wider, half, other].map(|range| range.parse::<IpNet>().unwrap());
            assert_eq!(other_half(wider, half), Some(other));
            assert!(other.hosts().nth(PROBED).is_some_and(|probe| other.contains(&probe) && probe != other.network()));
        }
    }
}

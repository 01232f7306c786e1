//! The range of service addresses of the host.
//!
//! The virtual API server must have the host's range, because its Services have the host's addresses. With the right
//! to read `ServiceCIDR`s the host says it. Without, dry-run creates of Services with chosen addresses tell: the
//! API server refuses an address outside of the range with another message than one that is taken.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::BootstrapError;
use crate::api::{Api, ApiError};

/// Bits of an address that are not probed: a range is not smaller than 16 addresses.
const SMALLEST: u32 = 4;
/// Host part of the probed addresses within the smallest range: neither its first nor its last address, which may not be
/// given to a Service.
const HOST_PART: u128 = 5;

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

fn contains(range: &str, address: IpAddr) -> bool {
    let Some((base, length)) = range.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let (base, of_base) = bits(base);
    let (address, width) = bits(address);
    of_base == width && length <= width && shifted(base, width - length) == shifted(address, width - length)
}

fn shifted(value: u128, by: u32) -> u128 {
    value.checked_shr(by).unwrap_or(0)
}

/// Asks for neighbours of a known address, each twice as far as the one before, until one is outside.
async fn probed(host: &Api, namespace: &str, known: IpAddr) -> Result<String, ApiError> {
    let (value, width) = bits(known);
    let inside = (value >> SMALLEST << SMALLEST) | HOST_PART;
    let mut free = SMALLEST;
    while free < width && is_inside(host, namespace, address(inside ^ (1 << free), width)).await? {
        free += 1;
    }
    Ok(format!(
        "{}/{}",
        address(inside.checked_shr(free).unwrap_or(0).checked_shl(free).unwrap_or(0), width),
        width - free
    ))
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

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(four) => (u128::from(u32::from(four)), 32),
        IpAddr::V6(six) => (u128::from(six), 128),
    }
}

fn address(value: u128, width: u32) -> IpAddr {
    match u32::try_from(value) {
        Ok(four) if width == 32 => IpAddr::from(four.to_be_bytes()),
        _ => IpAddr::from(value.to_be_bytes()),
    }
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
        ] {
            assert_eq!(contains(range, address.parse().unwrap()), inside, "{range} {address}");
        }
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
    fn addresses_survive_the_way_through_their_bits() {
        for text in ["10.96.0.5", "255.255.255.255", "fd00::5", "::5"] {
            let parsed: IpAddr = text.parse().unwrap();
            let (value, width) = bits(parsed);
            assert_eq!(address(value, width), parsed);
        }
    }
}

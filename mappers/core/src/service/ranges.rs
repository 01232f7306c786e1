//! Address ranges of the virtual API server. An address outside of them is never
//! requested: a Service would lose its address without getting the other.

use std::net::IpAddr;

use tenet_mapper::{Context, Input, KeysOf, Kind, Projection, Side};

/// Kind of the objects that list the ranges, since Kubernetes 1.33; in older versions the ranges are not known.
const SERVICE_CIDR: Kind = Kind::of("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs").cluster_scoped();

/// Input for the ranges, if the server has them.
pub(crate) fn input() -> Input {
    Input::new(Side::Virtual, SERVICE_CIDR, Projection::Fields(&["spec.cidrs"]), KeysOf::None).optional()
}

/// Reason why the virtual API server cannot give these addresses; `None` when it can, or when
/// nothing is known.
pub(super) fn refuses(cx: &Context<'_>, addresses: &[&str]) -> Option<String> {
    let (outside, ranges) = outside(cx, addresses)?;
    Some(format!(
        "the service ranges differ: the host has given it {outside}, and this cluster has {ranges}; \
         no pod reaches it until both clusters have the same range"
    ))
}

/// The first of these addresses that no range contains, and the ranges.
pub(super) fn outside(cx: &Context<'_>, addresses: &[&str]) -> Option<(String, String)> {
    let ranges = all(cx);
    let known = |address: &str| ranges.iter().any(|range| contains(range, address));
    let outside = addresses.iter().find(|address| !known(address))?;
    (!ranges.is_empty()).then(|| ((*outside).to_owned(), ranges.join(" ")))
}

/// Returns true if there are ranges of both families, or nothing is known.
pub(super) fn are_of_both_families(cx: &Context<'_>) -> bool {
    let ranges = all(cx);
    let six = ranges.iter().filter(|range| range.contains(':')).count();
    ranges.is_empty() || (six > 0 && six < ranges.len())
}

/// Returns the service ranges of the virtual API server; none when they are not known.
pub(crate) fn all(cx: &Context<'_>) -> Vec<String> {
    let objects = cx.list(Side::Virtual, SERVICE_CIDR, "");
    let ranges = objects.iter().flat_map(|object| object.list_at("/spec/cidrs"));
    ranges.filter_map(|range| range.as_str().map(str::to_owned)).collect()
}

/// Returns true if a range such as `10.96.0.0/16` contains an address.
fn contains(range: &str, address: &str) -> bool {
    let parsed = range
        .split_once('/')
        .and_then(|(base, length)| Some((base.parse().ok()?, length.parse::<u32>().ok()?, address.parse().ok()?)));
    match parsed {
        Some((IpAddr::V4(base), length @ 0..=32, IpAddr::V4(address))) => {
            u32::from(base).checked_shr(32 - length) == u32::from(address).checked_shr(32 - length)
        }
        Some((IpAddr::V6(base), length @ 0..=128, IpAddr::V6(address))) => {
            u128::from(base).checked_shr(128 - length) == u128::from(address).checked_shr(128 - length)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_the_addresses_that_begin_like_it() {
        for (range, address, inside) in [
            ("10.96.0.0/16", "10.96.255.1", true),
            ("10.96.0.0/16", "10.97.0.1", false),
            ("10.96.0.7/32", "10.96.0.7", true),
            ("0.0.0.0/0", "10.96.0.7", true),
            ("fd00:1::/108", "fd00:1::f:1", true),
            ("fd00:1::/108", "fd00:1::1f:1", false),
            ("fd00:1::/108", "10.96.0.7", false),
            ("10.96.0.0", "10.96.0.0", false),
            ("10.96.0.0/33", "10.96.0.0", false),
        ] {
            assert_eq!(contains(range, address), inside, "{range} {address}");
        }
    }
}

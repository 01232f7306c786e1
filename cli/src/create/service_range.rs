//! Check of a service range that the user has set.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::bootstrap::range_contains;
use tenet_install::resources::Resource;

use super::{path, text};

/// Fails if the host gives addresses to Services that are not in this range.
pub(super) async fn check(api: &Api, namespace: &str, objects: &[Value], range: Option<&str>) -> Result<()> {
    let Some(range) = range else { return Ok(()) };
    let has_address = |object: &&Value| object["kind"] == "Service" && object["spec"]["clusterIP"] != "None";
    let Some(service) = objects.iter().find(has_address) else { return Ok(()) };
    let found = api.get(&path(namespace, service)).await.context("cannot read the Service")?;
    let found = if let Some(found) = found {
        found
    } else {
        // A dry run tells which address the host would give.
        let collection = Resource::of(service).map(|it| it.collection(namespace)).unwrap_or_default();
        api.create(&format!("{collection}?dryRun=All"), service).await.context("cannot try to create the Service")?
    };
    match outside(range, &found["spec"]) {
        None => Ok(()),
        Some(address) => bail!(
            "serviceCIDR: {range} does not hold {address}, an address that the host gives to Services: set it to the range \
             of the host, or leave it out, and the range of the host is found out"
        ),
    }
}

/// Returns an address of a Service that a range does not hold.
pub(crate) fn outside<'s>(range: &str, spec: &'s Value) -> Option<&'s str> {
    let all = spec["clusterIPs"].as_array().into_iter().flatten().map(text);
    all.into_iter().find(|address| address.parse::<IpAddr>().is_ok_and(|address| !range_contains(range, address)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_address_of_the_service_has_to_be_in_the_range() {
        let spec = json!({"clusterIPs": ["10.96.0.7", "fd00::7"]});
        assert_eq!(outside("10.96.0.0/16,fd00::/108", &spec), None);
        assert_eq!(outside("10.96.0.0/16", &spec), Some("fd00::7"));
        assert_eq!(outside("10.97.0.0/16,fd00::/108", &spec), Some("10.96.0.7"));
    }
}

//! Check of a service range that the user has set.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::bootstrap::outside;
use tenet_install::resources::Resource;

use super::path;

/// Fails if the host gives addresses to Services that are not in this range.
pub(super) async fn check(api: &Api, namespace: &str, objects: &[Value], range: Option<&str>) -> Result<()> {
    let Some(range) = range else { return Ok(()) };
    let has_address = |object: &&Value| object["kind"] == "Service" && object["spec"]["clusterIP"] != "None";
    let Some(service) = objects.iter().find(has_address) else { return Ok(()) };
    let found = api.get(&path(service)).await.context("cannot read the Service")?;
    let found = if let Some(found) = found {
        found
    } else {
        // A dry run shows which address the host would give.
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

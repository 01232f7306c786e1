//! Quotas: the number of pods that a namespace may have.

use serde_json::Value;
use tenet_mapper::{Kind, kinds};

use super::create::admission_name;
use super::resource::Resource;
use super::server::State;
use super::status::Status;

/// Kind of quotas.
pub const QUOTA: Kind = Kind::core("ResourceQuota", "resourcequotas");

/// Refuses a pod for which a `ResourceQuota` of its namespace has no room.
pub(super) fn check(state: &State, resource: &Resource, namespace: &str, pod: &Value) -> Result<(), Status> {
    if resource.kind != kinds::POD {
        return Ok(());
    }
    let of = |kind| state.store.find(kind).map(|id| &state.store.tables[id]);
    let Some(quotas) = of(QUOTA) else { return Ok(()) };
    for quota in quotas.select(namespace, "") {
        let Some(limit) = quota["spec"]["hard"]["pods"].as_str().and_then(|pods| pods.parse::<usize>().ok()) else {
            continue;
        };
        let is_counted = |pod: &Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let pods = of(kinds::POD).into_iter().flat_map(|pods| pods.select(namespace, ""));
        let used = pods.filter(|pod| is_counted(pod.value())).count();
        if used >= limit {
            let name = quota.name();
            let why = format!("exceeded quota: {name}, requested: pods=1, used: pods={used}, limited: pods={limit}");
            return Err(Status::forbidden(resource, admission_name(pod), &why));
        }
    }
    Ok(())
}

//! Services of the host that lead to workloads of the host, such as the control plane of the virtual cluster: a pod with the
//! labels that one selects would get a part of its traffic.
//!
//! A Service with which the administrator of the host exposes pods of tenants selects no workload of the host, and works.

use serde_json::Value;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Bound, Input, KeysOf, MapperSpec, Object, Projection, Side, VirtualKey, kinds};

use super::Subject;
use crate::service::has_selector;

/// The Services and pods of the host that belong to no virtual cluster.
#[derive(Clone, Copy)]
pub(super) struct World {
    services: Bound,
    workloads: Bound,
}

impl World {
    /// Adds what is read of the host to the spec of the mapper.
    pub(super) fn read(spec: &mut MapperSpec) -> Self {
        let services = Input::new(Side::Host, kinds::SERVICE, Projection::Whole, KeysOf::With(with_selector)).foreign();
        let workloads = Input::new(Side::Host, kinds::POD, Projection::Metadata, KeysOf::With(of_the_host)).foreign();
        Self { services: spec.bind(services), workloads: spec.bind(workloads) }
    }
}

/// Refuses a pod with these labels on the host when a Service that leads to a workload of the host would select it.
pub(super) fn refusal(pod: &Subject<'_, '_>, labels: &Value) -> Option<Refusal> {
    let leads_to_workload = |service: &Object| {
        let is_selected = |workload: &Object| selects(service, &workload.value()["metadata"]["labels"]);
        pod.cx.find_source(pod.world.workloads, &index(), &is_selected).is_some()
    };
    let selects_pod = |service: &Object| selects(service, labels) && leads_to_workload(service);
    let service = pod.cx.find_source(pod.world.services, &index(), &selects_pod)?;
    let selector = service.at("/spec/selector").and_then(Value::as_object).into_iter().flatten();
    let selector: Vec<_> =
        selector.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let why =
        format!("a Service of the host would send the pod traffic that is meant for others, by {}", selector.join(","));
    Some(Refusal { field: "metadata.labels".to_owned(), why })
}

/// Returns true if the selector of a Service matches these labels. Without one it selects nothing.
fn selects(service: &Object, labels: &Value) -> bool {
    let selector = service.at("/spec/selector").and_then(Value::as_object);
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// The key under which all of them are found. No pod has it.
fn index() -> VirtualKey {
    VirtualKey::new("", "host")
}

fn with_selector(service: &Object) -> Vec<VirtualKey> {
    if has_selector(service) { of_the_host(service) } else { Vec::new() }
}

fn of_the_host(object: &Object) -> Vec<VirtualKey> {
    if object.label(MANAGED_BY).is_some() { Vec::new() } else { vec![index()] }
}

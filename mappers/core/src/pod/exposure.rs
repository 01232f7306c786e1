//! Services of the host that lead to workloads of the host, such as the control plane of the virtual cluster: a pod
//! with the labels that one selects would get a part of its traffic.
//!
//! A Service with which the administrator of the host exposes pods of tenants selects no workload of the host, and
//! works.

use serde_json::Value;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Bound, Context, Input, KeysOf, MapperSpec, Object, Projection, Side, VirtualKey, kinds};

use super::Subject;
use crate::service::{FOREIGN, has_selector};

/// The metadata alone, without the version: the status of a workload changes often, and no mapper reads it.
const LABELS: Projection = Projection::Fields(&[]);

/// Prefixes of the keys of single objects.
const SERVICE: &str = "service/";
const WORKLOAD: &str = "workload/";

/// The Services and pods of the host that belong to no virtual cluster.
#[derive(Clone, Copy)]
pub(super) struct World {
    services: Bound,
    workloads: Bound,
}

impl World {
    /// Adds the inputs from the host to the spec of the mapper.
    pub(super) fn read(spec: &mut MapperSpec) -> Self {
        let services = Input::new(Side::Host, kinds::SERVICE, FOREIGN, KeysOf::With(with_selector)).foreign();
        let workloads = Input::new(Side::Host, kinds::POD, LABELS, KeysOf::With(of_the_host)).foreign();
        Self { services: spec.bind(services), workloads: spec.bind(workloads) }
    }

    /// Returns true if a change of the Service or the workload behind this key may expose pods of tenants, or end that.
    pub(super) fn concerns_pods(self, cx: &Context<'_>, key: &VirtualKey) -> bool {
        let any = |_: &Object| true;
        if key.name().starts_with(SERVICE) {
            let service = cx.find_source(self.services, key, &any);
            return service.is_none_or(|service| self.leads_to_workload(cx, &service));
        }
        if !key.name().starts_with(WORKLOAD) {
            return false;
        }
        let is_behind = |workload: &Object| {
            let selects = |service: &Object| selects(service, &workload.value()["metadata"]["labels"]);
            cx.find_source(self.services, &index(), &selects).is_some()
        };
        cx.find_source(self.workloads, key, &any).is_some_and(|workload| is_behind(&workload))
    }

    fn leads_to_workload(self, cx: &Context<'_>, service: &Object) -> bool {
        let is_selected = |workload: &Object| selects(service, &workload.value()["metadata"]["labels"]);
        cx.find_source(self.workloads, &index(), &is_selected).is_some()
    }
}

/// Refuses a pod with these labels on the host when a Service that leads to a workload of the host would select it.
pub(super) fn refusal(pod: &Subject<'_, '_>, labels: &Value) -> Option<Refusal> {
    say(pod, labels, "would send")
}

/// Refuses the labels that a running pod has when such a Service, which came later, selects it.
pub(super) fn refusal_of_running(pod: &Subject<'_, '_>, labels: &Value) -> Option<Refusal> {
    say(pod, labels, "sends")
}

fn say(pod: &Subject<'_, '_>, labels: &Value, verb: &str) -> Option<Refusal> {
    let selects_pod = |service: &Object| selects(service, labels) && pod.world.leads_to_workload(pod.cx, service);
    let service = pod.cx.find_source(pod.world.services, &index(), &selects_pod)?;
    let selector = service.at("/spec/selector").and_then(Value::as_object).into_iter().flatten();
    let selector: Vec<_> =
        selector.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let why =
        format!("a Service of the host {verb} the pod traffic that is meant for others, by {}", selector.join(","));
    Some(Refusal { field: "metadata.labels".to_owned(), why })
}

/// Returns true if the selector of a Service matches these labels. Without one it selects nothing.
fn selects(service: &Object, labels: &Value) -> bool {
    let selector = service.at("/spec/selector").and_then(Value::as_object);
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// The key under which all of them are found. Pods have a namespace, so no pod has it.
fn index() -> VirtualKey {
    VirtualKey::new("", "host")
}

fn with_selector(service: &Object) -> Vec<VirtualKey> {
    if has_selector(service) { keys(service, SERVICE) } else { Vec::new() }
}

fn of_the_host(workload: &Object) -> Vec<VirtualKey> {
    keys(workload, WORKLOAD)
}

/// The key of all, and the key of this object, whose reconcile follows a change of it.
fn keys(object: &Object, prefix: &str) -> Vec<VirtualKey> {
    if object.label(MANAGED_BY).is_some() {
        return Vec::new();
    }
    vec![index(), VirtualKey::new("", format!("{prefix}{}/{}", object.namespace(), object.name()))]
}

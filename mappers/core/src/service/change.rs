//! Change of the `ClusterIP` of a virtual Service without a new object.
//!
//! The API server rejects a change of the address, but drops it from a Service of type
//! `ExternalName`, and accepts a new one when the type changes back. So the change has two
//! steps, and a mark in the Service shows that the first is done: any reconcile that finds the mark
//! performs the second. Until then its host Service, which holds the other values, is left alone.

use serde_json::{Value, json};
use tenet_mapper::{Context, Effect, Event, EventReason, EventType, Object, VirtualPatch, kinds};

use super::{address, patch, ranges};

/// The external name of a Service between the two steps. Names under `invalid` never
/// resolve.
const MARK: &str = "clusterip-change.tenet.sh.invalid";

/// Fields that the API server drops from a Service of type `ExternalName` (tested with 1.37.2), and
/// the type itself. Source ranges are rejected instead of dropped, so the first step removes them.
const DROPPED: [(&str, &str); 12] = [
    ("type", "/spec/type"),
    ("clusterIP", "/spec/clusterIP"),
    ("clusterIPs", "/spec/clusterIPs"),
    ("ipFamilies", "/spec/ipFamilies"),
    ("ipFamilyPolicy", "/spec/ipFamilyPolicy"),
    ("internalTrafficPolicy", "/spec/internalTrafficPolicy"),
    ("externalTrafficPolicy", "/spec/externalTrafficPolicy"),
    ("healthCheckNodePort", "/spec/healthCheckNodePort"),
    ("allocateLoadBalancerNodePorts", "/spec/allocateLoadBalancerNodePorts"),
    ("loadBalancerClass", "/spec/loadBalancerClass"),
    ("loadBalancerSourceRanges", SOURCE_RANGES),
    ("externalName", "/spec/externalName"),
];

const SOURCE_RANGES: &str = "/spec/loadBalancerSourceRanges";

/// Returns true if a Service is between the two steps.
pub(super) fn is_open(virt: &Object) -> bool {
    virt.str_at("/spec/type") == Some("ExternalName") && virt.str_at("/spec/externalName") == Some(MARK)
}

/// Returns the first step towards the addresses of `host`, if the virtual API server can assign
/// them. `reason` is the reason of the event.
pub(super) fn open(cx: &Context<'_>, virt: &Object, host: &Object, reason: EventReason) -> Vec<Effect> {
    if let Some(why) = ranges::refuses(cx, &address::of(host)) {
        return vec![event(virt, EventReason::Degraded, EventType::Warning, why)];
    }
    let (before, after) = (address::of(virt).join(" "), address::of(host).join(" "));
    let first =
        vec![("/spec/type", json!("ExternalName")), ("/spec/externalName", json!(MARK)), (SOURCE_RANGES, Value::Null)];
    let message = if before == after {
        "the port of its health check changes to the one that the host has given it".to_owned()
    } else {
        format!("its address changes from {before} to {after}, which the host has given it")
    };
    vec![patch(virt, first), event(virt, reason, EventType::Normal, message)]
}

/// Returns the second step: all dropped fields are restored from `spec`.
pub(super) fn close(virt: &Object, spec: &Value) -> VirtualPatch {
    let mut values: Vec<_> =
        DROPPED.iter().map(|(field, pointer)| (*pointer, spec.get(field).cloned().unwrap_or_default())).collect();
    values.push(("/spec/ports", address::ports(virt.at("/spec/ports"), spec.get("ports"))));
    VirtualPatch::new(kinds::SERVICE, virt, None, values)
}

/// An event on a virtual Service.
pub(super) fn event(virt: &Object, reason: EventReason, event_type: EventType, message: String) -> Effect {
    Effect::Emit(Event { event_type, ..Event::warning(kinds::SERVICE, virt, reason, message) })
}

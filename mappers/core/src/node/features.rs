//! Features that a node declares. The API server inside refuses to resize parts of a pod whose node does not declare the
//! feature for it. What else a kubelet declares stays on the host: the kubelet of a virtual node is the syncer.

use serde_json::{Value, json};
use tenet_mapper::{Context, Object};

/// Features that the resize of a pod needs, in the order of their names.
const OF_RESIZE: [&str; 2] = ["InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"];

/// The minor version since which API servers keep declared features by default (KEP-5328). An older one drops them, so
/// they would be written again and again.
const KEPT_SINCE: u32 = 36;

/// Declares the features of a node of the host, or all where that node cannot be read: the API server of the host
/// decides about each resize.
pub(super) fn declare(cx: &Context<'_>, host: Option<&Object>, node: &mut Value) {
    if !cx.facts().is_virtual_since(KEPT_SINCE) {
        return;
    }
    let is_declared = |feature: &&str| {
        host.is_none_or(|host| host.list_at("/status/declaredFeatures").iter().any(|declared| declared == *feature))
    };
    let declared: Vec<_> = OF_RESIZE.into_iter().filter(is_declared).collect();
    if !declared.is_empty() {
        node["status"]["declaredFeatures"] = json!(declared);
    }
}

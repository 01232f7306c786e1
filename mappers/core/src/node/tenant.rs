//! Part of a Node that the tenant has added: labels, taints and a cordon, for the tenant's own pods alone.
//!
//! The annotation [`CROSSED`] of a picture lists what the host says: labels (`l:KEY`), taints (`t:KEY:EFFECT`) and a
//! cordon (`u:`). What it does not list is the tenant's.

use serde_json::{Value, json};
use tenet_mapper::keys::CROSSED;
use tenet_mapper::translate::labels::is_reserved;
use tenet_mapper::{Object, crossed};

/// Taints that API servers and controllers set for the condition of a node, which only the host knows.
const CONDITIONS: [&str; 2] = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];

/// The part of a Node that the tenant has added.
pub(crate) struct TenantPart<'n> {
    /// Keys of labels.
    pub(crate) labels: Vec<&'n str>,
    /// Taints.
    pub(crate) taints: Vec<&'n Value>,
    /// True if the tenant has cordoned the Node.
    pub(crate) is_cordoned: bool,
}

impl<'n> TenantPart<'n> {
    /// Returns the part of a virtual Node.
    pub(crate) fn of(node: &'n Object) -> Self {
        let of_host = |mark| crossed::before(node.value(), mark);
        let (labels, taints) = (of_host('l'), of_host('t'));
        let own_label = |key: &&str| {
            !is_reserved(key) && !key.starts_with("beta.kubernetes.io/") && !labels.iter().any(|label| label == key)
        };
        let own_taint = |taint: &&Value| !is_of_condition(taint) && !taints.contains(&identity(taint));
        let all = node.at("/metadata/labels").and_then(Value::as_object);
        Self {
            labels: all.into_iter().flatten().map(|(key, _)| key.as_str()).filter(own_label).collect(),
            taints: node.list_at("/spec/taints").iter().filter(own_taint).collect(),
            is_cordoned: node.at("/spec/unschedulable") == Some(&json!(true)) && of_host('u').is_empty(),
        }
    }
}

impl TenantPart<'_> {
    /// Returns true if the tenant has added nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.taints.is_empty() && !self.is_cordoned
    }
}

/// Adds the part of the tenant to a picture, and lists what the host says.
pub(super) fn keep(picture: &mut Value, virt: Option<&Object>) {
    let mut taints = picture["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let is_cordoned = picture["spec"]["unschedulable"] == true;
    let mut record = picture["metadata"]["annotations"][CROSSED].as_str().unwrap_or_default().to_owned();
    let marks = taints.iter().map(|taint| format!("t:{}", identity(taint)));
    for mark in marks.chain(is_cordoned.then(|| "u:".to_owned())) {
        record = if record.is_empty() { mark } else { format!("{record},{mark}") };
    }
    picture["metadata"]["annotations"][CROSSED] = json!(record);
    let Some(virt) = virt else { return };
    let part = TenantPart::of(virt);
    let is_of_host = |taint: &Value| taints.iter().any(|found| identity(found) == identity(taint));
    let own: Vec<_> = part.taints.into_iter().filter(|taint| !is_of_host(taint)).cloned().collect();
    if !own.is_empty() {
        taints.extend(own);
        picture["spec"]["taints"] = Value::Array(taints);
    }
    if part.is_cordoned {
        picture["spec"]["unschedulable"] = json!(true);
    }
}

/// A Node has one taint of a key and an effect.
fn identity(taint: &Value) -> String {
    let text = |field: &str| taint[field].as_str().unwrap_or_default().to_owned();
    format!("{}:{}", text("key"), text("effect"))
}

fn is_of_condition(taint: &Value) -> bool {
    taint["key"].as_str().is_some_and(|key| CONDITIONS.iter().any(|prefix| key.starts_with(prefix)))
}

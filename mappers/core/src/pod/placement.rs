//! Placement: the node, the node selector and the scheduler of a host pod.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Dependency, Outcome, VirtualKey, kinds, pointer};

use super::Subject;
use super::config::Pods;

/// Scheduler that every host has.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";

/// Places a pod that comes with a node on that node. A node name on the host would bypass the scheduler and the taints,
/// so it becomes a node affinity, as for the pods of a `DaemonSet`.
pub(super) fn node(pod: &Subject<'_, '_>, draft: &mut Value) {
    let Some(name) = pod.virt.str_at("/spec/nodeName") else { return };
    let terms = draft.pointer(&format!("{REQUIRED}/nodeSelectorTerms"));
    let terms = restricted(terms.and_then(Value::as_array).map(Vec::as_slice), name);
    pointer::set(draft, REQUIRED, json!({ "nodeSelectorTerms": terms }));
}

/// Returns why a pod does not run yet that comes with the name of a Node which is not shown inside.
pub(super) fn missing_node(pod: &Subject<'_, '_>) -> Option<Refusal> {
    let name = pod.virt.str_at("/spec/nodeName")?;
    let why = || format!("there is no Node {name} in this cluster; use a nodeSelector or an affinity");
    let is_missing = pod.cx.virt(kinds::NODE, &VirtualKey::new("", name)).is_none();
    is_missing.then(|| Refusal { field: "spec.nodeName".to_owned(), why: why() })
}

/// Returns the wait for that Node.
pub(super) fn wait_for_node(pod: &Subject<'_, '_>) -> Option<Outcome> {
    let refusal = missing_node(pod)?;
    let key = VirtualKey::new("", pod.virt.str_at("/spec/nodeName")?);
    Some(Outcome::done().refuse([refusal]).wait_for(Dependency::virt(kinds::NODE, &key)))
}

/// Adds the node to each of the terms, of which one must match. An empty term matches no node.
fn restricted(terms: Option<&[Value]>, node: &str) -> Vec<Value> {
    let on_node = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let Some(terms) = terms else { return vec![json!({"matchFields": [on_node]})] };
    let with_node = |term: &Value| {
        let has = |list: &str| term[list].as_array().is_some_and(|list| !list.is_empty());
        let mut term = term.clone();
        if has("matchFields") || has("matchExpressions") {
            let mut fields = term["matchFields"].as_array().cloned().unwrap_or_default();
            fields.push(on_node.clone());
            term["matchFields"] = Value::Array(fields);
        }
        term
    };
    terms.iter().map(with_node).collect()
}

/// Adds the node selector of the installation. Returns remarks on the keys of the tenant that it replaces.
pub(super) fn node_selector(pods: &Pods, draft: &mut Value) -> Vec<String> {
    let mut remarks = Vec::new();
    for (key, value) in &pods.node_selector {
        let pointer = format!("/spec/nodeSelector/{}", pointer::escape(key));
        let asked = draft.pointer(&pointer).and_then(Value::as_str).filter(|asked| asked != value);
        remarks.extend(asked.map(|asked| format!("spec.nodeSelector: {key} is {value} on the host, not {asked}")));
        pointer::set(draft, &pointer, json!(value));
    }
    remarks
}

/// Lets the name of a listed scheduler cross. With another, nobody on the host would place the pod.
pub(super) fn scheduler(pod: &Subject<'_, '_>, pods: &Pods, draft: &mut Value) -> Option<String> {
    let name = pod.virt.str_at("/spec/schedulerName").filter(|name| !name.is_empty())?;
    let is_listed = || pods.schedulers.iter().any(|known| known == name);
    if name == DEFAULT_SCHEDULER || is_listed() || pod.cx.permits(kinds::POD, "spec.schedulerName") {
        pointer::set(draft, "/spec/schedulerName", json!(name));
        return None;
    }
    Some(format!(
        "spec.schedulerName: {name} is not among the schedulers of pods.schedulers, so the default scheduler of the host \
         places the pod"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_narrows_every_term_and_widens_none() {
        let field = |name: &str| json!({"key": "metadata.name", "operator": "In", "values": [name]});
        let zone = json!({"key": "zone", "operator": "Exists"});
        for (terms, expected) in [
            (None, json!([{"matchFields": [field("n")]}])),
            (Some(json!([{}])), json!([{}])),
            (
                Some(json!([{"matchExpressions": [zone]}, {"matchFields": [field("m")]}, {"matchExpressions": []}])),
                json!([
                    {"matchExpressions": [zone], "matchFields": [field("n")]},
                    {"matchFields": [field("m"), field("n")]},
                    {"matchExpressions": []},
                ]),
            ),
        ] {
            let terms = terms.as_ref().map(|terms| terms.as_array().unwrap().as_slice());
            assert_eq!(Value::Array(restricted(terms, "n")), expected, "{terms:?}");
        }
    }
}

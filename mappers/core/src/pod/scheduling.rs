//! Scheduling: the host's scheduler chooses the node, and the virtual pod is bound to it.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Bind, Dependency, Effect, Kind, MapError, Object, VirtualKey, kinds, pointer};

use super::Subject;
use super::config::Pods;

/// The kind of the classes that a pod may name.
pub(super) const PRIORITY_CLASS: Kind =
    Kind::of("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses").cluster_scoped();

/// Relation between the nodes of both pods.
pub(super) enum Binding {
    /// Nothing is to be done: both are on the same node, or the host pod on none yet.
    Same,
    /// The virtual pod has to follow.
    Follow(Effect),
    /// The virtual pod will follow when its node is there.
    Wait(Dependency),
    /// Somebody inside has bound the virtual pod to another node.
    Apart,
}

/// Compares the nodes of both pods. A host pod never loses its node, so one without a node is an
/// older state, or waits for the scheduler.
pub(super) fn binding(pod: &Subject<'_, '_>, host: &Object) -> Binding {
    match (pod.virt.str_at("/spec/nodeName"), host.str_at("/spec/nodeName")) {
        (_, None) => Binding::Same,
        (Some(virt), Some(host)) if virt == host => Binding::Same,
        (Some(_), Some(_)) => Binding::Apart,
        (None, Some(node)) => {
            let key = VirtualKey::new("", node);
            if pod.cx.virt(kinds::NODE, &key).is_none() {
                return Binding::Wait(Dependency::virt(kinds::NODE, &key));
            }
            let (key, uid) = (pod.key.clone(), pod.virt.uid().to_owned());
            Binding::Follow(Effect::Bind(Bind { pod: key, uid, node: node.to_owned() }))
        }
    }
}

/// Refuses a pod that chooses its node, as that would bypass the host's scheduler and its taints. A
/// binding sets a condition that a pod created with a node does not have.
pub(super) fn node_name(virt: &Object) -> Option<Refusal> {
    virt.str_at("/spec/nodeName")?;
    let why = "the host's scheduler chooses the node; use a nodeSelector or an affinity".to_owned();
    Some(Refusal { field: "spec.nodeName".to_owned(), why })
}

/// Adds the node selector of the installation, and tells what of the tenant's it replaces.
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

/// Only listed classes may be used; the host computes number and preemption from the class. A class that
/// nobody asked for is left out: it comes from the virtual cluster, and means nothing on the host.
pub(super) fn priority(
    pod: &Subject<'_, '_>,
    pods: &Pods,
    draft: &mut Value,
    remarks: &mut Vec<String>,
) -> Result<Vec<Refusal>, MapError> {
    let defaults = pod.cx.defaults(kinds::POD);
    let permitted = |field: &str| pod.cx.permits(kinds::POD, field);
    let (class, preemption) = ("spec.priorityClassName", "spec.preemptionPolicy");
    let mut refusals = Vec::new();
    match pod.virt.str_at("/spec/priorityClassName") {
        Some(name) if permitted(class) || pods.priority_classes.iter().any(|known| known == name) => {
            pointer::set(draft, "/spec/priorityClassName", json!(name));
            return Ok(refusals);
        }
        // The virtual cluster gives this class to every pod.
        Some(name) if defaults.contains(class, &json!(name)) || is_global_default(pod, name) => return Ok(refusals),
        Some(name) if !asks_for_class(pod)? => {
            remarks.push(format!("{class}: {name} was not asked for, and means nothing on the host"));
            return Ok(refusals);
        }
        Some(name) => {
            let why = format!("{name} is not among the classes of pods.priorityClasses");
            refusals.push(Refusal { field: class.to_owned(), why });
        }
        None => {}
    }
    let policy = pod.virt.at("/spec/preemptionPolicy").filter(|policy| *policy != "PreemptLowerPriority");
    match policy {
        Some(policy) if permitted(preemption) => pointer::set(draft, "/spec/preemptionPolicy", policy.clone()),
        Some(policy) if !policy.is_null() && !defaults.contains(preemption, policy) => {
            let why = "comes with a priority class only".to_owned();
            refusals.push(Refusal { field: preemption.to_owned(), why });
        }
        _ => {}
    }
    Ok(refusals)
}

fn is_global_default(pod: &Subject<'_, '_>, class: &str) -> bool {
    let class = pod.cx.virt(PRIORITY_CLASS, &VirtualKey::new("", class));
    class.is_some_and(|class| class.at("/globalDefault") == Some(&json!(true)))
}

/// Returns true if a client has set the class of a pod: then it is among the fields that the API server notes
/// before admission. A class that was the default when the pod was created is not, nor is that of a webhook.
fn asks_for_class(pod: &Subject<'_, '_>) -> Result<bool, MapError> {
    let stored = pod.cx.content(kinds::POD, pod.key)?;
    let managers = stored.as_ref().map(|stored| stored.list_at("/metadata/managedFields")).unwrap_or_default();
    let sets_class = |manager: &Value| manager.pointer("/fieldsV1/f:spec/f:priorityClassName").is_some();
    Ok(managers.is_empty() || managers.iter().any(sets_class))
}

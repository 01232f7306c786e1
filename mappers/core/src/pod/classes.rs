//! Priority class and runtime class. The installation lists the classes of the host that a tenant may use.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{HostKey, VirtualKey, kinds, pointer};

use super::Subject;
use super::config::Pods;

pub(super) use crate::priority_class::KIND as PRIORITY_CLASS;
pub(super) use crate::runtime_class::KIND as RUNTIME_CLASS;

const PRIORITY: &str = "spec.priorityClassName";
const PREEMPTION: &str = "spec.preemptionPolicy";
const RUNTIME: &str = "spec.runtimeClassName";

/// Lets a listed priority class cross; the host computes number and preemption from it. Another class is left out:
/// charts name classes that every cluster has, and a class with `globalDefault` was not asked for at all.
pub(super) fn priority(
    pod: &Subject<'_, '_>,
    pods: &Pods,
    draft: &mut Value,
    remarks: &mut Vec<String>,
) -> Option<Refusal> {
    let (defaults, permits) = (pod.cx.defaults(kinds::POD), |field| pod.cx.permits(kinds::POD, field));
    if let Some(name) = pod.virt.str_at("/spec/priorityClassName") {
        if permits(PRIORITY) || may_use_priority(pod, pods, name) {
            pointer::set(draft, "/spec/priorityClassName", json!(name));
        } else if !defaults.contains(PRIORITY, &json!(name)) && !is_global_default(pod, name) {
            remarks.push(format!(
                "{PRIORITY}: {name} is not among the classes of pods.priorityClasses, so the pod has the default priority \
                 of the host"
            ));
        }
        return None;
    }
    let policy = pod.virt.at("/spec/preemptionPolicy").filter(|policy| *policy != "PreemptLowerPriority")?;
    if permits(PREEMPTION) {
        pointer::set(draft, "/spec/preemptionPolicy", policy.clone());
    } else if !policy.is_null() && !defaults.contains(PREEMPTION, policy) {
        return Some(refusal(PREEMPTION, "comes with a priority class only".to_owned()));
    }
    None
}

fn may_use_priority(pod: &Subject<'_, '_>, pods: &Pods, name: &str) -> bool {
    let class = || pod.cx.host(PRIORITY_CLASS, &HostKey::new("", name));
    pods.priority_classes.iter().any(|known| known == name)
        || (!pods.priority_class_labels.is_empty() && class().is_some_and(|class| pods.may_use_priority(&class)))
}

fn may_use_runtime(pod: &Subject<'_, '_>, pods: &Pods, name: &str) -> bool {
    let class = || pod.cx.host(RUNTIME_CLASS, &HostKey::new("", name));
    pods.runtime_classes.iter().any(|known| known == name)
        || (!pods.runtime_class_labels.is_empty() && class().is_some_and(|class| pods.may_use_runtime(&class)))
}

/// Returns the class of the host for the handler that a class inside names.
fn class_of_handler(pod: &Subject<'_, '_>, pods: &Pods, class: &str) -> Option<String> {
    let class = pod.cx.virt(RUNTIME_CLASS, &VirtualKey::new("", class))?;
    pods.runtime_handlers.get(class.str_at("/handler")?).cloned()
}

fn is_global_default(pod: &Subject<'_, '_>, class: &str) -> bool {
    let class = pod.cx.virt(PRIORITY_CLASS, &VirtualKey::new("", class));
    class.is_some_and(|class| class.at("/globalDefault") == Some(&json!(true)))
}

/// Lets a listed runtime class cross, and replaces a class of the tenant's own by that of the host for its handler.
/// Another class refuses the pod: a pod that asks for a sandbox must not run without one.
pub(super) fn runtime(pod: &Subject<'_, '_>, pods: &Pods, draft: &mut Value) -> Option<Refusal> {
    let name = pod.virt.str_at("/spec/runtimeClassName")?;
    let is_permitted = may_use_runtime(pod, pods, name) || pod.cx.permits(kinds::POD, RUNTIME);
    let class = if is_permitted { Some(name.to_owned()) } else { class_of_handler(pod, pods, name) };
    if let Some(class) = class {
        pointer::set(draft, "/spec/runtimeClassName", json!(class));
        return None;
    }
    let is_default = pod.cx.defaults(kinds::POD).contains(RUNTIME, &json!(name));
    (!is_default).then(|| refusal(RUNTIME, format!("{name} is not among the classes of pods.runtimeClasses")))
}

fn refusal(field: &str, why: String) -> Refusal {
    Refusal { field: field.to_owned(), why }
}

//! Namespace selectors of pod affinities. Labels of namespaces are not on the host, so a selector becomes the list of
//! the namespaces that it selects when the host pod is created.

use serde_json::{Value, json};
use tenet_mapper::translate::digest::digest;
use tenet_mapper::translate::selectors::LabelSelector;
use tenet_mapper::{Bound, Input, KeysOf, MapperSpec, Object, Projection, Side, VirtualKey, kinds, pointer};

use super::Subject;

/// Label with the name of a namespace, which the API server sets on each.
const NAME: &str = "kubernetes.io/metadata.name";

/// Sentence about a selector that selects other namespaces than when the host pod was created.
pub(super) const CHANGED: &str = "spec.affinity: the namespaces that a namespaceSelector selects have changed, and the pod on the \
                                  host keeps the former ones; delete the pod to follow";

/// Adds the namespaces of the virtual cluster to what the mapper reads.
pub(super) fn read(spec: &mut MapperSpec) -> Bound {
    spec.bind(Input::new(Side::Virtual, kinds::NAMESPACE, Projection::Metadata, KeysOf::With(|_| vec![index()])))
}

/// The key under which all of them are found. No pod has it.
fn index() -> VirtualKey {
    VirtualKey::new("", "namespaces")
}

/// Returns the pointers of the affinity terms that select namespaces by labels, each with its selector. A selector that
/// the translation refuses is not among them.
fn selecting(virt: &Value) -> Vec<(String, LabelSelector)> {
    let Some(affinity) = virt.pointer("/spec/affinity") else { return Vec::new() };
    let mut found = Vec::new();
    for kind in ["podAffinity", "podAntiAffinity"] {
        let list =
            |name: &str| pointer::elements(affinity, &format!("/{kind}/{name}DuringSchedulingIgnoredDuringExecution"));
        let preferred = list("preferred").into_iter().map(|term| format!("{term}/podAffinityTerm"));
        for term in list("required").into_iter().chain(preferred) {
            let selector = affinity.pointer(&format!("{term}/namespaceSelector"));
            if let Ok(Some(selector)) = LabelSelector::read(selector)
                && !selector.requirements().is_empty()
            {
                found.push((format!("/spec/affinity{term}"), selector));
            }
        }
    }
    found
}

/// Returns true if the selected namespaces depend on labels that may change.
pub(super) fn may_change(virt: &Object) -> bool {
    selecting(virt.value()).iter().any(|(_, selector)| named(selector).is_none())
}

/// Returns a digest of the namespaces that are selected by labels that may change; empty without any.
pub(super) fn selected(pod: &Subject<'_, '_>) -> String {
    let mut lists = Vec::new();
    for (term, selector) in selecting(pod.virt.value()) {
        if named(&selector).is_none() {
            lists.push(json!([term, matching(&selector, &pod.cx.sources(pod.namespaces, &index()))]));
        }
    }
    if lists.is_empty() { String::new() } else { digest(&Value::Array(lists)) }
}

/// Replaces the namespace selectors of a pod by lists of namespaces; `None` without any.
pub(super) fn listed(pod: &Subject<'_, '_>, virt: &Value) -> Option<Value> {
    let selecting = selecting(virt);
    if selecting.is_empty() {
        return None;
    }
    let namespaces = pod.cx.sources(pod.namespaces, &index());
    let mut listed = virt.clone();
    for (pointer, selector) in selecting {
        let Some(term) = listed.pointer_mut(&pointer).and_then(Value::as_object_mut) else { continue };
        let names = named(&selector).unwrap_or_else(|| matching(&selector, &namespaces));
        let mut all: Vec<_> = term.get("namespaces").and_then(Value::as_array).cloned().unwrap_or_default();
        all.extend(names.into_iter().map(Value::String));
        // An empty list would mean the namespace of the pod. No namespace has the empty name.
        if all.is_empty() {
            all.push(json!(""));
        }
        term.remove("namespaceSelector");
        term.insert("namespaces".to_owned(), Value::Array(all));
    }
    Some(listed)
}

/// Returns the names that a selector lists; `None` if it selects by other labels, or excludes names.
fn named(selector: &LabelSelector) -> Option<Vec<String>> {
    let mut names: Option<Vec<String>> = None;
    for requirement in selector.requirements() {
        if requirement["key"] != NAME || requirement["operator"] != "In" {
            return None;
        }
        let values = requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values: Vec<_> = values.map(str::to_owned).collect();
        names = Some(match names {
            None => values,
            Some(names) => names.into_iter().filter(|name| values.contains(name)).collect(),
        });
    }
    names
}

/// Returns the names of the namespaces that a selector matches, in order.
fn matching(selector: &LabelSelector, namespaces: &[Object]) -> Vec<String> {
    let is_selected = |namespace: &&Object| selector.matches(namespace.at("/metadata/labels"));
    let mut names: Vec<_> =
        namespaces.iter().filter(is_selected).map(|namespace| namespace.name().to_owned()).collect();
    names.sort_unstable();
    names
}

//! Peers of a policy. Labels of namespaces are not on the host, so a selector of namespaces becomes the list of those
//! that it selects, which follows.

use serde_json::{Value, json};
use tenet_mapper::translate::selectors::LabelSelector;
use tenet_mapper::{Context, Object, Side, kinds, pointer};

/// Label with the name of a namespace, which the API server sets on each.
pub(super) const NAME: &str = "kubernetes.io/metadata.name";

/// Returns the pointers of the lists of peers, one for each rule.
pub(super) fn lists(policy: &Value) -> Vec<String> {
    let directions = [("/spec/ingress", "from"), ("/spec/egress", "to")];
    let lists = directions.into_iter().flat_map(|(rules, peers)| {
        pointer::elements(policy, rules).into_iter().map(move |rule| format!("{rule}/{peers}"))
    });
    lists.collect()
}

/// Returns true for a peer without a selector, which the API server does not store. An empty selector is one.
pub(super) fn is_empty(peer: &Value) -> bool {
    ["podSelector", "namespaceSelector"].iter().all(|field| peer.get(field).is_none_or(Value::is_null))
}

/// Returns true if the namespaces that a policy selects depend on labels that may change.
pub(super) fn depend_on_labels(policy: &Object) -> bool {
    let peers = lists(policy.value()).into_iter().flat_map(|list| pointer::elements(policy.value(), &list));
    peers.into_iter().any(|peer| policy.at(&format!("{peer}/namespaceSelector")).and_then(by_labels).is_some())
}

/// Returns a selector of namespaces that selects by their names alone.
pub(super) fn listed(cx: &Context<'_>, selector: Option<&Value>) -> Option<Value> {
    let Some(labels) = selector.and_then(by_labels) else { return selector.cloned() };
    let namespaces = cx.list(Side::Virtual, kinds::NAMESPACE, "");
    let selected = namespaces.iter().filter(|namespace| labels.matches(namespace.at("/metadata/labels")));
    let mut names: Vec<_> = selected.map(Object::name).collect();
    names.sort_unstable();
    // An empty list is no selector. No namespace has the empty name.
    if names.is_empty() {
        names.push("");
    }
    Some(json!({"matchExpressions": [{"key": NAME, "operator": "In", "values": names}]}))
}

/// Returns a selector that selects by labels other than the name.
fn by_labels(selector: &Value) -> Option<LabelSelector> {
    let selector = LabelSelector::read(Some(selector)).ok()??;
    selector.requirements().iter().any(|requirement| requirement["key"] != NAME).then_some(selector)
}

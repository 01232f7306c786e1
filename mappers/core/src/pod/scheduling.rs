//! Scheduling: the host's scheduler chooses the node, and the virtual pod is bound to it.

use tenet_mapper::{Bind, Dependency, Effect, Object, VirtualKey, kinds};

use super::Subject;

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

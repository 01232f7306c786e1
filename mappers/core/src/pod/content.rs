//! ConfigMaps and Secrets that a pod mounts or reads must be on the host before the pod, so that it does not start
//! with an older version than the tenant has written.

use tenet_mapper::keys::SOURCE;
use tenet_mapper::{Dependency, Outcome, VirtualKey, kinds};

use super::Subject;

/// Returns the wait for copies that are missing, or older than their original. An object that does not exist
/// inside delays nothing: the kubelet waits for it, unless it is optional.
pub(super) fn missing(pod: &Subject<'_, '_>) -> Option<Outcome> {
    let mut outcome = Outcome::done();
    for reference in pod.references() {
        let kind = [kinds::CONFIG_MAP, kinds::SECRET].into_iter().find(|kind| *kind == reference.kind);
        let Some(kind) = kind else { continue };
        let key = VirtualKey::new(pod.virt.namespace(), reference.name.as_str());
        let Some(original) = pod.cx.virt(kind, &key).filter(|original| !original.is_deleting()) else { continue };
        let host_key = pod.cx.host_key(kind, &key);
        let version = format!("{}/{}/", original.uid(), original.resource_version());
        let copy = pod.cx.host(kind, &host_key);
        if !copy.is_some_and(|copy| copy.annotation(SOURCE).is_some_and(|source| source.starts_with(&version))) {
            outcome = outcome.wait_for(Dependency::host(kind, &host_key));
        }
    }
    (!outcome.wait.is_empty()).then_some(outcome)
}

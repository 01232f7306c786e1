//! ConfigMaps and Secrets that a pod mounts or reads must be on the host before the pod, so that it does not start with
//! an older version than the tenant has written. What does not exist inside must not exist on the host either: a
//! kubelet would give the pod an object of somebody else that has the name of the copy.

use tenet_mapper::keys::SOURCE;
use tenet_mapper::{Dependency, HostKey, Kind, MapError, Outcome, Read, VirtualKey, kinds};

use super::Subject;

/// Returns the wait for copies that are missing, or older than their original. An object that does not exist
/// inside delays nothing: the kubelet waits for it, unless it is optional.
pub(super) fn missing(pod: &Subject<'_, '_>) -> Option<Outcome> {
    let mut outcome = Outcome::done();
    for (kind, key) in references(pod) {
        let Some(original) = pod.cx.virt(kind, &key).filter(|original| !original.is_ending()) else { continue };
        let host_key = pod.cx.host_key(kind, &key);
        let version = format!("{}/{}/", original.uid(), original.resource_version());
        let copy = pod.cx.host(kind, &host_key);
        if !copy.is_some_and(|copy| copy.annotation(SOURCE).is_some_and(|source| source.starts_with(&version))) {
            outcome = outcome.wait_for(Dependency::host(kind, &host_key)).tell_if_it_lasts(late(kind, &key));
        }
    }
    (!outcome.wait.is_empty()).then_some(outcome)
}

/// Returns the sentence about an object that something holds back, of which the tenant learns at that object alone.
pub(super) fn late(kind: Kind, key: &VirtualKey) -> String {
    format!("the {} {} is not on the host as it is inside; its events say why", kind.kind, key.name())
}

/// Fails when a foreign object has the name of a copy that is not on the host. Informers do not show foreign objects,
/// so the names are read from the API server.
pub(super) fn check_names(pod: &Subject<'_, '_>) -> Result<(), MapError> {
    let is_copied = |(kind, key, host_key): &(Kind, VirtualKey, HostKey)| {
        pod.cx.virt(*kind, key).is_some() && pod.cx.host(*kind, host_key).is_some()
    };
    let names = references(pod).map(|(kind, key)| (kind, key.clone(), pod.cx.host_key(kind, &key)));
    let unknown: Vec<_> = names.filter(|name| !is_copied(name)).collect();
    pod.cx.need(unknown.iter().map(|(kind, _, host_key)| Read::host_metadata(*kind, host_key)))?;
    for (kind, key, host_key) in unknown {
        if let Some(found) = pod.cx.host_metadata(kind, &host_key)? {
            pod.cx.owned_by(kind, &key, &found)?;
        }
    }
    Ok(())
}

/// The ConfigMaps and Secrets that a pod refers to.
fn references(pod: &Subject<'_, '_>) -> impl Iterator<Item = (Kind, VirtualKey)> {
    pod.references().into_iter().filter_map(|reference| {
        let kind = [kinds::CONFIG_MAP, kinds::SECRET].into_iter().find(|kind| *kind == reference.kind)?;
        Some((kind, VirtualKey::new(pod.virt.namespace(), reference.name.as_str())))
    })
}

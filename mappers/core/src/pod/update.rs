//! What follows to a host pod after its creation.
//!
//! The host pod records what the tenant's changeable fields were when they last crossed. Only
//! a field that has changed inside since then is written, so whatever the host itself makes
//! of an image, of resources or tolerations stays as the host wants it.

mod ephemeral;
mod metadata;
mod record;
mod resize;
mod spec;

use serde_json::{Value, json};
use tenet_mapper::{Effect, EventReason, MapError, Object, PatchFormat, patch};

pub(super) use record::Record;

use super::{Subject, status};

/// The writes that bring a host pod up to date.
pub(super) fn effects(pod: &Subject<'_, '_>, host: &Object) -> Vec<Effect> {
    let (before, mut now) = (Record::on(host), Record::of(pod.virt));
    let resize = resize::change(pod.virt, host, &before, &mut now);
    let mut body = metadata::change(pod, host, &now);
    if now != before
        && let Some(change) = spec::change(pod.virt, host, &before, &now)
    {
        body["spec"] = change;
    }
    let mut effects = Vec::new();
    if !patch::same(&body, &json!({})) {
        effects.push(pod.patch_host(None, PatchFormat::Strategic, body));
    }
    effects.extend(status::gates(pod, host));
    effects.extend(resize.map(|body| pod.patch_host(Some("resize"), PatchFormat::Strategic, body)));
    effects
}

/// Containers to debug with. They are only ever added, and have to be carried across like
/// the containers of a new pod. The tenant is told which cannot be added.
pub(super) fn ephemeral(pod: &Subject<'_, '_>, host: &Object) -> Result<Vec<Effect>, MapError> {
    let ephemeral::New { containers, refusals } = ephemeral::new(pod, host)?;
    let mut effects = Vec::new();
    if !containers.is_empty() {
        let body = json!({"spec": {"ephemeralContainers": containers}});
        effects.push(pod.patch_host(Some("ephemeralcontainers"), PatchFormat::Strategic, body));
    }
    if !refusals.is_empty() {
        effects.push(pod.event(EventReason::Refused, &MapError::Refused(refusals).to_string()));
    }
    Ok(effects)
}

/// Whether the host has all that the tenant has changed.
pub(super) fn is_followed(virt: &Object, host: &Object) -> bool {
    Record::on(host) == Record::of(virt)
}

/// The element of a list with this name.
fn named<'o>(object: &'o Object, list: &str, name: &Value) -> Option<&'o Value> {
    object.list_at(&format!("/spec/{list}")).iter().find(|element| element["name"] == *name)
}

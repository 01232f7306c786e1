//! Services inside that have a further name on the host: a second host Service with the selector of the first, and with
//! addresses of its own.

use serde_json::{Value, json};
use tenet_mapper::keys::SHOWS;
use tenet_mapper::{
    ApplyHost, Bound, Context, CopyMapper, Deletion, Effect, EventReason, EventType, HostKey, Input, KeysOf, MapError,
    Mapper, Object, Outcome, Projection, Side, Step, VirtualKey, kinds,
};

use super::config::ReplicateServices;
use crate::service::{Services, address, change, has_selector, is_external};

/// Returns the host Services under further names.
pub(in crate::service) fn input() -> Input {
    Input::new(Side::Host, kinds::SERVICE, Projection::Whole, KeysOf::With(key_of_further))
}

fn key_of_further(host: &Object) -> Vec<VirtualKey> {
    let shown = host.annotation(SHOWS).and_then(|shown| shown.split_once('/'));
    shown.map(|(namespace, name)| VirtualKey::new(namespace, name)).into_iter().collect()
}

/// Adds the host Services under further names to the outcome of a Service.
pub(in crate::service) fn expose(
    copies: &CopyMapper<Services>,
    further: Bound,
    cx: &Context<'_>,
    key: &VirtualKey,
    outcome: Outcome,
) -> Result<Outcome, MapError> {
    let section = cx.section::<ReplicateServices>();
    let (virt, own) = (cx.virt(kinds::SERVICE, key), cx.host_key(kinds::SERVICE, key));
    let wanted: Vec<_> = section.names_of(key).filter(|name| *name != own.name()).collect();
    let mut steps = Vec::new();
    for host in cx.sources(further, key) {
        if host.name() == own.name() || host.is_deleting() || cx.owned_by(kinds::SERVICE, key, &host).is_err() {
            continue;
        }
        steps.extend(removal(cx, key, &host, virt.as_ref(), wanted.contains(&host.name())).map(Step::from));
    }
    if let Some(virt) = virt.filter(|virt| !virt.is_ending() && !is_external(virt)) {
        for name in wanted {
            let host_key = HostKey::new(own.namespace(), name);
            steps.push(exposed(copies, cx, &virt, host_key)?);
        }
    }
    Ok(outcome.then_each(steps))
}

/// Returns the delete of a host Service that is not wanted.
fn removal(
    cx: &Context<'_>,
    key: &VirtualKey,
    host: &Object,
    virt: Option<&Object>,
    is_listed: bool,
) -> Option<Effect> {
    let deletion = match virt {
        None => Deletion::orphan(kinds::SERVICE, host, kinds::SERVICE),
        Some(virt) if cx.owned_by(kinds::SERVICE, key, host).is_ok_and(|owner| owner.uid != virt.uid()) => {
            Deletion::orphan(kinds::SERVICE, host, kinds::SERVICE)
        }
        Some(virt) if virt.is_ending() => Deletion::follow(kinds::SERVICE, host, virt)?,
        Some(virt) if !is_listed || is_external(virt) => Deletion::redundant(kinds::SERVICE, host),
        Some(_) => return None,
    };
    Some(Effect::Delete(deletion))
}

/// Returns the write of a host Service under a further name. A name that is taken does not disturb the copy.
fn exposed(copies: &CopyMapper<Services>, cx: &Context<'_>, virt: &Object, key: HostKey) -> Result<Step, MapError> {
    let warning = |message: String| Step::from(change::event(virt, EventReason::Degraded, EventType::Warning, message));
    if !has_selector(virt) {
        return Ok(warning(format!("is not at {} on the host: it has no selector", key.name())));
    }
    let present = cx.host(kinds::SERVICE, &key);
    if let Some(found) = &present
        && cx.owned(kinds::SERVICE, found).is_err()
    {
        return Ok(warning(format!("is not at {} on the host: something else has that name", key.name())));
    }
    let draft = copies.desired(cx, virt, None)?;
    let mut desired = address::without(&draft).unwrap_or(draft);
    desired["metadata"]["name"] = json!(key.name());
    let annotations = &mut desired["metadata"]["annotations"];
    for (annotation, value) in cx.owner(kinds::SERVICE, virt).annotations(key.namespace(), key.name()) {
        annotations[annotation] = value;
    }
    annotations[SHOWS] = json!(format!("{}/{}", virt.namespace(), virt.name()));
    if let Some(spec) = desired.get_mut("spec").and_then(Value::as_object_mut) {
        // Inside the host it is a plain Service, whatever the tenant shows to the world.
        spec.insert("type".to_owned(), json!("ClusterIP"));
        for field in [
            "externalTrafficPolicy",
            "loadBalancerIP",
            "loadBalancerSourceRanges",
            "loadBalancerClass",
            "allocateLoadBalancerNodePorts",
        ] {
            spec.remove(field);
        }
    }
    let apply = ApplyHost {
        kind: kinds::SERVICE,
        key,
        owner: cx.owner(kinds::SERVICE, virt),
        desired,
        table: copies.spec().table.clone(),
        fallback: None,
    };
    Ok(Effect::ApplyHost(Box::new(apply)).best_effort())
}

//! Creation of the host pod of a virtual pod.

use std::time::Duration;

use serde_json::{Value, json};
use tenet_mapper::keys::FOLLOWED;
use tenet_mapper::{ApplyHost, Deletion, Effect, EventReason, MapError, Outcome, kinds};

use super::draft::Draft;
use super::env::NotYet;
use super::owner::Owner;
use super::projected::{Content, Files};
use super::update::Record;
use super::{Subject, content, draft, env, exposure, hosts_file, nameserver, owner, placement, projected, volumes};

/// Time in which the host usually places a new pod. Before that nothing is to be done for it.
const SCHEDULED: Duration = Duration::from_secs(2);

/// Creates the host pod, and the Secret beside it.
pub(super) fn create(pod: &Subject<'_, '_>) -> Result<Outcome, MapError> {
    let Draft { mut host, mut remarks } = draft::draft(pod, |labels| exposure::refusal(pod, labels))?;
    if let Some(waiting) = placement::wait_for_node(pod) {
        return Ok(waiting);
    }
    if let Some(waiting) = content::missing(pod) {
        return Ok(waiting);
    }
    if let Some(waiting) = volumes::missing(pod) {
        return Ok(waiting);
    }
    if let Some(waiting) = nameserver::missing(pod) {
        return Ok(waiting);
    }
    content::check_names(pod)?;
    let owners = match owner::find(pod.cx)? {
        Owner::Known(owners) => owners,
        Owner::Missing(missing) => return Ok(Outcome::one(owner::create(pod.cx)).wait_for(missing)),
    };
    host["metadata"]["ownerReferences"] = owners;
    let variables = match env::add(pod, &mut host) {
        Ok(variables) => variables,
        Err(NotYet::Missing(missing)) => return Ok(Outcome::done().wait_for(missing)),
        Err(NotYet::Taken(error)) => return Err(error),
    };
    remarks.extend(hosts_file::add(pod, &mut host));
    // No container starts before its token exists: the kubelet waits for the Secret.
    let files = Files::of(pod);
    remarks.extend(files.remarks());
    let secret = match files.content(pod, pod.virt.str_at("/spec/nodeName")) {
        Content::Due(mint) => Some(Effect::MintTokens(mint)),
        _ => None,
    };
    let remarks = remarks.iter().map(|remark| pod.event(EventReason::Degraded, remark));
    Ok(Outcome::done()
        .settles(SCHEDULED)
        .then_together(stale_secret(pod).into_iter().chain(variables))
        .then_together(secret.into_iter().chain([apply(pod, host)]))
        .then_together(remarks))
}

/// The Secret of an earlier pod of this name.
fn stale_secret(pod: &Subject<'_, '_>) -> Option<Effect> {
    let (secret, _) = projected::secret(pod.cx, pod.key).filter(|(_, owner)| owner.uid != pod.virt.uid())?;
    Some(Effect::Delete(Deletion::orphan(kinds::SECRET, &secret, kinds::POD)))
}

fn apply(pod: &Subject<'_, '_>, mut host: Value) -> Effect {
    // The API accepts ephemeral containers only on an existing pod.
    if let Some(spec) = host.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("ephemeralContainers");
    }
    host["metadata"]["annotations"][FOLLOWED] =
        json!(Record::of(pod.virt).with_namespaces(pod).with_placement(pod).text());
    Effect::ApplyHost(Box::new(ApplyHost {
        kind: kinds::POD,
        key: pod.host_key.clone(),
        owner: pod.owner(),
        desired: host,
        table: None,
        fallback: None,
    }))
}

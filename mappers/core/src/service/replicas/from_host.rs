//! Services of the host, shown inside. A Service with an address is one without a cluster address inside, whose endpoint
//! is the address of the host's: names resolve to it, and the host balances. A headless one has the addresses of the
//! host's slices, and one with an external name has that name. Nothing of it is copied back to the host.
//!
//! The picture of a Service that is gone is deleted after a proof. What the syncer may not read stays as it was.

use std::collections::BTreeSet;

use tenet_mapper::keys::SHOWS;
use tenet_mapper::{
    Bound, Context, Deletion, Dependency, Effect, Event, EventReason, EventType, HostKey, Kind, Object, Outcome,
    Reading, Side, VirtualKey, kinds,
};

use super::config::{FromHost, ReplicateServices};
use super::picture::{self, Form};
use super::reads::is_own;
use crate::pod::Dns;
use crate::service::change;

/// Returns true if a virtual Service shows one of the host, also when the configuration does not list it any more.
pub(in crate::service) fn is_shown(cx: &Context<'_>, virt: &Object) -> bool {
    cx.facts().has_made(virt) && virt.annotation(SHOWS).is_some()
}

/// Adds to the outcome of a key what shows the Service of the host that is listed for it, unless the name is taken.
pub(in crate::service) fn begin(cx: &Context<'_>, slices: Bound, key: &VirtualKey, outcome: Outcome) -> Outcome {
    let section = cx.section::<ReplicateServices>();
    let Some(entry) = section.shown_at(key) else { return outcome };
    match cx.virt(kinds::SERVICE, key) {
        Some(virt) if virt.is_deleting() => outcome,
        Some(virt) if cx.host(kinds::SERVICE, &entry.host_key(cx.facts())).is_some() => {
            let message = format!(
                "does not show the Service {} of the host, as the configuration of the syncer wants: a Service of yours \
                 has this name",
                entry.from
            );
            outcome.then(warning(&virt, message))
        }
        Some(_) => outcome,
        // The copy of an earlier Service of the tenant goes first.
        None if cx.host(kinds::SERVICE, &cx.host_key(kinds::SERVICE, key)).is_some() => outcome,
        None => shown(cx, slices, entry, None, outcome),
    }
}

/// Looks after a virtual Service that shows one of the host.
pub(in crate::service) fn show(cx: &Context<'_>, slices: Bound, key: &VirtualKey, virt: &Object) -> Outcome {
    if virt.is_deleting() {
        return Outcome::done();
    }
    let outcome = Outcome::done().then_each(leftover(cx, key, virt));
    match cx.section::<ReplicateServices>().shown_at(key) {
        Some(entry) => shown(cx, slices, entry, Some(virt), outcome),
        None => unlisted(cx, slices, key, virt, outcome),
    }
}

/// Returns the delete of the copy of an earlier Service of the tenant under this name.
fn leftover(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> Option<Effect> {
    let copy = cx.host(kinds::SERVICE, &cx.host_key(kinds::SERVICE, key)).filter(|copy| !copy.is_deleting())?;
    let owner = cx.owned_by(kinds::SERVICE, key, &copy).ok()?;
    (owner.uid != virt.uid()).then(|| Effect::Delete(Deletion::orphan(kinds::SERVICE, &copy, kinds::SERVICE)))
}

/// Ends what a Service shows that the configuration does not list any more. The tenant may still use it, so it stays.
fn unlisted(cx: &Context<'_>, slices: Bound, key: &VirtualKey, virt: &Object, outcome: Outcome) -> Outcome {
    let shown = virt.annotation(SHOWS).and_then(|shown| shown.split_once('/'));
    let shown = shown.map(|(namespace, name)| HostKey::new(namespace, name));
    let closed = shown.map(|shown| picture::closed(key, &shown, virt));
    let emptied = cx.sources(slices, key).into_iter().filter(|slice| cx.facts().has_made(slice));
    let emptied: Vec<_> = emptied.map(|slice| picture::emptied(&slice)).collect();
    let message = "shows no Service of the host any more: the configuration does not list it; delete it";
    outcome.then_together(closed.into_iter().chain(emptied)).then(warning(virt, message))
}

/// Adds the writes for one entry of the list.
fn shown(cx: &Context<'_>, slices: Bound, entry: &FromHost, virt: Option<&Object>, outcome: Outcome) -> Outcome {
    let (key, host_key) = (entry.key(), entry.host_key(cx.facts()));
    let namespace = VirtualKey::new("", key.namespace());
    let outcome = outcome.wait_for(Dependency::virt(kinds::NAMESPACE, &namespace));
    let Some(namespace) = cx.virt(kinds::NAMESPACE, &namespace).filter(|namespace| !namespace.is_deleting()) else {
        return outcome;
    };
    let warn = |message: String| match virt {
        Some(virt) => warning(virt, message),
        None => Effect::Emit(Event::warning(kinds::NAMESPACE, &namespace, EventReason::Degraded, message)),
    };
    let reading = reading(cx, kinds::SERVICE, host_key.namespace());
    match (reading, cx.host(kinds::SERVICE, &host_key), virt) {
        (Reading::Forbidden, ..) => outcome.then(warn(forbidden(entry, "Services", &host_key))),
        (_, Some(source), _) => follow(cx, slices, entry, &source, virt, outcome, &warn),
        (Reading::Listed, None, Some(virt)) => end(cx, slices, entry, virt, outcome),
        (_, None, _) => outcome,
    }
}

/// Adds the writes after which the Service inside shows this one of the host.
fn follow(
    cx: &Context<'_>,
    slices: Bound,
    entry: &FromHost,
    source: &Object,
    virt: Option<&Object>,
    outcome: Outcome,
    warn: &dyn Fn(String) -> Effect,
) -> Outcome {
    let (key, host_key, form) = (entry.key(), entry.host_key(cx.facts()), Form::of(source));
    match &form {
        Form::Balanced(addresses) if addresses.is_empty() => {
            let message = format!("the host has no Service {} with an address", entry.from);
            return outcome.then_together(rest(cx, slices, &key, &BTreeSet::new())).then(warn(message));
        }
        Form::External(name) if is_local(cx, name) => {
            let message = format!(
                "cannot show the Service {} of the host: its external name {name} is one inside the host cluster, which \
                 means another Service here",
                entry.from
            );
            return outcome.then_together(rest(cx, slices, &key, &BTreeSet::new())).then(warn(message));
        }
        _ => {}
    }
    let outcome = outcome.then(picture::service(&key, &host_key, source, &form, virt));
    // The slices belong to the Service, whose creation wakes the key again.
    let Some(virt) = virt else { return outcome };
    let written: Vec<_> = match &form {
        Form::Balanced(addresses) => addresses.iter().map(|it| picture::of_address(virt, source, *it)).collect(),
        Form::External(_) => Vec::new(),
        Form::Headless => match reading(cx, kinds::ENDPOINT_SLICE, host_key.namespace()) {
            Reading::Listed => {
                let of_source = slices_of(cx, &host_key);
                of_source.iter().filter_map(|slice| picture::of_slice(virt, slice)).collect()
            }
            // They stay as they were.
            Reading::Listing => return outcome,
            Reading::Forbidden => return outcome.then(warn(forbidden(entry, "EndpointSlices", &host_key))),
        },
    };
    let (kept, writes): (BTreeSet<_>, Vec<_>) = written.into_iter().unzip();
    outcome.then_together(writes.into_iter().chain(rest(cx, slices, &key, &kept)))
}

/// Returns the slices of a Service of the host.
fn slices_of(cx: &Context<'_>, service: &HostKey) -> Vec<Object> {
    let mut slices = cx.list(Side::Host, kinds::ENDPOINT_SLICE, service.namespace());
    slices.retain(|slice| slice.label(picture::SERVICE_NAME) == Some(service.name()));
    slices
}

/// Returns the writes for slices of a Service inside that it does not need: the picture of a slice that is gone goes,
/// every other one is emptied.
fn rest(cx: &Context<'_>, slices: Bound, key: &VirtualKey, kept: &BTreeSet<VirtualKey>) -> Vec<Effect> {
    let is_rest = |slice: &Object| {
        let of = VirtualKey::new(slice.namespace(), slice.name());
        cx.facts().has_made(slice) && !slice.is_deleting() && !kept.contains(&of)
    };
    let is_gone = |slice: &Object| {
        let shown = slice.annotation(SHOWS).and_then(|shown| shown.split_once('/'));
        shown.is_some_and(|(namespace, name)| {
            reading(cx, kinds::ENDPOINT_SLICE, namespace) == Reading::Listed
                && cx.host(kinds::ENDPOINT_SLICE, &HostKey::new(namespace, name)).is_none()
        })
    };
    let rest = cx.sources(slices, key).into_iter().filter(is_rest);
    rest.map(|slice| {
        if is_gone(&slice) {
            Effect::Delete(Deletion::picture(kinds::ENDPOINT_SLICE, &slice))
        } else {
            picture::emptied(&slice)
        }
    })
    .collect()
}

/// Ends the picture of a Service of the host that is gone.
fn end(cx: &Context<'_>, slices: Bound, entry: &FromHost, virt: &Object, outcome: Outcome) -> Outcome {
    let (key, host_key) = (entry.key(), entry.host_key(cx.facts()));
    if virt.annotation(SHOWS) != Some(&host_key.to_string()) {
        // It showed another one; the proof is about the one that it shows.
        let closed = picture::closed(&key, &host_key, virt);
        return outcome.then(closed).then_together(rest(cx, slices, &key, &BTreeSet::new()));
    }
    let message = format!("is deleted: the Service {} of the host is gone", entry.from);
    let told = change::event(virt, EventReason::Changed, EventType::Normal, message);
    outcome.then(Effect::Delete(Deletion::picture(kinds::SERVICE, virt))).then(told)
}

/// Returns the state of the stream of a kind in a host namespace.
fn reading(cx: &Context<'_>, kind: Kind, namespace: &str) -> Reading {
    // The mapper does not run before the Services of the host namespace are listed.
    if kind == kinds::SERVICE && is_own(cx.facts(), namespace) { Reading::Listed } else { cx.reading(kind, namespace) }
}

/// Returns true for a name inside a cluster, which would mean a Service of the virtual one.
fn is_local(cx: &Context<'_>, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let domain = format!(".svc.{}", cx.section::<Dns>().cluster_domain);
    [".svc", ".svc.cluster.local", &domain].iter().any(|suffix| name.ends_with(suffix))
}

fn forbidden(entry: &FromHost, what: &str, host_key: &HostKey) -> String {
    format!(
        "cannot show the Service {} of the host in {}: the syncer may not read {what} in namespace {} of the host",
        entry.from,
        entry.to,
        host_key.namespace()
    )
}

fn warning(virt: &Object, message: impl Into<String>) -> Effect {
    Effect::Emit(Event::warning(kinds::SERVICE, virt, EventReason::Degraded, message))
}

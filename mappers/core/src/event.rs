//! Events of the host about objects of ours, shown on the virtual object in the tenant's names: why a pod finds no
//! node, an image cannot be pulled, a volume cannot be mounted, a probe fails.
//!
//! One key is one object of the host. Its events are shown as `core/v1` has always had them, with a count and a first
//! and last time, whatever the form in which the host's component wrote them.

mod recorded;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::{Rule, Table, omit, set};
use tenet_mapper::translate::{Wording, digest};
use tenet_mapper::{
    ApplyVirtual, Bound, Context, Dependency, Effect, HostKey, Input, KeysOf, Kind, MapError, Mapper, MapperSpec, Next,
    Object, Outcome, Projection, Right, Side, Step, Verb, VirtualKey, kinds,
};

use recorded::Recorded;

const RULES: &[Rule] = &[
    set("involvedObject", "names the virtual object"),
    set("message", "uses the names of the tenant"),
    set("reason", "is the same as on the host"),
    set("type", "is the same as on the host"),
    set("source", "names the component, without its node"),
    set("reportingComponent", "is the same as on the host"),
    set("count", "is the same as on the host, and is written once per interval"),
    set("firstTimestamp", "is the same as on the host"),
    set("lastTimestamp", "is the same as on the host"),
    omit("eventTime", "becomes firstTimestamp"),
    omit("series", "becomes count and lastTimestamp"),
    omit("action", "concerns only the component of the host"),
    omit("related", "may be an object that is not ours"),
    omit("reportingInstance", "concerns only the component of the host"),
];

/// Part of an event that the cache keeps.
const FIELDS: &[&str] = &[
    "involvedObject",
    "message",
    "reason",
    "type",
    "source.component",
    "reportingComponent",
    "count",
    "series",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
];

/// Kinds whose events are shown.
const SUBJECTS: [Kind; 3] = [kinds::POD, kinds::SERVICE, kinds::PERSISTENT_VOLUME_CLAIM];
/// Label selector of the virtual events that the syncer has written.
const SHOWN: &str = MANAGED_BY;
/// Events that are shown of one object, the latest ones. A component of the host sends up to 25 in a burst.
const PER_OBJECT: usize = 25;
/// Time in which events of one object are gathered: a start of a pod is five of them.
const SETTLE: Duration = Duration::from_millis(500);
/// Bytes of the object's name in the name of an event, which may have 253 with the digest.
const LONGEST_NAME: usize = 180;
/// Seconds between two updates of one event.
const INTERVAL: i64 = 10;
/// Age in seconds from which an event is not shown any more: an API server deletes it after an hour, and the syncer
/// would create it again.
const OLDEST: i64 = 45 * 60;

/// Shows events of the host.
pub struct EventMapper {
    spec: MapperSpec,
    /// The events of an object of the host.
    events: Bound,
    /// The table of pods, which finds the names that messages about a pod may hold.
    pods: Arc<Table>,
}

impl EventMapper {
    /// The mapper of events.
    pub fn new() -> Self {
        let mut spec =
            MapperSpec { table: Some(crate::table(&[("", RULES)]).into()), ..MapperSpec::new("event", kinds::EVENT) }
                .settles(SETTLE)
                .reads(
                    Input::new(
                        Side::Virtual,
                        kinds::EVENT,
                        Projection::Fields(&["count", "firstTimestamp", "lastTimestamp", "message"]),
                        KeysOf::None,
                    )
                    .selected(SHOWN),
                )
                .needs(Right::virt(
                    kinds::EVENT,
                    &[Verb::Get, Verb::Create, Verb::Patch],
                    "shows the events of the host",
                ));
        let of_host = Input::new(Side::Host, kinds::EVENT, Projection::Fields(FIELDS), KeysOf::With(subject)).foreign();
        let events = spec.bind(of_host);
        for kind in SUBJECTS {
            let read = |side| Input::new(side, kind, Projection::Metadata, KeysOf::None).optional();
            spec = spec.reads(read(Side::Host)).reads(read(Side::Virtual));
        }
        Self { spec, events, pods: crate::pod::table::table() }
    }

    /// Returns the names of the host that messages about an object may hold: its own, and of what it refers to.
    fn wording(&self, cx: &Context<'_>, host: &Object, virt: &Object) -> Wording {
        let references = self.pods.references(virt.value()).into_iter();
        references.fold(crate::wording(cx, host, virt), |wording, reference| {
            let host_key = cx.host_key_named(reference.kind, virt.namespace(), &reference.name);
            wording.object(host_key.name(), &reference.name)
        })
    }
}

impl Default for EventMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for EventMapper {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let mut events: Vec<_> = cx.sources(self.events, key).iter().filter_map(Recorded::read).collect();
        events.retain(|event| event.last > cx.now() - OLDEST);
        let Some(kind) = kind_of(key).filter(|_| !events.is_empty()) else { return Ok(Outcome::done()) };
        let host_key = HostKey::new(cx.facts().names.host_namespace(""), key.name());
        let Some(host) = cx.host(kind, &host_key) else {
            // The stream of events may be ahead of the one of objects.
            return Ok(Outcome::done().wait_for(Dependency::host(kind, &host_key)));
        };
        let Some(owner) = cx.ownership(&host).ours().filter(|owner| owner.kind == kind) else {
            return Ok(Outcome::done());
        };
        let virt_key = VirtualKey::new(owner.namespace.as_str(), owner.name.as_str());
        let Some(virt) = cx.virt(kind, &virt_key).filter(|virt| virt.uid() == owner.uid) else {
            return Ok(Outcome::done());
        };
        events.retain(|event| event.subject_uid == host.uid());
        events.sort_by(|a, b| (b.last, &b.uid).cmp(&(a.last, &a.uid)));
        events.truncate(PER_OBJECT);
        let wording = self.wording(cx, &host, &virt);
        let mut shown: Vec<Step> = Vec::new();
        let mut due = None;
        for event in &events {
            let shown_key = VirtualKey::new(virt.namespace(), name_of(&virt, event));
            match cx.virt(kinds::EVENT, &shown_key) {
                Some(found) if event.is_shown_by(&found) => {}
                Some(found) if cx.now() < Recorded::last_of(&found) + INTERVAL => {
                    let at = Recorded::last_of(&found) + INTERVAL;
                    due = Some(due.map_or(at, |due: i64| due.min(at)));
                }
                // A namespace that is being deleted takes no more events.
                _ => shown.push(Effect::ApplyVirtual(show(kind, &virt, event, &wording, shown_key)).best_effort()),
            }
        }
        let outcome = Outcome::done().then_together(shown);
        Ok(match due {
            Some(at) => outcome.next(Next::At(at)),
            None => outcome,
        })
    }
}

/// Returns the virtual event that shows one of the host.
fn show(kind: Kind, virt: &Object, event: &Recorded, wording: &Wording, key: VirtualKey) -> ApplyVirtual {
    let mut subject = json!({
        "apiVersion": kind.api_version(), "kind": kind.kind,
        "namespace": virt.namespace(), "name": virt.name(), "uid": virt.uid(),
    });
    if let Some(field) = &event.field {
        subject["fieldPath"] = json!(field);
    }
    let mut desired = event.as_counted(wording);
    desired["metadata"] = json!({"namespace": key.namespace(), "name": key.name()});
    desired["involvedObject"] = subject;
    ApplyVirtual { kind: kinds::EVENT, key, desired, adopt: false }
}

/// Returns the name of the virtual event. It is the same after a restart, so that nothing is shown twice.
fn name_of(virt: &Object, event: &Recorded) -> String {
    let readable = virt.name().get(..LONGEST_NAME).unwrap_or(virt.name()).trim_end_matches(['.', '-']);
    format!("{readable}.{}", digest::of_parts("event", &[&event.uid]))
}

/// Returns the key of the object that an event of the host is about. The names of two kinds do not tell them
/// apart, so the kind takes the place of the namespace.
fn subject(event: &Object) -> Vec<VirtualKey> {
    let about = |member: &str| event.str_at(&format!("/involvedObject/{member}")).unwrap_or_default();
    let is_core = about("apiVersion") == "v1" || about("apiVersion").is_empty();
    let kind = SUBJECTS.into_iter().find(|kind| is_core && kind.kind == about("kind"));
    kind.map(|kind| VirtualKey::new(kind.kind, about("name"))).into_iter().collect()
}

fn kind_of(key: &VirtualKey) -> Option<Kind> {
    SUBJECTS.into_iter().find(|kind| kind.kind == key.namespace())
}

#[cfg(test)]
mod tests;

//! Pods: the virtual side owns what runs, the host where and how it runs.

mod certificates;
mod classes;
mod config;
mod content;
mod create;
mod deletion;
mod downward;
mod draft;
mod env;
mod ephemeral;
mod exposure;
mod grace;
mod host_paths;
mod hostname;
mod hosts_file;
mod level;
mod nameserver;
mod namespaces;
mod owner;
mod placement;
mod projected;
mod samples;
mod scheduling;
mod security;
mod status;
pub(crate) mod table;
mod tenant_nodes;
mod tokens;
mod tolerations;
mod trust_bundles;
mod update;
mod volumes;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tenet_mapper::rules::{Reference, Table};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{
    Bound, Context, Dependency, Effect, Event, EventReason, HostKey, HostPatch, Input, KeysOf, MapError, Mapper,
    MapperSpec, Next, Object, Outcome, PatchFormat, Projection, Right, Section, Side, Verb, VirtualKey, kinds, pointer,
};

pub use config::{Dns, Effect as TaintEffect, HostsFile, Level, Operator, Pods, Preset, Toleration, Tolerations};
use exposure::World;
use owner::Owner;
use projected::{Content, Files};
use scheduling::Binding;

/// Fields that are read of a host pod, besides its metadata.
const HOST_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.activeDeadlineSeconds",
    "spec.hostnameOverride",
    "spec.tolerations",
    "spec.resources",
    "spec.containers[].name",
    "spec.containers[].image",
    "spec.containers[].resources",
    "spec.initContainers[].name",
    "spec.initContainers[].image",
    "spec.initContainers[].resources",
    "spec.ephemeralContainers[].name",
    "status",
];

/// Time for which the tokens of a pod that was just bound wait, so that the status of a pod that starts at once is
/// shown before. Most kubelets mount the volumes of a pod later.
const BOUND: Duration = Duration::from_millis(50);

/// Delay after which a key with unfinished work is reconciled again.
const SOON: Duration = Duration::from_millis(100);

/// Carries pods across, and their status back.
pub struct PodMapper {
    spec: MapperSpec,
    world: World,
    namespaces: Bound,
}

/// Virtual pod, and the key of its host pod.
struct Subject<'s, 'c> {
    cx: &'s Context<'c>,
    table: &'s Table,
    key: &'s VirtualKey,
    virt: &'s Object,
    host_key: HostKey,
    world: World,
    namespaces: Bound,
}

impl PodMapper {
    /// The mapper of pods.
    pub fn new() -> Self {
        let looked_up = |side, kind, projection| Input::new(side, kind, projection, KeysOf::None);
        let mut spec = MapperSpec::both_sides("pod", kinds::POD, table::table())
            .owns(Section::of::<Pods>("pods").permits("allow").also_permits(level::permitted))
            .section::<Dns>("dns")
            .with_conditions()
            .pending_in("PodScheduled")
            .refers_while(needs_references)
            .project(Side::Host, &Projection::Fields(HOST_FIELDS))
            .reads(looked_up(Side::Virtual, kinds::NODE, Projection::Fields(&["spec.taints", "spec.unschedulable"])))
            .reads(looked_up(Side::Virtual, classes::PRIORITY_CLASS, Projection::Fields(&["globalDefault"])).optional())
            .reads(looked_up(Side::Host, classes::PRIORITY_CLASS, Projection::Metadata).foreign().optional())
            .reads(looked_up(Side::Virtual, classes::RUNTIME_CLASS, Projection::Fields(&["handler"])).optional())
            .reads(looked_up(Side::Host, classes::RUNTIME_CLASS, Projection::Metadata).foreign().optional())
            .reads(looked_up(Side::Virtual, kinds::SERVICE, Projection::Whole))
            .reads(looked_up(Side::Virtual, kinds::CONFIG_MAP, Projection::Metadata))
            .reads(owner::input())
            .reads(looked_up(Side::Virtual, kinds::SECRET, Projection::Metadata))
            .reads(looked_up(Side::Virtual, kinds::PERSISTENT_VOLUME_CLAIM, Projection::Metadata))
            .reads(looked_up(Side::Host, kinds::PERSISTENT_VOLUME_CLAIM, Projection::Metadata))
            .reads(trust_bundles::input())
            .reads(certificates::input())
            // The Secret beside a pod belongs to the pod.
            .reads(Input::new(Side::Host, kinds::SECRET, Projection::Digest(&["data"]), KeysOf::Owner));
        let (world, namespaces) = (World::read(&mut spec), namespaces::read(&mut spec));
        for right in rights() {
            spec = spec.needs(right);
        }
        for sample in samples::samples() {
            spec = spec.sample(sample);
        }
        Self { spec, world, namespaces }
    }
}

/// The rights of its writes, besides the copies themselves.
fn rights() -> [Right; 11] {
    use Verb::{Create, Delete, Get, Patch};
    [
        Right::host(kinds::POD, &[Patch], "passes on conditions for readiness gates").on("status"),
        Right::host(kinds::POD, &[Patch], "adds containers to debug with").on("ephemeralcontainers"),
        Right::host(kinds::POD, &[Patch], "resizes running pods").on("resize"),
        Right::host(kinds::SECRET, Verb::KEEP, "keeps the tokens, trust anchors and certificates of pods"),
        Right::host(kinds::CONFIG_MAP, &[Create, Get, Patch], "brings the variables of Services and the owner of pods"),
        Right::virt(kinds::POD, &[Delete], "removes pods that have ended on the host"),
        Right::virt(kinds::POD, &[Patch], "shows the status of the host").on("status"),
        Right::virt(kinds::POD, &[Create], "binds pods to the nodes that the host has chosen").on("binding"),
        Right::virt(kinds::SERVICE_ACCOUNT, &[Create], "mints the tokens of pods").on("token"),
        Right::virt(kinds::SERVICE_ACCOUNT, &[Get], "requests the certificates of pods"),
        Right::virt(kinds::POD_CERTIFICATE_REQUEST, &[Get, Create], "requests the certificates of pods"),
    ]
}

/// Reconciles an object around all pods that has changed.
fn around(cx: &Context<'_>, key: &VirtualKey, world: World) -> Outcome {
    let exposed = || if world.concerns_pods(cx, key) { Outcome::done().with_all() } else { Outcome::done() };
    owner::heal(cx, key).unwrap_or_else(exposed)
}

/// Reconciles a virtual pod without a host pod.
fn alone(pod: &Subject<'_, '_>) -> Result<Outcome, MapError> {
    if pod.virt.is_deleting() {
        Ok(deletion::finish(pod))
    } else if pod.is_finished() && !status::is_ended_by_host(pod.virt) {
        Ok(deletion::finished(pod))
    } else if deletion::was_there(pod) {
        Ok(deletion::lost(pod))
    } else if pod.is_gated() {
        // Until its scheduling gates are open, the API also accepts changes of its placement.
        Ok(Outcome::done())
    } else {
        create::create(pod)
    }
}

/// Reconciles a virtual pod and its host pod.
fn together(pod: &Subject<'_, '_>, host: &Object) -> Result<Outcome, MapError> {
    if pod.virt.is_deleting() || host.is_deleting() {
        return Ok(deletion::together(pod, host));
    }
    if let Some(anew) = tenant_nodes::replace(pod, host) {
        return Ok(anew);
    }
    // Tokens name the node when both pods are on it.
    let mut node = host.str_at("/spec/nodeName");
    let mut remark = None;
    let binding = scheduling::binding(pod, host);
    let is_first = matches!(binding, Binding::Follow(_));
    let (mut outcome, shown) = match binding {
        Binding::Apart => return Ok(deletion::apart(pod, host)),
        // A pod without a node has no status to show.
        Binding::Wait(missing) => {
            node = None;
            (Outcome::done().wait_for(missing), None)
        }
        Binding::Follow(bind) => {
            remark = hostname::lost(pod, host).map(|remark| pod.event(EventReason::Degraded, &remark));
            (Outcome::one(bind), status::first(pod, host))
        }
        Binding::Same => (Outcome::done(), status::effect(pod, host)),
    };
    // These effects are independent, so one that fails must not delay the others.
    let mut effects: Vec<_> = shown.into_iter().chain(remark).collect();
    let mut remarks = Vec::new();
    if !pod.is_finished() {
        let files = Files::of(pod);
        remarks.extend(files.remarks());
        effects.extend(node.filter(|_| !is_first).map(|node| files.requests(pod, node)).unwrap_or_default());
        match files.content(pod, node) {
            Content::None => {}
            Content::Fresh(due) => outcome.next = due.map_or(Next::Done, Next::At),
            // The key is at work until they are stored, and a status that comes meanwhile would wait for that.
            Content::Due(_) if is_first => outcome.next = Next::After(BOUND),
            Content::Due(mint) => effects.push(Effect::MintTokens(mint)),
        }
        outcome = trust_bundles::change(pod.virt).into_iter().fold(outcome, Outcome::wait_for);
    }
    match owner::find(pod.cx)? {
        Owner::Known(owners) => effects.extend(owner::adopt(pod, host, &owners)),
        Owner::Missing(missing) => {
            effects.push(owner::create(pod.cx));
            outcome = outcome.wait_for(missing);
        }
    }
    if !pod.is_finished() && namespaces::may_change(pod.virt) {
        outcome = outcome.wait_for(Dependency::Any(Side::Virtual, kinds::NAMESPACE));
    }
    if let Some(change) = tenant_nodes::wait(pod, host) {
        outcome = outcome.wait_for(change);
    }
    let (updates, refusals) = update::effects(pod, host);
    effects.extend(updates);
    outcome = outcome.refuse(refusals);
    match ephemeral::added(pod, host) {
        Ok((added, refusals)) => {
            effects.extend(added);
            outcome = outcome.refuse(refusals);
        }
        Err(error @ MapError::NeedsContent(_)) => return Err(error),
        Err(error) if effects.is_empty() && outcome.stages.is_empty() => return Err(error),
        Err(_) => outcome.next = Next::After(SOON),
    }
    let remarks = remarks.iter().map(|remark| pod.event(EventReason::Degraded, remark));
    Ok(outcome.then_together(effects).then_together(remarks))
}

impl Default for PodMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for PodMapper {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        if key.namespace().is_empty() {
            return Ok(around(cx, key, self.world));
        }
        let host_key = cx.host_key(kinds::POD, key);
        let (virt, host) = (cx.virt(kinds::POD, key), cx.host(kinds::POD, &host_key));
        let Some(virt) = virt else {
            return Ok(match host {
                None => deletion::leftovers(cx, key),
                // A host pod with another owner belongs to the other pod.
                Some(host) => {
                    cx.owned_by(kinds::POD, key, &host).map_or_else(|_| Outcome::done(), |_| deletion::orphan(&host))
                }
            });
        };
        let table = self.spec.table.as_deref();
        let table = table.ok_or_else(|| MapError::Malformed("the mapper of pods has no table".to_owned()))?;
        let pod = Subject { cx, table, key, virt: &virt, host_key, world: self.world, namespaces: self.namespaces };
        let Some(host) = host.filter(|host| !deletion::has_lost_its_name(&pod, host)) else { return alone(&pod) };
        let owner = cx.owned_by(kinds::POD, key, &host)?;
        if owner.uid == virt.uid() { together(&pod, &host) } else { Ok(deletion::make_room(&host, &pod.host_key)) }
    }
}

/// Returns true if all containers have ended permanently.
fn is_finished(virt: &Object) -> bool {
    matches!(virt.str_at("/status/phase"), Some("Succeeded" | "Failed"))
}

/// Returns true if a scheduling gate inside still holds the pod.
fn is_gated(virt: &Object) -> bool {
    !virt.list_at("/spec/schedulingGates").is_empty()
}

/// Returns true while a container may still read what the pod refers to.
fn needs_references(virt: &Object) -> bool {
    !is_finished(virt) && !is_gated(virt)
}

impl Subject<'_, '_> {
    fn is_finished(&self) -> bool {
        is_finished(self.virt)
    }

    fn is_gated(&self) -> bool {
        is_gated(self.virt)
    }

    fn owner(&self) -> OwnerRecord {
        self.cx.owner(kinds::POD, self.virt)
    }

    fn references(&self) -> BTreeSet<Reference> {
        self.table.references(self.virt.value())
    }

    fn patch_host(&self, subresource: Option<&'static str>, format: PatchFormat, body: Value) -> Effect {
        let (kind, key, owner) = (kinds::POD, self.host_key.clone(), self.owner());
        Effect::PatchHost(HostPatch { kind, key, owner, subresource, format, body })
    }

    fn event(&self, reason: EventReason, message: &str) -> Effect {
        Effect::Emit(Event::warning(kinds::POD, self.virt, reason, message))
    }
}

/// The pointers of all containers of a pod, in the order in which a kubelet starts them.
fn containers(pod: &Value) -> Vec<String> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    lists.iter().flat_map(|list| pointer::elements(pod, &format!("/spec/{list}"))).collect()
}

#[cfg(test)]
mod tests;

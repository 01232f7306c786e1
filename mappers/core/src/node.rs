//! Nodes: a picture of each node on which a pod of the virtual cluster runs, for as long as one does, and of those that
//! the configuration always shows. It shows the host's own Node where that may be read, else a Node derived from the
//! pods.

mod always;
mod config;
mod features;
mod kubelet;
mod policy;
mod real;
mod synthetic;
mod tenant;

use std::sync::Arc;

pub use config::{Always, Capacity, NodeSource, Nodes};
use serde_json::{Map, Value, json};
pub(crate) use tenant::TenantPart;
use tenet_mapper::keys::CROSSED;
use tenet_mapper::rules::{Rule, Table, omit, set, up};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::translate::labels::unreserved;
use tenet_mapper::{
    ApplyVirtual, Bound, Context, Deletion, Dependency, Effect, HostKey, Input, KeysOf, MapError, Mapper, MapperSpec,
    Object, Outcome, Projection, Right, Section, Side, Verb, VirtualKey, crossed, kinds,
};

const RULES: &[Rule] = &[
    up("spec.taints"),
    up("spec.unschedulable"),
    up("spec.providerID"),
    omit("spec.podCIDR", "shows an address range of the host that no tenant uses"),
    omit("spec.podCIDRs", "shows an address range of the host that no tenant uses"),
    omit("spec.configSource", "no kubelet reads it any more"),
    omit("spec.externalID", "no kubelet writes it any more"),
    omit("spec.podPreemptionPolicy", "configures the scheduler, which is that of the host"),
    up("status.capacity"),
    up("status.allocatable"),
    set(
        "status.addresses",
        "are those of the real node, with that of the kubelet, which is the syncer, as the Hostname",
    ),
    up("status.nodeInfo"),
    set("status.conditions", "come without heartbeats, each of which would be a write"),
    set("status.daemonEndpoints", "names the port of the kubelet, which is the syncer"),
    omit("status.phase", "nobody sets it any more"),
    omit("status.images", "shows what others run on the node"),
    omit("status.volumesInUse", "shows what others run on the node"),
    omit("status.volumesAttached", "shows what others run on the node"),
    omit("status.config", "no kubelet reads it any more"),
    omit("status.runtimeHandlers", "the host alone chooses the handlers of runtime classes"),
    omit("status.features", "describes the kubelet of the host, and the kubelet of a virtual node is the syncer"),
    set("status.declaredFeatures", "are those that the resize of a pod needs"),
];

/// Pictures the nodes on which pods of the virtual cluster run.
pub struct NodeMapper {
    spec: MapperSpec,
    table: Arc<Table>,
    /// The pods of the virtual cluster on each node.
    pods: Bound,
    /// The labels of all nodes of the host.
    all: Bound,
}

impl NodeMapper {
    /// The mapper of Nodes.
    pub fn new() -> Self {
        let table = Arc::new(crate::table(&[("", RULES)]));
        let mut spec = MapperSpec { table: Some(Arc::clone(&table)), ..MapperSpec::new("node", kinds::NODE) }
            .owns(Section::of::<Nodes>("nodes").fixed(&["source"]))
            .reads(Input::new(Side::Virtual, kinds::NODE, Projection::Whole, KeysOf::Own))
            .reads(
                Input::new(Side::Host, kinds::NODE, Projection::Fields(real::FIELDS), KeysOf::With(crate::same_name))
                    .foreign()
                    .optional(),
            )
            .reads(Input::new(Side::Host, kinds::SERVICE, Projection::Whole, KeysOf::Owner))
            // Its owners, which a pod has from its creation on, so that no change of it wakes the node.
            .reads(Input::new(Side::Virtual, kinds::POD, Projection::Metadata, KeysOf::None))
            .needs(Right::host(kinds::SERVICE, Verb::KEEP, "keeps the Services of the kubelets of virtual nodes"))
            .needs(Right::virt(kinds::NODE, Verb::KEEP, "keeps the virtual nodes"))
            .needs(Right::virt(kinds::NODE, &[Verb::Patch], "keeps the virtual nodes").on("status"));
        spec = policy::declare(spec);
        let pods = spec.bind(Input::new(
            Side::Host,
            kinds::POD,
            Projection::Fields(&["spec.nodeName", "status.hostIP", "status.hostIPs"]),
            KeysOf::With(node_of_pod),
        ));
        let all = always::read(&mut spec);
        Self { spec, table, pods, all }
    }

    /// Returns a pod of ours on a node. There may be hundreds, and each of their changes wakes this mapper:
    /// one is enough, but until the node has an address it should be one that shows the address.
    fn pod(&self, cx: &Context<'_>, key: &VirtualKey, virt: Option<&Object>) -> Option<Object> {
        let find = |wanted: &dyn Fn(&Object) -> bool| cx.find_source(self.pods, key, wanted);
        let ours = |pod: &Object| cx.ownership(pod).ours().is_some_and(|owner| !is_daemon(cx, &owner));
        let first = find(&ours)?;
        if tells_address(&first) || virt.is_some_and(shows_address) {
            return Some(first);
        }
        find(&|pod| tells_address(pod) && ours(pod)).or(Some(first))
    }

    /// Builds the picture of a node; `None` while the host's Node is missing, so that an existing picture stays.
    fn picture(
        &self,
        cx: &Context<'_>,
        key: &VirtualKey,
        pod: &Object,
        virt: Option<&Object>,
    ) -> Result<Option<Value>, MapError> {
        let nodes = cx.section::<Nodes>();
        match (nodes.source, cx.can_read(Side::Host, kinds::NODE)) {
            _ if is_synthetic(cx) => {
                let mut node = synthetic::node(cx, key.name(), pod, virt, &nodes.capacity);
                features::declare(cx, None, &mut node);
                Ok(Some(node))
            }
            (NodeSource::Host, false) => Err(MapError::Transient {
                reason: "nodes.source is host, and the right to list and watch nodes of the host is missing".to_owned(),
                after: None,
            }),
            _ => Ok(cx.host(kinds::NODE, &HostKey::new("", key.name())).map(|host| self.real(cx, &host))),
        }
    }

    /// Builds the picture of a node that can be read.
    fn real(&self, cx: &Context<'_>, host: &Object) -> Value {
        let mut node = real::node(&self.table, host);
        features::declare(cx, Some(host), &mut node);
        node
    }

    /// Returns the host's Node, if it is shown without pods.
    fn always(&self, cx: &Context<'_>, key: &VirtualKey) -> Option<Object> {
        if !pictures_hosts(cx) {
            return None;
        }
        always::shown(cx, self.all, key.name())
    }

    /// Keeps the picture of a node without pods that carries something of the tenant, as long as the host has the node.
    fn keep_without_pods(&self, cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> Outcome {
        if !pictures_hosts(cx) {
            return Outcome::done();
        }
        match cx.host(kinds::NODE, &HostKey::new("", key.name())) {
            Some(host) => show(cx, key, Some(virt), self.real(cx, &host)),
            None => remove(cx, key, virt, Deletion::picture(kinds::NODE, virt)),
        }
    }
}

/// Returns the effects that show a picture.
fn show(cx: &Context<'_>, key: &VirtualKey, virt: Option<&Object>, mut desired: Value) -> Outcome {
    retire_labels(&mut desired, virt);
    let tenant_scheduling = cx.section::<Nodes>().tenant_scheduling;
    if tenant_scheduling {
        tenant::keep(&mut desired, virt);
    }
    let found = kubelet::find(cx, key, virt);
    found.write(&mut desired);
    let picture = ApplyVirtual { kind: kinds::NODE, key: key.clone(), desired, adopt: false };
    let (policy, changes) = policy::keep(cx, tenant_scheduling);
    let outcome = Outcome::one(Effect::ApplyVirtual(picture)).then_each(found.effects);
    changes.into_iter().fold(outcome.then_together(policy), Outcome::wait_for)
}

/// Removes a picture, and then the Service of the node: the delete of the picture has to be proved.
fn remove(cx: &Context<'_>, key: &VirtualKey, virt: &Object, gone: Deletion) -> Outcome {
    Outcome::one(Effect::Delete(gone)).then_together(kubelet::remove(cx, key, Some(virt)))
}

/// Returns true if pictures are made from pods.
fn is_synthetic(cx: &Context<'_>) -> bool {
    match cx.section::<Nodes>().source {
        NodeSource::Synthetic => true,
        NodeSource::Auto => !cx.can_read(Side::Host, kinds::NODE),
        NodeSource::Host => false,
    }
}

/// Returns true if pictures are made from the Nodes of the host, and these can be read.
fn pictures_hosts(cx: &Context<'_>) -> bool {
    !is_synthetic(cx) && cx.can_read(Side::Host, kinds::NODE)
}

/// Returns true if the tenant may set something on a Node, and has.
fn is_of_use_to_the_tenant(cx: &Context<'_>, virt: &Object) -> bool {
    cx.section::<Nodes>().tenant_scheduling && !TenantPart::of(virt).is_empty()
}

impl Default for NodeMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for NodeMapper {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        if *key == always::index() && pictures_hosts(cx) {
            return Ok(Outcome::done().waking(always::unshown(cx, self.all)));
        }
        if !key.namespace().is_empty() {
            return Ok(Outcome::done());
        }
        let virt = cx.virt(kinds::NODE, key);
        let ours = virt.as_ref().is_some_and(|virt| cx.facts().has_made(virt));
        let pod = self.pod(cx, key, virt.as_ref());
        let may_show = virt.as_ref().is_none_or(|virt| ours && !virt.is_deleting());
        if pod.is_none()
            && may_show
            && let Some(host) = self.always(cx, key)
        {
            let shown = show(cx, key, virt.as_ref(), self.real(cx, &host));
            // A new one may take the place of another, which has to go.
            return Ok(if virt.is_none() { shown.with_all() } else { shown });
        }
        match (virt, pod) {
            (None, None) => Ok(Outcome::done().then_together(kubelet::remove(cx, key, None))),
            (Some(_), None) if !ours => Ok(Outcome::done()),
            (Some(virt), _) if virt.is_deleting() => Ok(Outcome::done().wait_for(Dependency::virt(kinds::NODE, key))),
            (Some(virt), None) if is_of_use_to_the_tenant(cx, &virt) => Ok(self.keep_without_pods(cx, key, &virt)),
            (Some(virt), None) => {
                Ok(remove(cx, key, &virt, Deletion::unused(kinds::NODE, &virt, kinds::POD, "spec.nodeName")))
            }
            (Some(virt), Some(_)) if !ours => Err(MapError::not_made(kinds::NODE, &virt)),
            (virt, Some(pod)) => {
                let Some(desired) = self.picture(cx, key, &pod, virt.as_ref())? else {
                    return Ok(Outcome::done().wait_for(Dependency::host(kinds::NODE, &HostKey::new("", key.name()))));
                };
                Ok(show(cx, key, virt.as_ref(), desired))
            }
        }
    }
}

/// The head of a picture with these labels.
fn head(name: &str, labels: Option<&Value>) -> Value {
    let labels = unreserved(labels);
    let crossed = crossed::list(&labels, &Map::new());
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {CROSSED: crossed}},
    })
}

/// Removes labels that the picture had before and has no more.
fn retire_labels(desired: &mut Value, virt: Option<&Object>) {
    let Some(virt) = virt else { return };
    let labels = &mut desired["metadata"]["labels"];
    for key in crossed::before(virt.value(), 'l') {
        if labels.get(&key).is_none() && virt.label(&key).is_some() {
            labels[&key] = Value::Null;
        }
    }
}

fn shows_address(node: &Object) -> bool {
    node.list_at("/status/addresses").iter().any(|each| each["type"] == "InternalIP")
}

fn tells_address(pod: &Object) -> bool {
    pod.str_at("/status/hostIP").is_some()
}

/// Returns true for a pod of a DaemonSet, which exists because the node does, and would keep it forever.
fn is_daemon(cx: &Context<'_>, owner: &OwnerRecord) -> bool {
    let virt = cx.virt(kinds::POD, &VirtualKey::new(owner.namespace.as_str(), owner.name.as_str()));
    let is_controller = |owner: &Value| owner["kind"] == "DaemonSet" && owner["controller"] == true;
    virt.is_some_and(|virt| virt.list_at("/metadata/ownerReferences").iter().any(is_controller))
}

fn node_of_pod(pod: &Object) -> Vec<VirtualKey> {
    pod.str_at("/spec/nodeName").map(|node| VirtualKey::new("", node)).into_iter().collect()
}

#[cfg(test)]
mod tests;

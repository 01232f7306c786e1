//! Services: the same `ClusterIP` on both sides. The host Service asks for the address of
//! the virtual one; where the host cannot give it, the virtual one takes the host's.

mod address;
mod admission;
pub(crate) mod api;
mod change;
mod growth;
mod load_balancer;
pub(crate) mod ranges;
mod replicas;
mod reservation;

pub use replicas::{FromHost, ReplicateServices, ToHost};
use serde_json::{Value, json};
use tenet_mapper::keys::{MANAGED_BY, NAMESPACE};
use tenet_mapper::rules::{Rule, SelectorForm, copy, refuse, selector, up};
use tenet_mapper::{
    Admission, Bound, Cause, Context, CopyMapper, Deletion, Effect, EventReason, MapError, Mapper, MapperSpec, Object,
    Outcome, Projection, Right, Translate, Verb, VirtualKey, VirtualPatch, crossed, kinds,
};

/// Fields that are read of a Service of the host that is not ours: those that lead to the virtual API server, or to
/// workloads of the host.
pub(crate) const FOREIGN: Projection = Projection::Fields(&[
    "spec.clusterIP",
    "spec.clusterIPs",
    "spec.externalName",
    "spec.ports",
    "spec.selector",
    "spec.type",
]);

const ASKED: &str = "is requested at creation; later the value of the host counts";

const SPEC: &[Rule] = &[
    copy("type").kept(),
    selector("selector", SelectorForm::Map).kept(),
    copy("clusterIP").because(ASKED),
    copy("clusterIPs[]").because(ASKED),
    copy("ipFamilies[]").because(ASKED),
    copy("ipFamilyPolicy").kept(),
    copy("sessionAffinity").kept(),
    copy("sessionAffinityConfig.clientIP.timeoutSeconds").kept(),
    copy("publishNotReadyAddresses").kept(),
    copy("internalTrafficPolicy").kept(),
    copy("externalTrafficPolicy").kept(),
    copy("trafficDistribution").kept(),
    copy("loadBalancerIP").kept(),
    copy("loadBalancerSourceRanges[]").kept(),
    copy("loadBalancerClass").kept(),
    copy("allocateLoadBalancerNodePorts").kept(),
    copy("healthCheckNodePort").because(ASKED),
    copy("externalName").because("only a Service with an external name has one, and those do not cross"),
    refuse("externalIPs", "takes traffic of the host's nodes that is meant for others").unless(&["[]"]),
];

const PORT: &[Rule] = &[
    copy("name").kept(),
    copy("protocol").kept(),
    copy("appProtocol").kept(),
    copy("port").kept(),
    copy("targetPort").kept(),
    copy("nodePort").kept().because("is requested at creation; later each node port of the host stays with its port"),
];

/// Annotations of the API itself: the controller that makes EndpointSlices reads them, which is the host's.
const ROUTING: [&str; 2] = ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];

/// Carries Services across.
///
/// A Service with an external name stays inside: it concerns only the virtual DNS.
pub struct ServiceMapper {
    copies: CopyMapper<Services>,
    /// Slices inside that the syncer has made for Services of the host.
    slices: Bound,
    /// Host Services under further names.
    further: Bound,
}

/// Translation of a Service for the host.
struct Services(MapperSpec);

impl ServiceMapper {
    /// The mapper of Services.
    pub fn new() -> Self {
        let table = crate::table(&[("spec", SPEC), ("spec.ports[]", PORT), ("", &[up("status")])]);
        let mut spec = MapperSpec::both_sides("service", kinds::SERVICE, table)
            .with_conditions()
            .reads(ranges::input())
            .section::<ReplicateServices>("replicateServices")
            .needs(Right::virt(kinds::SERVICE, &[Verb::Patch], "shows the addresses and node ports of the host"))
            .needs(Right::virt(kinds::SERVICE, &[Verb::Patch], "shows the status of the host").on("status"))
            .needs(Right::virt(
                kinds::ENDPOINTS,
                &[Verb::Get, Verb::Create, Verb::Patch],
                "fills the Endpoints of the virtual API server",
            ));
        for input in replicas::inputs() {
            spec = spec.reads(input);
        }
        for right in replicas::rights() {
            spec = spec.needs(right);
        }
        for kind in ["ClusterIP", "NodePort", "LoadBalancer"] {
            spec = spec.sample(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "tenet-defaults"},
                "spec": {"type": kind, "sessionAffinity": "ClientIP", "ports": [{"port": 80}]},
            }));
        }
        for elsewhere in replicas::elsewhere() {
            spec = spec.reads_elsewhere(elsewhere);
        }
        let (slices, further) = (spec.bind(replicas::slices()), spec.bind(replicas::further()));
        Self { copies: CopyMapper::new(Services(spec)), slices, further }
    }
}

impl Default for ServiceMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for ServiceMapper {
    fn spec(&self) -> &MapperSpec {
        self.copies.spec()
    }

    fn admission(&self) -> Option<&dyn Admission> {
        Some(self)
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        if api::is_api(key) {
            return api::reconcile(cx, key);
        }
        let shown = cx.virt(kinds::SERVICE, key).filter(|virt| replicas::is_shown(cx, virt));
        if let Some(virt) = shown {
            return Ok(replicas::show(cx, self.slices, key, &virt));
        }
        let open = cx.virt(kinds::SERVICE, key).filter(|virt| change::is_open(virt) && !virt.is_ending());
        if let Some(virt) = open {
            return Ok(close(cx, key, &virt));
        }
        let copied = replicas::expose(&self.copies, self.further, cx, key, self.copy(cx, key)?)?;
        Ok(replicas::begin(cx, self.slices, key, copied))
    }
}

impl ServiceMapper {
    fn copy(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let host = cx.host(kinds::SERVICE, &cx.host_key(kinds::SERVICE, key));
        let virt = cx.virt(kinds::SERVICE, key);
        let reserved = host.and_then(|host| Some((reservation::open(cx, &host, virt.as_ref())?, host)));
        match reserved {
            Some((reservation, host)) => reservation::reconcile(&self.copies, cx, key, host, &reservation),
            None => self.copies.reconcile(cx, key),
        }
    }
}

/// Ends a change of the address: the Service gets the values of its host Service, or those of a new one when it is
/// gone.
fn close(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> Outcome {
    let closed = match host_spec(cx, key, virt) {
        Some(spec) => change::close(virt, &spec),
        None => change::close(virt, &json!({"type": "ClusterIP"})).because(Cause::TwinAbsent { twin: kinds::SERVICE }),
    };
    Outcome::one(Effect::PatchVirtual(closed))
}

/// Returns the spec of the host Service of a virtual one, also when it has just gone.
fn host_spec(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> Option<Value> {
    let host_key = cx.host_key(kinds::SERVICE, key);
    let twin = cx.host(kinds::SERVICE, &host_key).or_else(|| cx.last_state(kinds::SERVICE, &host_key));
    let ours = twin.filter(|host| cx.ownership(host).ours().is_some_and(|owner| owner.uid == virt.uid()));
    ours.and_then(|host| host.at("/spec").cloned())
}

/// Returns true if the API server makes the endpoints of a Service from the pods that it selects.
pub(crate) fn has_selector(service: &Object) -> bool {
    service.at("/spec/selector").and_then(Value::as_object).is_some_and(|selector| !selector.is_empty())
}

/// Returns a selector of no pod, for the copy of a Service that has lost its selector: without one, the controllers of the
/// host would leave the endpoints that they have made for ever, and copy them.
fn no_pods(cx: &Context<'_>) -> Value {
    json!({MANAGED_BY: cx.scope("").vc, NAMESPACE: ""})
}

/// Returns true if the Service has an external name, and so concerns only the virtual DNS.
pub(crate) fn is_external(virt: &Object) -> bool {
    virt.str_at("/spec/type") == Some("ExternalName")
}

impl Translate for Services {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn should_sync(&self, _cx: &Context<'_>, virt: &Object) -> bool {
        !is_external(virt)
    }

    fn complete(
        &self,
        cx: &Context<'_>,
        virt: &Object,
        host: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        load_balancer::check(cx, virt)?;
        for key in ROUTING {
            if let Some(value) = virt.annotation(key) {
                crossed::add(&mut draft["metadata"], key, value);
            }
        }
        if !has_selector(virt) && host.is_some_and(has_selector) {
            draft["spec"]["selector"] = no_pods(cx);
        }
        if let Some(host) = host.filter(|_| growth::has_node_ports(virt)) {
            address::keep_node_ports(&mut draft, host);
        }
        // A load balancer keeps its class; the host's own admission may have set it.
        if let Some(class) = host.and_then(|host| host.at("/spec/loadBalancerClass"))
            && draft["spec"]["type"] == "LoadBalancer"
        {
            draft["spec"]["loadBalancerClass"] = class.clone();
        }
        Ok(draft)
    }

    /// Returns the Service without a fixed address and ports, which may be taken on the host or outside of its range.
    fn fallback(&self, desired: &Value) -> Option<Value> {
        address::without(desired)
    }

    fn shows(&self, virt: &Object, host: &Object) -> bool {
        address::has_followed(virt, host)
            && address::is_headless(virt) == address::is_headless(host)
            && address::same(virt, host)
    }

    fn up(&self, cx: &Context<'_>, virt: &Object, host: &Object) -> Result<Vec<Effect>, MapError> {
        // The host has not applied the tenant's last change yet, so its addresses may change.
        if !address::has_followed(virt, host) {
            return Ok(Vec::new());
        }
        if address::is_headless(virt) != address::is_headless(host) {
            return Ok(vec![Effect::Delete(Deletion::redundant(kinds::SERVICE, host).at_version(host))]);
        }
        if !address::same(virt, host) {
            return Ok(change::open(cx, virt, host, EventReason::Repaired));
        }
        let ports = address::ports(virt.at("/spec/ports"), host.at("/spec/ports"));
        Ok(vec![patch(virt, vec![("/spec/ports", ports)])])
    }
}

/// Values for a virtual Service.
fn patch(virt: &Object, values: Vec<(&'static str, Value)>) -> Effect {
    Effect::PatchVirtual(VirtualPatch::new(kinds::SERVICE, virt, None, values))
}

#[cfg(test)]
mod tests;

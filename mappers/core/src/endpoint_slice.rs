//! `EndpointSlice`s of Services without a selector: those that the tenant writes, and those that the virtual cluster
//! mirrors out of Endpoints. The slices of all other Services are made by the host, from the pods that it runs.

mod ranges;

use serde_json::{Value, json};
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::rules::{Rule, copy, omit, set};
use tenet_mapper::{
    Context, CopyMapper, Dependency, Effect, Event, EventReason, Input, KeysOf, MapError, Mapper, MapperSpec, Object,
    Outcome, Projection, Section, Side, Translate, Unwanted, VirtualKey, kinds, pointer,
};

pub use ranges::EndpointSlices;
use ranges::Ranges;

use crate::service::{api, has_selector, is_external, ranges as service_ranges};

/// The label that names the Service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that says which controller writes a slice; the others leave it alone.
const SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The slices that no controller makes from the selector of a Service. Both sides have one of those for each Service.
pub(crate) const NOT_FROM_SELECTOR: &str = "endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io";
/// The controllers of a cluster itself: one makes slices from selectors, the other mirrors Endpoints, and removes what
/// it has mirrored when a Service gets a selector.
const OF_THE_CLUSTER: [&str; 2] = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
/// The syncer, as the controller of a slice.
pub(crate) const CONTROLLER: &str = "tenet.sh";

const RULES: &[Rule] = &[copy("addressType").because("cannot change")];

const ENDPOINT: &[Rule] = &[
    copy("addresses[]").kept().because("refused ranges are left out, with an event on the Service"),
    copy("conditions.ready").kept(),
    copy("conditions.serving").kept(),
    copy("conditions.terminating").kept(),
    copy("hostname").kept(),
    copy("nodeName").kept().because("a virtual node has the name of the host's"),
    copy("zone").kept(),
    copy("hints.forZones[].name").kept(),
    copy("hints.forNodes[].name").kept(),
    set("targetRef", "names the copy of the pod; other objects are left out").kept(),
    omit("deprecatedTopology", "no API server takes it any more"),
];

const PORT: &[Rule] = &[copy("name").kept(), copy("protocol").kept(), copy("port").kept(), copy("appProtocol").kept()];

/// Carries the `EndpointSlice`s of Services without a selector across.
pub struct EndpointSliceMapper {
    copies: CopyMapper<Slices>,
}

/// Translation of an `EndpointSlice` for the host.
struct Slices(MapperSpec);

/// Service of a slice, on both sides.
enum Backing {
    /// No Service takes its endpoints from the slice.
    None,
    /// The virtual Service, whose endpoints the host makes from the selector.
    Selected(Object),
    /// The host Service does not exist yet.
    Awaited(Object),
    /// The virtual Service, whose copy is on the host.
    Ready(Object),
}

impl EndpointSliceMapper {
    /// The mapper of `EndpointSlice`s.
    pub fn new() -> Self {
        let table = crate::table(&[("", RULES), ("endpoints[]", ENDPOINT), ("ports[]", PORT)]);
        let mut spec = MapperSpec::both_sides("endpoint-slice", kinds::ENDPOINT_SLICE, table)
            .owns(Section::of::<EndpointSlices>("endpointSlices"))
            .reports_on(kinds::SERVICE, service_of)
            .reads(Input::new(
                Side::Virtual,
                kinds::SERVICE,
                Projection::Fields(&["spec.selector", "spec.type"]),
                KeysOf::None,
            ))
            .reads(Input::new(Side::Host, kinds::SERVICE, Projection::Metadata, KeysOf::None))
            .reads(service_ranges::input());
        for input in spec.inputs.iter_mut().filter(|input| input.kind == kinds::ENDPOINT_SLICE) {
            input.selector = Some(NOT_FROM_SELECTOR);
            // Few may grant the right (CVE-2021-25740), so the Service says when it is missing.
            input.optional = input.side == Side::Host;
        }
        for right in spec.needs.iter_mut().filter(|right| right.kind == kinds::ENDPOINT_SLICE) {
            right.optional = true;
        }
        Self { copies: CopyMapper::new(Slices(spec)) }
    }
}

impl Default for EndpointSliceMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for EndpointSliceMapper {
    fn spec(&self) -> &MapperSpec {
        self.copies.spec()
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let virt = cx.virt(kinds::ENDPOINT_SLICE, key);
        let service = virt.as_ref().and_then(service_of);
        let can_write = cx.can_read(Side::Host, kinds::ENDPOINT_SLICE);
        let outcome = if can_write { self.copies.reconcile(cx, key)? } else { Outcome::done() };
        let (Some(virt), Some(service)) = (virt, service) else { return Ok(outcome) };
        let told = match backing(cx, &virt) {
            Backing::Ready(service) | Backing::Awaited(service) if !can_write => vec![missing_right(&service)],
            Backing::Ready(service) => left_out(cx, &virt, &service),
            Backing::Selected(service) => with_selector(&virt, &service).into_iter().collect(),
            _ => Vec::new(),
        };
        let host_service = cx.host_key(kinds::SERVICE, &service);
        let outcome = outcome.wait_for(Dependency::virt(kinds::SERVICE, &service));
        Ok(outcome.wait_for(Dependency::host(kinds::SERVICE, &host_service)).then_each(told))
    }
}

impl Translate for Slices {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn should_sync(&self, cx: &Context<'_>, virt: &Object) -> bool {
        matches!(backing(cx, virt), Backing::Ready(_))
    }

    fn unwanted(&self, cx: &Context<'_>, virt: &Object) -> Unwanted {
        if matches!(backing(cx, virt), Backing::Awaited(_)) { Unwanted::Stays } else { Unwanted::Goes }
    }

    fn complete(
        &self,
        cx: &Context<'_>,
        virt: &Object,
        _: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        if virt.str_at("/addressType") == Some("FQDN") {
            return Err(MapError::refused(
                "addressType",
                "FQDN is not supported, because nothing on the host resolves the names of endpoints",
            ));
        }
        let service = service_of(virt).map(|service| cx.host_key(kinds::SERVICE, &service));
        let labels = &mut draft["metadata"]["labels"];
        labels[SERVICE_NAME] = json!(service.as_ref().map(tenet_mapper::HostKey::name));
        labels[SLICE_MANAGED_BY] = json!(CONTROLLER);
        for at in pointer::elements(virt.value(), "/endpoints") {
            if let Some(target) = virt.at(&format!("{at}/targetRef")).and_then(|target| host_target(cx, virt, target)) {
                pointer::set(&mut draft, &format!("{at}/targetRef"), target);
            }
        }
        let ranges = Ranges::read(cx);
        if let Some(endpoints) = draft.get_mut("endpoints").and_then(Value::as_array_mut) {
            for endpoint in endpoints.iter_mut() {
                if let Some(addresses) = endpoint.get_mut("addresses").and_then(Value::as_array_mut) {
                    addresses.retain(|address| ranges.refusal(address).is_none());
                }
            }
            endpoints.retain(|endpoint| endpoint["addresses"].as_array().is_some_and(|all| !all.is_empty()));
        }
        Ok(draft)
    }
}

/// Returns the Service that a slice belongs to. A slice that the syncer has made shows a Service of the host.
fn service_of(slice: &Object) -> Option<VirtualKey> {
    if slice.label(MANAGED_BY).is_some() {
        return None;
    }
    let name = slice.label(SERVICE_NAME).filter(|name| !name.is_empty())?;
    Some(VirtualKey::new(slice.namespace(), name)).filter(|key| !api::is_api(key))
}

/// Returns the Service of a slice, if its endpoints have to come from the tenant.
fn backing(cx: &Context<'_>, slice: &Object) -> Backing {
    let Some(key) = service_of(slice) else { return Backing::None };
    let Some(service) = cx.virt(kinds::SERVICE, &key).filter(|service| !service.is_ending()) else {
        return Backing::None;
    };
    if is_external(&service) {
        return Backing::None;
    }
    if has_selector(&service) {
        return Backing::Selected(service);
    }
    match cx.host(kinds::SERVICE, &cx.host_key(kinds::SERVICE, &key)) {
        None => Backing::Awaited(service),
        // Another owner's Service must get no endpoints from here.
        Some(host) => match cx.owned_by(kinds::SERVICE, &key, &host) {
            Ok(owner) if owner.uid == service.uid() => Backing::Ready(service),
            Ok(_) => Backing::Awaited(service),
            Err(_) => Backing::None,
        },
    }
}

/// Returns the reference to the copy of a pod in the namespace of the slice.
fn host_target(cx: &Context<'_>, slice: &Object, target: &Value) -> Option<Value> {
    let is_pod = target["kind"] == "Pod" && target.get("namespace").is_none_or(|it| it == slice.namespace());
    let name = target["name"].as_str().filter(|_| is_pod)?;
    let host = cx.host_key(kinds::POD, &VirtualKey::new(slice.namespace(), name));
    Some(json!({"kind": "Pod", "namespace": host.namespace(), "name": host.name()}))
}

/// Returns one event for each address that does not cross.
fn left_out(cx: &Context<'_>, slice: &Object, service: &Object) -> Vec<Effect> {
    let ranges = Ranges::read(cx);
    let addresses =
        slice.list_at("/endpoints").iter().filter_map(|endpoint| endpoint["addresses"].as_array()).flatten();
    let refused = addresses.filter_map(|address| Some((address.as_str()?, ranges.refusal(address)?)));
    let message = |(address, why): (&str, String)| {
        event(service, format!("EndpointSlice {}: the address {address} is left out: it {why}", slice.name()))
    };
    refused.map(message).collect()
}

/// Returns an event for a slice that somebody adds to those of a Service with a selector.
fn with_selector(slice: &Object, service: &Object) -> Option<Effect> {
    let message = format!(
        "EndpointSlice {}: its addresses are left out, as the host makes the endpoints of a Service with a selector",
        slice.name()
    );
    let controller = slice.label(SLICE_MANAGED_BY).unwrap_or_default();
    (!OF_THE_CLUSTER.contains(&controller)).then(|| event(service, message))
}

fn missing_right(service: &Object) -> Effect {
    let message =
        "without a selector, and nobody reaches its endpoints: the syncer may not write EndpointSlices on the host";
    event(service, message)
}

fn event(service: &Object, message: impl Into<String>) -> Effect {
    Effect::Emit(Event::warning(kinds::SERVICE, service, EventReason::Degraded, message))
}

#[cfg(test)]
mod tests;

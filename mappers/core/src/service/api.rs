//! `default/kubernetes`: the Service at which pods reach the virtual API server. It is
//! never copied: the configuration names a host Service in its place,
//! and the virtual one has its address.

use serde_json::{Value, json};
use tenet_mapper::{
    ApplyVirtual, Context, Dependency, Effect, EventReason, EventType, MapError, Object, Outcome, VirtualKey, kinds,
    patch,
};

use super::{address, change};

/// The port that clients of the virtual API server use.
const PORT: i64 = 443;

/// Returns true if this is the Service of the virtual API server.
pub(crate) fn is_api(key: &VirtualKey) -> bool {
    (key.namespace(), key.name()) == ("default", "kubernetes")
}

/// Returns the key of the Service of the virtual API server.
pub(super) fn key() -> VirtualKey {
    VirtualKey::new("default", "kubernetes")
}

/// Makes the address equal, and fills the Endpoints, which no controller fills.
pub(super) fn reconcile(cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
    let Some(virt) = cx.virt(kinds::SERVICE, key).filter(|virt| !virt.is_deleting()) else {
        // The API server creates it again within seconds.
        return Ok(Outcome::done());
    };
    let host_key = cx.api_service();
    let host = cx.host(kinds::SERVICE, &host_key);
    let addresses = host.as_ref().map(address::of).unwrap_or_default();
    let wait = Dependency::host(kinds::SERVICE, &host_key);
    match addresses.first().filter(|first| **first != "None") {
        // While the host Service is being changed it has no address; keep the present one meanwhile.
        None if change::is_open(&virt) => Ok(close(&virt, &json!({"type": "ClusterIP"}))),
        None => Ok(missing(&virt, host_key.name()).wait_for(wait)),
        Some(first) if change::is_open(&virt) => Ok(close(&virt, &spec(first))),
        Some(first) if address::of(&virt) != [*first] => Ok(open(cx, &virt, first)),
        Some(first) => endpoints(cx, key, &virt, host.as_ref(), first),
    }
}

/// Ends a change of the address. The Service has no copy whose absence counts.
fn close(virt: &Object, spec: &Value) -> Outcome {
    Outcome::one(Effect::PatchVirtual(change::close(virt, spec)))
}

fn missing(virt: &Object, name: &str) -> Outcome {
    let message = format!("pods cannot reach this API server: the host has no Service {name} with an address");
    Outcome::one(change::event(virt, EventReason::Degraded, EventType::Warning, message))
}

/// Returns the spec that the API server gives the Service, with another address.
fn spec(address: &str) -> Value {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    json!({
        "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
        "ipFamilies": [family], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
    })
}

fn open(cx: &Context<'_>, virt: &Object, address: &str) -> Outcome {
    let target = Object::new(json!({ "spec": spec(address) }));
    Outcome::done().then_each(change::open(cx, virt, &target, EventReason::Changed))
}

/// Returns the effects for the Endpoints. They are read from the server, not watched: the Endpoints of all other
/// Services change with every pod, and only the syncer writes these.
fn endpoints(
    cx: &Context<'_>,
    key: &VirtualKey,
    virt: &Object,
    host: Option<&Object>,
    address: &str,
) -> Result<Outcome, MapError> {
    let subsets = json!([{
        "addresses": [{"ip": address}],
        "ports": [{"name": "https", "port": PORT, "protocol": "TCP"}],
    }]);
    let found = cx.content(kinds::ENDPOINTS, key)?;
    let mut outcome = Outcome::done();
    if !found.is_some_and(|found| found.at("/subsets").is_some_and(|shown| patch::same(shown, &subsets))) {
        let desired = json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": key.name(), "namespace": key.namespace(), "labels": {}},
            "subsets": subsets,
        });
        outcome = outcome.then(Effect::ApplyVirtual(ApplyVirtual {
            kind: kinds::ENDPOINTS,
            key: key.clone(),
            desired,
            adopt: true,
        }));
    }
    let ports = host.map(|host| host.list_at("/spec/ports")).unwrap_or_default();
    if !ports.iter().any(|port| port["port"] == PORT) {
        let message = format!("pods cannot reach this API server: its Service on the host has no port {PORT}");
        outcome = outcome.then(change::event(virt, EventReason::Degraded, EventType::Warning, message));
    }
    Ok(outcome)
}

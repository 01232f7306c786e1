//! Draft of the host pod, as far as it depends only on the caches.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{MapError, Object, kinds, pointer};

use super::config::{Level, Pods};
use super::downward::Fields;
use super::{
    Subject, classes, containers, grace, host_paths, hostname, level, nameserver, namespaces, placement, projected,
    security, tenant_nodes, tolerations, volumes,
};

/// A host pod without the variables of Services.
pub(super) struct Draft {
    /// The host pod.
    pub(super) host: Value,
    /// Differences that the tenant may not expect.
    pub(super) remarks: Vec<String>,
}

/// Drafts the host pod. All reasons to refuse it are collected and reported at once; `refuse` adds one for the labels
/// that the host pod would have. A Node that is not shown inside is no such reason by itself: the pod waits for it.
pub(super) fn draft(pod: &Subject<'_, '_>, refuse: impl FnOnce(&Value) -> Option<Refusal>) -> Result<Draft, MapError> {
    let (pods, fields) = (pod.cx.section::<Pods>(), Fields::of(pod));
    let prepared = prepared(pod);
    let crossing = pod.cx.cross(kinds::POD, pod.table, prepared.as_ref().unwrap_or(pod.virt));
    let mut host = crossing.host;
    placement::node(pod, &mut host);
    let missing_node = placement::missing_node(pod);
    let mut refusals: Vec<_> = missing_node.clone().into_iter().chain(crossing.refusals).collect();
    refusals.extend(security::cross(pod, &pods, &mut host));
    refusals.extend(host_paths::cross(pod, &pods, &mut host));
    refusals.extend(volumes::of_other_drivers(pod.virt, &pods));
    if pods.level == Level::Restricted {
        refusals.extend(level::restricted(pod.virt.value()));
    }
    let mut remarks = Vec::new();
    refusals.extend(classes::priority(pod, &pods, &mut host, &mut remarks));
    refusals.extend(classes::runtime(pod, &pods, &mut host));
    refusals.extend(projected::turn_sources(pod, &mut host));
    volumes::turn_ephemeral(pod, &mut host);
    refusals.extend(hostname::set(pod, &mut host));
    refusals.extend_from_slice(&fields.refusals);
    let metadata = fields.metadata(pod);
    refusals.extend(refuse(&metadata["labels"]));
    if refusals.len() > usize::from(missing_node.is_some()) {
        return Err(MapError::Refused(refusals));
    }
    fields.put(&mut host);
    host["apiVersion"] = json!(kinds::POD.api_version());
    host["kind"] = json!(kinds::POD.kind);
    host["metadata"] = metadata;
    identity(&pods, &mut host);
    remarks.extend(nameserver::set(pod, &mut host));
    remarks.extend(tolerate(pod, &pods, &mut host));
    remarks.extend(tenant_nodes::place(pod, &mut host));
    remarks.extend(placement::node_selector(&pods, &mut host));
    remarks.extend(placement::scheduler(pod, &pods, &mut host));
    remarks.extend(grace::cap(&pods, &mut host));
    Ok(Draft { host, remarks })
}

/// Sets the tolerations that the installation allows and adds.
fn tolerate(pod: &Subject<'_, '_>, pods: &Pods, host: &mut Value) -> Option<String> {
    let crossing = tolerations::cross(pod.virt, &pods.tolerations);
    if let Some(spec) = host["spec"].as_object_mut() {
        spec.remove("tolerations");
        if !crossing.tolerations.is_empty() {
            spec.insert("tolerations".to_owned(), Value::Array(crossing.tolerations));
        }
    }
    crossing.remark
}

/// Returns the virtual pod in the form that the rule table translates; `None` when it has that form already.
fn prepared(pod: &Subject<'_, '_>) -> Option<Object> {
    let ports = without_ports_of_the_node(pod);
    namespaces::listed(pod, ports.as_ref().unwrap_or_else(|| pod.virt.value())).or(ports).map(Object::new)
}

/// Removes the host ports that the API server sets for a pod on its node's network. Where that network is
/// permitted, these ports are too.
fn without_ports_of_the_node(pod: &Subject<'_, '_>) -> Option<Value> {
    let is_permitted = pod.cx.permits(kinds::POD, "spec.hostNetwork");
    if !security::is_on_host_network(pod.virt) || !is_permitted {
        return None;
    }
    let mut virt = pod.virt.value().clone();
    for container in containers(pod.virt.value()) {
        for port in pointer::elements(pod.virt.value(), &format!("{container}/ports")) {
            let port = virt.pointer_mut(&port).and_then(Value::as_object_mut);
            if let Some(port) = port.filter(|port| port.get("hostPort") == port.get("containerPort")) {
                port.remove("hostPort");
            }
        }
    }
    Some(virt)
}

/// Sets the identity of the host pod: a ServiceAccount without rights.
fn identity(pods: &Pods, host: &mut Value) {
    let spec = &mut host["spec"];
    spec["serviceAccountName"] = json!(pods.service_account);
    spec["automountServiceAccountToken"] = json!(false);
    spec["enableServiceLinks"] = json!(false);
}

//! The tenant: performs the acts of a script, each until it succeeds, and those on one object in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use tenet_mapper::kinds;

use super::TENANT;
use super::volumes::uses;
use super::webhook::Webhook;
use crate::api::{Cluster, PatchType, Status};
use crate::script::{Act, GATE, Name, PodPlan, What};

/// Kinds of all that a tenant creates, in the order in which it is deleted.
const ALL: [What; 8] =
    [What::ReplicaSet, What::Job, What::Pod, What::Claim, What::Slice, What::Service, What::ConfigMap, What::Secret];

/// The tenant of a virtual cluster.
pub struct Tenant {
    virt: Cluster,
    webhook: Webhook,
    waiting: BTreeMap<String, VecDeque<Act>>,
}

/// Result of an attempt.
enum Attempt {
    Done,
    Again,
}

impl Tenant {
    /// A tenant who has done nothing yet.
    pub fn new(virt: Cluster, webhook: Webhook) -> Self {
        Self { virt, webhook, waiting: BTreeMap::new() }
    }

    /// Adds an act.
    pub fn intend(&mut self, act: Act) {
        if let Act::DropNamespace(namespace) = &act {
            // An act that has not succeeded yet goes with the namespace.
            let is_inside = |act: &Act| act.name().is_some_and(|name| name.namespace == *namespace);
            self.waiting.values_mut().for_each(|acts| acts.retain(|act| !is_inside(act)));
        }
        let line = match &act {
            Act::Namespace(name) | Act::DropNamespace(name) => format!("Namespace {name}"),
            act => act.name().map(ToString::to_string).unwrap_or_default(),
        };
        self.waiting.entry(line).or_default().push_back(act);
    }

    /// Tries what is intended.
    pub fn act(&mut self) {
        let (virt, webhook) = (self.virt.clone(), &self.webhook);
        let coming: BTreeSet<_> = self.waiting.values().flatten().filter_map(namespace).map(str::to_owned).collect();
        for acts in self.waiting.values_mut() {
            while let Some(act) = acts.front() {
                match attempt(&virt, webhook, act, &coming) {
                    Attempt::Done => drop(acts.pop_front()),
                    Attempt::Again => break,
                }
            }
        }
        self.waiting.retain(|_, acts| !acts.is_empty());
    }

    /// Returns true if nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Deletes everything that the tenant has created.
    pub fn clear(&mut self) {
        self.waiting.clear();
        for kind in ALL {
            for object in self.virt.list(kind.kind(), "") {
                let (namespace, name) = (object.namespace(), object.name());
                if namespace.starts_with("kube-") || matches!(name, "kubernetes" | "kube-root-ca.crt") {
                    continue;
                }
                drop(self.virt.delete(TENANT, kind.kind(), namespace, name, json!({})));
            }
        }
    }
}

/// Returns the namespace that an act creates.
fn namespace(act: &Act) -> Option<&str> {
    match act {
        Act::Namespace(name) => Some(name),
        _ => None,
    }
}

/// Tries an act; `coming` are namespaces that are still to be created.
fn attempt(virt: &Cluster, webhook: &Webhook, act: &Act, coming: &BTreeSet<String>) -> Attempt {
    if let Some(name) = act.name()
        && !has_namespace(virt, name)
    {
        let exists = virt.get(kinds::NAMESPACE, "", &name.namespace).is_some();
        return if exists || coming.contains(&name.namespace) { Attempt::Again } else { Attempt::Done };
    }
    match act {
        Act::Namespace(name) => {
            after_create(&virt.create(TENANT, kinds::NAMESPACE, "", json!({"metadata": {"name": name}})))
        }
        Act::DropNamespace(name) => ignore(&virt.delete(TENANT, kinds::NAMESPACE, "", name, json!({}))),
        Act::Pod(name, plan) => create(virt, name, json!({"metadata": labels(&name.name), "spec": plan.spec()})),
        Act::Workload(name, replicas, plan) => create(virt, name, workload(name, *replicas, plan)),
        Act::Scale(name, replicas) => change(virt, name, json!({"spec": {"replicas": replicas}})),
        Act::Content(name, value) => match &name.kind {
            What::Secret => put(virt, name, json!({"stringData": {"value": value.to_string()}})),
            _ => put(virt, name, json!({"data": {"value": value.to_string()}})),
        },
        Act::Service(name, port) => put(virt, name, json!({"spec": service(name, *port)})),
        Act::Reserved(name, port) => put_reserved(virt, webhook, name, service(name, *port)),
        Act::Selectorless(name, port) => {
            put(virt, name, json!({"spec": {"ports": [{"name": "http", "port": 8000 + port}]}}))
        }
        Act::Slice(name, value) => write_slice(virt, name, *value),
        Act::Claim(name) => create(
            virt,
            name,
            json!({"metadata": labels(&name.name),
                   "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
        ),
        Act::Label(name, value) => change(virt, name, json!({"metadata": {"labels": {"version": value.to_string()}}})),
        Act::Ungate(name) => change_now(virt, name, None, json!({"spec": {"schedulingGates": []}})),
        Act::Ready(name, is_ready) => {
            let condition = json!({"type": GATE, "status": if *is_ready { "True" } else { "False" }});
            change_now(virt, name, Some("status"), json!({"status": {"conditions": [condition]}}))
        }
        // A pod without a node does not start any more once its claim is being deleted, so the end would depend on the
        // time.
        Act::Delete(name, _) if name.kind == What::Claim && has_waiting_pod(virt, name) => Attempt::Again,
        Act::Delete(name, grace) => {
            let options = grace.map_or_else(|| json!({}), |seconds| json!({"gracePeriodSeconds": seconds}));
            ignore(&virt.delete(TENANT, name.kind.kind(), &name.namespace, &name.name, options))
        }
        _ => Attempt::Done,
    }
}

fn labels(app: &str) -> Value {
    json!({"name": app, "labels": {"app": app}})
}

fn workload(name: &Name, replicas: u64, plan: &PodPlan) -> Value {
    let template = json!({"metadata": {"labels": {"app": name.name}}, "spec": plan.spec()});
    let metadata = json!({"name": name.name, "labels": {"app": name.name}});
    match name.kind {
        What::Job => json!({"metadata": metadata, "spec": {"template": template, "completions": replicas}}),
        _ => json!({"metadata": metadata, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name.name}}, "template": template}}),
    }
}

fn service(name: &Name, port: u64) -> Value {
    json!({"selector": {"app": name.name}, "ports": [{"name": "http", "port": 8000 + port}]})
}

/// Creates a Service through the webhook, or changes it.
fn put_reserved(virt: &Cluster, webhook: &Webhook, name: &Name, mut spec: Value) -> Attempt {
    if virt.get(kinds::SERVICE, &name.namespace, &name.name).is_none()
        && let Some(address) = webhook.reserve(name, &spec)
    {
        spec["clusterIP"] = address;
    }
    put(virt, name, json!({"spec": spec}))
}

fn create(virt: &Cluster, name: &Name, body: Value) -> Attempt {
    after_create(&virt.create(TENANT, name.kind.kind(), &name.namespace, body))
}

/// Creates an object, or changes it.
fn put(virt: &Cluster, name: &Name, mut body: Value) -> Attempt {
    if virt.get(name.kind.kind(), &name.namespace, &name.name).is_some_and(|found| !found.is_deleting()) {
        return change(virt, name, body);
    }
    body["metadata"] = labels(&name.name);
    create(virt, name, body)
}

/// Changes an object by a merge patch, or by a strategic one if it is a status.
fn change_now(virt: &Cluster, name: &Name, subresource: Option<&str>, body: Value) -> Attempt {
    let at = (name.namespace.as_str(), name.name.as_str());
    let patch = if subresource.is_some() { PatchType::Strategic } else { PatchType::Merge };
    ignore(&virt.patch(TENANT, name.kind.kind(), at, subresource, patch, body))
}

/// Writes the slice of a Service that has the same name.
fn write_slice(virt: &Cluster, name: &Name, value: u64) -> Attempt {
    let endpoint = json!({"addresses": [format!("198.51.100.{value}")], "conditions": {"ready": true}});
    let content =
        json!({"endpoints": [endpoint], "ports": [{"name": "http", "port": 9000 + value, "protocol": "TCP"}]});
    if virt.get(name.kind.kind(), &name.namespace, &name.name).is_some_and(|found| !found.is_deleting()) {
        return change_now(virt, name, None, content);
    }
    let labels = json!({"app": name.name, "kubernetes.io/service-name": name.name});
    let mut slice = json!({"metadata": {"name": name.name, "labels": labels}, "addressType": "IPv4"});
    for member in ["endpoints", "ports"] {
        slice[member] = content[member].clone();
    }
    create(virt, name, slice)
}

fn change(virt: &Cluster, name: &Name, body: Value) -> Attempt {
    let at = (name.namespace.as_str(), name.name.as_str());
    ignore(&virt.patch(TENANT, name.kind.kind(), at, None, PatchType::Strategic, body))
}

/// Returns true if a pod that mounts a claim has no node yet.
fn has_waiting_pod(virt: &Cluster, claim: &Name) -> bool {
    let pods = virt.list(kinds::POD, &claim.namespace);
    pods.iter().any(|pod| pod["spec"]["nodeName"].is_null() && uses(pod, &claim.name))
}

fn has_namespace(virt: &Cluster, name: &Name) -> bool {
    virt.get(kinds::NAMESPACE, "", &name.namespace).is_some_and(|found| !found.is_deleting())
}

fn after_create(result: &Result<Value, Status>) -> Attempt {
    match result {
        // The name is still taken by an object that is being deleted, or the ServiceAccount is not there yet.
        Err(Status { code: 403 | 409, .. }) => Attempt::Again,
        _ => Attempt::Done,
    }
}

fn ignore(result: &Result<Value, Status>) -> Attempt {
    match result {
        Err(Status { code: 409, .. }) => Attempt::Again,
        _ => Attempt::Done,
    }
}

//! Controllers of both clusters: sets of pods, jobs, namespaces, garbage.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tenet_mapper::{Kind, kinds};

use super::{CONTROLLER, controller, is_finished, volumes};
use crate::api::{Cluster, Object, PatchType};
use crate::script::What;

/// Runs the controllers of the virtual cluster once.
pub(crate) fn on_virtual(cluster: &Cluster) {
    namespaces(cluster);
    replica_sets(cluster);
    jobs(cluster);
    garbage(cluster);
    volumes::release(cluster);
}

/// Runs the controllers of the host once.
pub(crate) fn on_host(cluster: &Cluster) {
    namespaces(cluster);
    garbage(cluster);
    volumes::release(cluster);
    volumes::provision(cluster);
}

/// Kinds whose objects a namespace may contain.
fn content() -> Vec<Kind> {
    let what = [What::ReplicaSet, What::Job, What::Pod, What::Claim, What::Service, What::ConfigMap, What::Secret];
    let mut kinds: Vec<_> = what.into_iter().map(What::kind).collect();
    kinds.extend([kinds::SERVICE_ACCOUNT, kinds::EVENT, kinds::ENDPOINT_SLICE]);
    kinds
}

fn namespaces(cluster: &Cluster) {
    for namespace in cluster.list(kinds::NAMESPACE, "") {
        let name = namespace.name();
        if !namespace.is_deleting() {
            if cluster.get(kinds::SERVICE_ACCOUNT, name, "default").is_none() {
                drop(cluster.create(
                    CONTROLLER,
                    kinds::SERVICE_ACCOUNT,
                    name,
                    json!({"metadata": {"name": "default"}}),
                ));
            }
            if cluster.get(kinds::CONFIG_MAP, name, "kube-root-ca.crt").is_none() {
                let root = json!({"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "a certificate"}});
                drop(cluster.create(CONTROLLER, kinds::CONFIG_MAP, name, root));
            }
            continue;
        }
        let mut is_empty = true;
        for kind in content() {
            for object in cluster.list(kind, name) {
                is_empty = false;
                if !object.is_deleting() {
                    drop(cluster.delete(CONTROLLER, kind, name, object.name(), uid(&object)));
                }
            }
        }
        if is_empty {
            drop(cluster.finalize(CONTROLLER, name));
        }
    }
}

fn uid(object: &Object) -> Value {
    json!({"preconditions": {"uid": object.uid()}})
}

fn pods_of(cluster: &Cluster, owner: &Object) -> Vec<Arc<Object>> {
    let mut pods = cluster.list(kinds::POD, owner.namespace());
    pods.retain(|pod| controller(pod) == Some(owner.uid()));
    pods
}

fn create_pod(cluster: &Cluster, kind: What, owner: &Object) {
    let mut pod = owner["spec"]["template"].clone();
    pod["metadata"]["generateName"] = json!(format!("{}-", owner.name()));
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": kind.kind().api_version(), "kind": kind.kind().kind, "name": owner.name(), "uid": owner.uid(),
        "controller": true, "blockOwnerDeletion": true,
    }]);
    drop(cluster.create(CONTROLLER, kinds::POD, owner.namespace(), pod));
}

fn replica_sets(cluster: &Cluster) {
    for set in cluster.list(What::ReplicaSet.kind(), "") {
        if set.is_deleting() {
            continue;
        }
        let mut active = pods_of(cluster, &set);
        active.retain(|pod| !pod.is_deleting() && !is_finished(pod));
        let wanted = usize::try_from(set["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap_or(1);
        for _ in active.len()..wanted {
            create_pod(cluster, What::ReplicaSet, &set);
        }
        for pod in active.iter().skip(wanted) {
            drop(cluster.delete(CONTROLLER, kinds::POD, set.namespace(), pod.name(), uid(pod)));
        }
    }
}

fn jobs(cluster: &Cluster) {
    for job in cluster.list(What::Job.kind(), "") {
        if job.is_deleting() || job["status"]["succeeded"].as_u64().is_some() {
            continue;
        }
        let pods = pods_of(cluster, &job);
        if pods.iter().any(|pod| pod["status"]["phase"] == "Succeeded") {
            let status = json!({"status": {"succeeded": 1}});
            let at = (job.namespace(), job.name());
            drop(cluster.patch(CONTROLLER, What::Job.kind(), at, Some("status"), PatchType::Merge, status));
        } else if pods.iter().all(|pod| is_finished(pod)) {
            create_pod(cluster, What::Job, &job);
        }
    }
}

/// Deletes pods all of whose owners are gone.
fn garbage(cluster: &Cluster) {
    let pods = cluster.list(kinds::POD, "");
    let owned = |pod: &&Arc<Object>| !pod.is_deleting() && owners(pod).next().is_some();
    if !pods.iter().any(|pod| owned(&pod)) {
        return;
    }
    let owning = [What::ReplicaSet, What::Job, What::ConfigMap].map(What::kind).into_iter().chain([kinds::NAMESPACE]);
    let living: Vec<_> = owning.flat_map(|kind| cluster.list(kind, "")).collect();
    let living: HashSet<_> = living.iter().map(|object| object.uid()).collect();
    for pod in pods.iter().filter(owned) {
        if !owners(pod).any(|owner| living.contains(owner)) {
            drop(cluster.delete(CONTROLLER, kinds::POD, pod.namespace(), pod.name(), uid(pod)));
        }
    }
}

fn owners(object: &Object) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter_map(|owner| owner["uid"].as_str())
}

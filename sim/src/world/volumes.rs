//! Volumes: the host provisions one for each claim, and claims that pods use are protected.

use serde_json::{Value, json};
use tenet_mapper::{Kind, kinds};

use super::{CONTROLLER, is_finished};
use crate::api::{Cluster, Object, PatchType};

/// Kind of volumes.
const VOLUME: Kind = Kind::core("PersistentVolume", "persistentvolumes").cluster_scoped();
/// Finalizer that the API server gives to each claim, as pods may use it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Lets claims go that are deleted, and that no pod uses.
pub(super) fn release(cluster: &Cluster) {
    for claim in cluster.list(kinds::PERSISTENT_VOLUME_CLAIM, "") {
        let mut all = claim["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        if claim.is_deleting() && all.contains(&json!(PROTECTION)) && !is_used(cluster, &claim) {
            all.retain(|finalizer| finalizer != PROTECTION);
            patch(cluster, &claim, None, &json!({"metadata": {"uid": claim.uid(), "finalizers": all}}));
        }
    }
}

/// Returns true if a pod that has not ended mounts a claim.
pub(crate) fn is_used(cluster: &Cluster, claim: &Object) -> bool {
    let pods = cluster.list(kinds::POD, claim.namespace());
    pods.iter().any(|pod| !is_finished(pod) && uses(pod, claim.name()))
}

/// Returns true if a pod mounts a claim.
pub(super) fn uses(pod: &Value, claim: &str) -> bool {
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim)
}

/// Gives each claim a volume, and removes volumes whose claims have gone.
pub(super) fn provision(cluster: &Cluster) {
    let claims = cluster.list(kinds::PERSISTENT_VOLUME_CLAIM, "");
    for claim in claims.iter().filter(|claim| !claim.is_deleting()) {
        let (name, capacity) = (format!("pvc-{}", claim.uid()), &claim["spec"]["resources"]["requests"]);
        if claim["spec"]["volumeName"].is_null() {
            let owner = json!({"namespace": claim.namespace(), "name": claim.name(), "uid": claim.uid()});
            let spec = json!({"capacity": capacity, "accessModes": claim["spec"]["accessModes"], "claimRef": owner,
                "persistentVolumeReclaimPolicy": "Delete", "csi": {"driver": "example.com", "volumeHandle": name}});
            drop(cluster.create(CONTROLLER, VOLUME, "", json!({"metadata": {"name": name}, "spec": spec})));
            patch(cluster, claim, None, &json!({"metadata": {"uid": claim.uid()}, "spec": {"volumeName": name}}));
        } else if claim["status"]["phase"] != "Bound" {
            let status = json!({"phase": "Bound", "capacity": capacity, "accessModes": claim["spec"]["accessModes"]});
            patch(cluster, claim, Some("status"), &json!({"metadata": {"uid": claim.uid()}, "status": status}));
        }
    }
    for volume in cluster.list(VOLUME, "") {
        let uid = &volume["spec"]["claimRef"]["uid"];
        if !claims.iter().any(|claim| uid == claim.uid()) {
            drop(cluster.delete(CONTROLLER, VOLUME, "", volume.name(), json!({})));
        }
    }
}

fn patch(cluster: &Cluster, claim: &Object, subresource: Option<&str>, body: &Value) {
    let at = (claim.namespace(), claim.name());
    let kind = kinds::PERSISTENT_VOLUME_CLAIM;
    drop(cluster.patch(CONTROLLER, kind, at, subresource, PatchType::Merge, body.clone()));
}

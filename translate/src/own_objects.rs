//! Names of the objects that a syncer keeps for itself, as opposed to copies of virtual objects.

/// Namespace of the virtual half of the claim.
pub const CLAIM_NAMESPACE: &str = "kube-system";
/// Name of the `ConfigMap` that is the virtual half of the claim.
pub const VIRTUAL_CLAIM: &str = "tenet-claim";
/// Name of the `MutatingWebhookConfiguration` in the virtual cluster.
pub const WEBHOOK: &str = "tenet-admission";

/// Returns the name of the host `ConfigMap` that is the host half of the claim.
pub fn host_claim(cluster: &str) -> String {
    format!("tenet-claim-{cluster}")
}

/// Returns the name of the host Secret with the authority of the sockets.
pub fn serving_secret(cluster: &str) -> String {
    format!("{cluster}-tenet-serving")
}

/// Returns the name of the host Lease of several replicas.
pub fn lease(cluster: &str) -> String {
    format!("{cluster}-tenet-syncer")
}

/// Returns the name of the Role in the host namespace.
pub fn host_role(cluster: &str) -> String {
    format!("tenet-syncer-{cluster}")
}

/// Returns the name of the optional `ClusterRole` on the host.
pub fn host_cluster_role(namespace: &str, cluster: &str) -> String {
    format!("tenet-syncer:{namespace}:{cluster}")
}

/// Returns the name of the `ClusterRole` in the virtual cluster.
pub fn virtual_cluster_role(cluster: &str) -> String {
    format!("tenet-syncer:{cluster}")
}

//! Label and annotation keys of Tenet. Only the syncer may set a key under [`PREFIX`], see
//! [`labels::is_reserved`](crate::labels::is_reserved).

/// Prefix of all keys.
pub const PREFIX: &str = "tenet.sh";

/// Label: name of the virtual cluster. The host informers select on it.
pub const MANAGED_BY: &str = "tenet.sh/managed-by";
/// Label and annotation of the owner record: virtual namespace; absent for a cluster-scoped
/// object. Selectors are narrowed by the label.
pub const NAMESPACE: &str = "tenet.sh/namespace";
/// Annotation of the owner record: cluster id, which is the UID of the virtual `kube-system`
/// namespace.
pub const CLUSTER: &str = "tenet.sh/cluster";
/// Annotation of the owner record: kind of the virtual object, `Pod` or
/// `Ingress.networking.k8s.io`.
pub const KIND: &str = "tenet.sh/kind";
/// Annotation of the owner record: name of the virtual object.
pub const NAME: &str = "tenet.sh/name";
/// Annotation of the owner record: UID of the virtual object.
pub const UID: &str = "tenet.sh/uid";
/// Annotation of the owner record: the host object's own namespace and name. Controllers copy
/// annotations to objects that they derive; such an object has another name, so it does not look like
/// one of ours.
pub const HOST_NAME: &str = "tenet.sh/host-name";
/// Annotation of the owner record: checksum of its other parts. A record that was changed is invalid.
pub const CHECKSUM: &str = "tenet.sh/checksum";

/// Label of the two halves of the claim: name of the virtual cluster. They are no copies, so they lack [`MANAGED_BY`].
pub const CLAIM: &str = "tenet.sh/claim";

/// Annotation of a reservation: its start in unix seconds. The object was created or changed for a
/// request that the virtual API server has not answered yet. Without a [`UID`], which an object
/// gets when it is stored, the reservation belongs to the next object with its name.
pub const PENDING: &str = "tenet.sh/pending";
/// Annotation of the reservation for an update: digest of the state before the update.
pub const PENDING_OVER: &str = "tenet.sh/pending-over";

/// Annotation of a registration of sockets at the virtual API server: the start of the syncer that wrote it.
pub const REGISTERED_BY: &str = "tenet.sh/registered-by";

/// Annotation of an object of an add-on in the virtual cluster: the manifest that it was made from, as digests.
pub const MANIFEST: &str = "tenet.sh/manifest";
/// Annotation of an object that shows one of the other side under a name of its own: namespace and name of that one.
pub const SHOWS: &str = "tenet.sh/shows";

/// Field manager of what the syncer writes into cluster-scoped objects of the virtual cluster.
pub const FIELD_MANAGER: &str = "tenet-syncer";

/// Annotation: labels and annotations that came from the tenant, `l:app,a:example.com/x`.
pub const CROSSED: &str = "tenet.sh/crossed";
/// Annotation: fields that follow and were applied, as names, and as digests of lists, never as values.
pub const APPLIED: &str = "tenet.sh/applied";
/// Annotation: resource version of the original that a copy was made from.
pub const SOURCE: &str = "tenet.sh/source";
/// Annotation of a host pod: values of the tenant's mutable fields when they last crossed.
pub const FOLLOWED: &str = "tenet.sh/followed";
/// Annotation of a host pod: digests of the conditions of readiness gates that the syncer has written, or is about to.
pub const GATES: &str = "tenet.sh/gates";
/// Annotation of a virtual pod: its own UID, written with the binding that follows the host's. A pod that is bound
/// without it was bound inside, by a user or a scheduler.
pub const BOUND: &str = "tenet.sh/bound";
/// Annotation of a token Secret: for each key of its data, the instants in unix seconds at which the token was issued
/// and at which it expires.
pub const TOKENS: &str = "tenet.sh/tokens";

/// Annotation of a token Secret: the node that its tokens name.
pub const TOKENS_NODE: &str = "tenet.sh/tokens-node";
/// Annotation of a token Secret: for each key of its data with trust anchors, a digest of them.
pub const TRUST_BUNDLES: &str = "tenet.sh/trust-bundles";
/// Annotation of a token Secret: for each certificate of the pod, the instants in unix seconds at which its private key
/// was made and at which the next is requested, and how often one was issued.
pub const CERTIFICATES: &str = "tenet.sh/certificates";

/// Annotation: virtual ServiceAccount of a pod.
pub const SERVICE_ACCOUNT: &str = "tenet.sh/service-account";
/// Annotation: all virtual labels of a pod, as a kubelet writes them to a file.
pub const LABELS: &str = "tenet.sh/labels";
/// Annotation: all virtual annotations of a pod, as a kubelet writes them to a file.
pub const ANNOTATIONS: &str = "tenet.sh/annotations";
/// Prefix of an annotation that holds a single label or annotation of a pod; a digest follows.
pub const VALUE: &str = "tenet.sh/value-";

/// Label of the pod that the syncer runs in: name of the virtual cluster. Tenants cannot set
/// it, so no pod of a tenant can be selected as a kubelet.
pub const CONTROL_PLANE: &str = "tenet.sh/control-plane";

/// Label of a host Secret that keeps pods without a controller while a virtual cluster is paused: its name. On the
/// `StatefulSet`, an annotation: the pods are kept, and the pause has begun.
pub const PAUSED_PODS: &str = "tenet.sh/paused-pods";

/// Member of a cached object, never of a stored one: digest in place of content that is not kept.
pub const DIGEST: &str = "tenet.sh/digest";

/// Condition of a virtual object whose last change did not cross: the host keeps what it accepted
/// last.
pub const SYNCED: &str = "tenet.sh/Synced";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::is_reserved;

    #[test]
    fn every_key_is_reserved_for_the_syncer_and_stands_here_once() {
        let keys = [
            MANAGED_BY,
            NAMESPACE,
            CLUSTER,
            KIND,
            NAME,
            UID,
            HOST_NAME,
            CHECKSUM,
            CLAIM,
            PENDING,
            PENDING_OVER,
            MANIFEST,
            SHOWS,
            CROSSED,
            APPLIED,
            SOURCE,
            FOLLOWED,
            GATES,
            BOUND,
            TOKENS,
            TOKENS_NODE,
            TRUST_BUNDLES,
            CERTIFICATES,
            SERVICE_ACCOUNT,
            LABELS,
            ANNOTATIONS,
            VALUE,
            CONTROL_PLANE,
            PAUSED_PODS,
            DIGEST,
            SYNCED,
        ];
        assert!(keys.iter().all(|key| is_reserved(key)));
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
    }
}

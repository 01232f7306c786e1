//! Advice for each reason.

/// Reasons of events, conditions and containers, with what a tenant can do.
const REMEDIES: [(&str, &str); 18] = [
    (
        "SyncRefused",
        "take the field out, or ask the operator of the virtual cluster to permit it (docs/configuration.md, Refused by \
         default)",
    ),
    (
        "SyncBlocked",
        "ask the operator to remove the object on the host that has the name and is not of this virtual cluster, or choose \
         another name",
    ),
    ("SyncRejected", "change what the message names; for a quota, free some of it, or ask the operator for more"),
    ("SyncWaiting", "look at the object that the message names: kubectl describe, or tenet why"),
    ("SyncDegraded", "nothing, if that will do; else ask the operator to permit it (docs/configuration.md)"),
    ("SyncPaused", "wait for the operator, who decides about the deletes (docs/operations.md, The breaker of deletes)"),
    ("SyncSuspended", "wait for the operator, who decides which of the two sides counts (docs/operations.md)"),
    ("Unschedulable", "ask for less, change node selector, affinity or tolerations, or ask the operator for room"),
    ("SchedulingGated", "remove the scheduling gates when the pod may start"),
    ("ErrImagePull", "correct the name of the image, or name a pull secret"),
    ("ImagePullBackOff", "correct the name of the image, or name a pull secret"),
    ("InvalidImageName", "correct the name of the image"),
    ("CrashLoopBackOff", "read why it ended: kubectl logs --previous"),
    ("CreateContainerConfigError", "create the ConfigMap or Secret, or the key of it, that the message names"),
    ("FailedMount", "create what the message names"),
    ("Unhealthy", "look at the probe of the container, and at its log: kubectl logs"),
    ("FailedCreate", "change what the message names"),
    ("ProvisioningFailed", "choose another storage class, or ask the operator"),
];

/// Advice when the syncer does not work.
pub(super) const OPERATOR: &str = "ask the operator, for whom tenet doctor says more";

/// Returns the advice for a reason.
pub(super) fn of(reason: &str) -> Option<&'static str> {
    REMEDIES.iter().find(|(known, _)| *known == reason).map(|(_, remedy)| *remedy)
}

//! Who owns each field of a pod, and how it crosses.

mod containers;
mod volumes;

use tenet_mapper::rules::{Rule, Table, copy, drop, reference, refuse, selector, set, up};

/// The rule table of pods.
pub fn table() -> Table {
    let containers = containers::parts();
    let volumes = volumes::parts();
    let mut parts: Vec<(&str, &[Rule])> = vec![("", HEAD), ("spec", SPEC)];
    parts.extend(containers.iter().map(|(prefix, rules)| (prefix.as_str(), *rules)));
    parts.extend(volumes.iter().map(|(prefix, rules)| (prefix.as_str(), *rules)));
    crate::table(&parts)
}

const HEAD: &[Rule] = &[up("status")];

const SPEC: &[Rule] = &[
    copy("activeDeadlineSeconds").kept(),
    copy("affinity.nodeAffinity").whole(),
    selector("affinity.podAffinity"),
    selector("affinity.podAntiAffinity"),
    set("automountServiceAccountToken", "the host never mints a token for a tenant's pod"),
    set("dnsConfig", "names are resolved by the virtual cluster's DNS"),
    set("dnsPolicy", "names are resolved by the virtual cluster's DNS"),
    set("enableServiceLinks", "the variables are those of the virtual Services"),
    refuse("evictionResponders", "evictions are the host's business"),
    copy("hostAliases[].hostnames[]"),
    copy("hostAliases[].ip"),
    refuse("hostIPC", "shares the memory of the node").unless(&["false"]),
    refuse("hostNetwork", "is on the network of the node").unless(&["false"]),
    refuse("hostPID", "sees the processes of the node").unless(&["false"]),
    copy("hostUsers"),
    set("hostname", "a pod is called inside as in the virtual cluster"),
    copy("hostnameOverride"),
    reference("imagePullSecrets[].name", "Secret"),
    up("nodeName"),
    copy("nodeSelector{}"),
    copy("os.name"),
    drop("overhead", "follows from the runtime class"),
    set("preemptionPolicy", "follows from the priority class"),
    drop("priority", "follows from the priority class"),
    set("priorityClassName", "only the classes of pods.priorityClasses may be used"),
    copy("readinessGates[].conditionType"),
    refuse("resourceClaims", "resource claims do not cross yet"),
    refuse("resources.claims", "resource claims do not cross yet"),
    copy("resources.limits{}"),
    copy("resources.requests{}"),
    copy("restartPolicy"),
    refuse("runtimeClassName", "runtime classes do not cross yet"),
    copy("schedulerName"),
    copy("schedulingGates[].name"),
    refuse("schedulingGroup", "pod groups do not cross yet"),
    refuse("securityContext.appArmorProfile.localhostProfile", "names a profile of the node"),
    set("securityContext.appArmorProfile.type", "`Unconfined` is refused"),
    copy("securityContext.fsGroup"),
    copy("securityContext.fsGroupChangePolicy"),
    copy("securityContext.runAsGroup"),
    copy("securityContext.runAsNonRoot"),
    copy("securityContext.runAsUser"),
    copy("securityContext.seLinuxChangePolicy"),
    copy("securityContext.seLinuxOptions.level"),
    refuse("securityContext.seLinuxOptions.role", "changes the confinement of the pod"),
    set("securityContext.seLinuxOptions.type", "only types for containers"),
    refuse("securityContext.seLinuxOptions.user", "changes the confinement of the pod"),
    refuse("securityContext.seccompProfile.localhostProfile", "names a profile of the node"),
    set("securityContext.seccompProfile.type", "`Unconfined` is refused"),
    copy("securityContext.supplementalGroups[]"),
    copy("securityContext.supplementalGroupsPolicy"),
    set("securityContext.sysctls", "only those that Pod Security calls safe"),
    refuse("securityContext.windowsOptions", "Windows does not cross yet"),
    set("serviceAccount", "is the old name of serviceAccountName"),
    set("serviceAccountName", "the host's account is that of pods.serviceAccount, and has no rights"),
    refuse("setHostnameAsFQDN", "the long name would be the host's").unless(&["false"]),
    copy("shareProcessNamespace"),
    drop("subdomain", "the long name is the virtual DNS's to answer"),
    copy("terminationGracePeriodSeconds"),
    copy("tolerations[].effect"),
    copy("tolerations[].key"),
    copy("tolerations[].operator"),
    copy("tolerations[].tolerationSeconds"),
    copy("tolerations[].value"),
    selector("topologySpreadConstraints"),
];

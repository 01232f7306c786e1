//! Rule table of pods.

mod containers;
mod volumes;

use std::sync::{Arc, LazyLock};

use tenet_mapper::kinds;
use tenet_mapper::rules::{Rule, SelectorForm, Table, copy, omit, reference, refuse, selector, set, up};

/// The rule table of pods, which the mapper of events reads, too.
pub(crate) fn table() -> Arc<Table> {
    static TABLE: LazyLock<Arc<Table>> = LazyLock::new(|| Arc::new(build()));
    Arc::clone(&TABLE)
}

fn build() -> Table {
    let (containers, volumes) = (containers::parts(), volumes::parts());
    let mut parts: Vec<(&str, &[Rule])> = vec![
        ("", STATUS),
        ("spec", SPEC),
        ("spec", CHECKED),
        ("spec", REFUSED),
        ("spec.securityContext", CONFINEMENT),
        ("spec.securityContext", SECURITY_CONTEXT),
        ("spec.affinity.nodeAffinity", NODE_AFFINITY),
    ];
    parts.extend(containers.iter().map(|(prefix, rules)| (prefix.as_str(), *rules)));
    parts.extend(volumes.iter().map(|(prefix, rules)| (prefix.as_str(), *rules)));
    crate::table(&parts)
}

const ACCOUNT: &str = "names a ServiceAccount, which would be one of the host namespace";
const GRACE: &str = "is at most pods.maxTerminationGracePeriod of the configuration";
const NAMESPACES: &str = "a namespaceSelector becomes the list of the namespaces that it selects at the creation";
const TOLERATIONS: &str = "those that pods.tolerations of the configuration allows, and those that it adds";

const STATUS: &[Rule] = &[up("status").computed()];

const SPEC: &[Rule] = &[
    copy("activeDeadlineSeconds").kept(),
    selector("affinity.podAffinity", SelectorForm::PodAffinity).because(NAMESPACES),
    selector("affinity.podAntiAffinity", SelectorForm::PodAffinity).because(NAMESPACES),
    copy("hostAliases[].hostnames[]"),
    copy("hostAliases[].ip"),
    copy("hostUsers")
        .because("false maps the users of the pod to users without rights on the node; true is the default"),
    copy("hostnameOverride").because("a hostname with dots crosses as this, where the tenant sets none"),
    reference("imagePullSecrets[].name", kinds::SECRET.group_kind()),
    up("nodeName").computed().because(
        "the scheduler of the host chooses the node; a pod that names a Node of this cluster gets a node affinity",
    ),
    copy("nodeSelector{}").because("is merged with pods.nodeSelector of the configuration, which wins"),
    copy("os.name"),
    omit("overhead", "follows from the runtime class"),
    omit("priority", "the host computes it from the priority class"),
    copy("readinessGates[].conditionType"),
    copy("resources.limits{}").kept(),
    copy("resources.requests{}").kept(),
    copy("restartPolicy"),
    omit("schedulingGates", "the copy of a pod is created when all of its gates are removed"),
    copy("shareProcessNamespace"),
    omit("subdomain", "the virtual DNS answers the full hostname; on the host no Service has this name"),
    copy("terminationGracePeriodSeconds").because(GRACE),
    copy("tolerations[].effect").kept().because(TOLERATIONS),
    copy("tolerations[].key").kept().because(TOLERATIONS),
    copy("tolerations[].operator").kept().because(TOLERATIONS),
    copy("tolerations[].tolerationSeconds").kept().because(TOLERATIONS),
    copy("tolerations[].value").kept().because(TOLERATIONS),
    selector("topologySpreadConstraints[]", SelectorForm::SpreadConstraint),
];

/// Fields that the mapper computes, or whose value decides if they cross.
const CHECKED: &[Rule] = &[
    set("automountServiceAccountToken", "is false: the host never mints a token for a pod of a tenant"),
    set("dnsConfig", "is set so that resolv.conf is as from a kubelet of the virtual cluster"),
    set("dnsPolicy", "is set so that resolv.conf is as from a kubelet of the virtual cluster"),
    set("enableServiceLinks", "is false: the variables are those of the virtual Services"),
    set("hostname", "is the name of the virtual pod, unless the tenant sets one"),
    set("preemptionPolicy", "the host takes it from the priority class; without a class, Never is refused"),
    set(
        "priorityClassName",
        "crosses when pods.priorityClasses of the configuration lists it; another class is left out",
    ),
    set(
        "runtimeClassName",
        "crosses when pods.runtimeClasses of the configuration lists it; a class of the tenant's own becomes that of \
         pods.runtimeHandlers for its handler; another class is refused",
    ),
    set(
        "schedulerName",
        "crosses when it is the default of the host or pods.schedulers of the configuration lists it; another one is left out",
    ),
    set("setHostnameAsFQDN", "the long name inside crosses as hostnameOverride"),
    set("serviceAccount", "is the old name of serviceAccountName").sealed(ACCOUNT),
    set("serviceAccountName", "is pods.serviceAccount of the configuration, which needs no rights").sealed(ACCOUNT),
];

const REFUSED: &[Rule] = &[
    refuse("evictionResponders", "an eviction on the host would not ask the responders"),
    refuse("hostIPC", "shares the memory of the node").unless(&["false"]),
    refuse("hostNetwork", "uses the network of the node").unless(&["false"]),
    refuse("hostPID", "sees the processes of the node").unless(&["false"]),
    refuse("resourceClaims", "resource claims do not cross yet")
        .unless(&["[]"])
        .sealed("names resource claims, which would be those of the host namespace"),
    refuse("resources.claims", "resource claims do not cross yet").unless(&["[]"]),
    refuse("schedulingGroup", "pod groups do not cross yet")
        .sealed("names pod groups, which would be those of the host namespace"),
];

const SECURITY_CONTEXT: &[Rule] = &[
    copy("fsGroup"),
    copy("fsGroupChangePolicy"),
    copy("seLinuxChangePolicy"),
    copy("supplementalGroups[]"),
    copy("supplementalGroupsPolicy"),
    set("sysctls", "may only be those that Pod Security calls safe"),
];

/// Common fields of the security contexts of pods and of containers.
const CONFINEMENT: &[Rule] = &[
    copy("appArmorProfile.localhostProfile"),
    set("appArmorProfile.type", "crosses, but Unconfined is refused"),
    copy("runAsGroup"),
    copy("runAsNonRoot"),
    copy("runAsUser"),
    copy("seLinuxOptions.level"),
    set("seLinuxOptions.role", "may be set by the host only"),
    set("seLinuxOptions.type", "may only be a type for containers"),
    set("seLinuxOptions.user", "may be set by the host only"),
    copy("seccompProfile.localhostProfile"),
    set("seccompProfile.type", "crosses, but Unconfined is refused"),
    refuse("windowsOptions.gmsaCredentialSpec", "names an identity of the host's domain"),
    refuse("windowsOptions.gmsaCredentialSpecName", "names an identity of the host's domain"),
    refuse("windowsOptions.hostProcess", "runs on the node itself").unless(&["false"]),
    copy("windowsOptions.runAsUserName"),
];

const NODE_AFFINITY: &[Rule] = &[
    copy("preferredDuringSchedulingIgnoredDuringExecution[].preference.matchExpressions[].key"),
    copy("preferredDuringSchedulingIgnoredDuringExecution[].preference.matchExpressions[].operator"),
    copy("preferredDuringSchedulingIgnoredDuringExecution[].preference.matchExpressions[].values[]"),
    copy("preferredDuringSchedulingIgnoredDuringExecution[].preference.matchFields[].key"),
    copy("preferredDuringSchedulingIgnoredDuringExecution[].preference.matchFields[].operator"),
    copy("preferredDuringSchedulingIgnoredDuringExecution[].preference.matchFields[].values[]"),
    copy("preferredDuringSchedulingIgnoredDuringExecution[].weight"),
    copy("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].key"),
    copy("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].operator"),
    copy("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].values[]"),
    copy("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchFields[].key"),
    copy("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchFields[].operator"),
    copy("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchFields[].values[]"),
];

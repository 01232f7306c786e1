//! The three lists of containers have one set of rules.

use tenet_mapper::kinds;
use tenet_mapper::rules::{Rule, copy, reference, refuse, set};

const LISTS: [&str; 3] = ["spec.containers[]", "spec.initContainers[]", "spec.ephemeralContainers[]"];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const HOOKS: [&str; 2] = ["lifecycle.postStart", "lifecycle.preStop"];

/// The parts of the table, each with its prefix.
pub(super) fn parts() -> Vec<(String, &'static [Rule])> {
    let mut parts = vec![("spec.ephemeralContainers[]".to_owned(), EPHEMERAL)];
    for list in LISTS {
        let at = |part: &str| format!("{list}.{part}");
        parts.extend([
            (list.to_owned(), CONTAINER),
            (at("env[]"), ENV),
            (at("envFrom[]"), ENV_FROM),
            (at("securityContext"), SECURITY_CONTEXT),
            (at("securityContext"), super::CONFINEMENT),
        ]);
        parts.extend(PROBES.iter().flat_map(|probe| [(at(probe), PROBE), (at(probe), HANDLER)]));
        parts.extend(HOOKS.iter().flat_map(|hook| [(at(hook), HOOK), (at(hook), HANDLER)]));
    }
    parts
}

const CONTAINER: &[Rule] = &[
    copy("args[]"),
    copy("command[]"),
    copy("image").kept(),
    copy("imagePullPolicy"),
    copy("lifecycle.stopSignal"),
    copy("name"),
    copy("ports[].containerPort"),
    copy("ports[].hostIP").because("means nothing without a port of the node"),
    refuse("ports[].hostPort", "takes a port of the node").unless(&["0"]),
    copy("ports[].name"),
    copy("ports[].protocol"),
    copy("resizePolicy[].resourceName"),
    copy("resizePolicy[].restartPolicy"),
    refuse("resources.claims", "resource claims do not cross yet").unless(&["[]"]),
    copy("resources.limits{}").kept(),
    copy("resources.requests{}").kept(),
    copy("restartPolicy"),
    copy("restartPolicyRules[].action"),
    copy("restartPolicyRules[].exitCodes.operator"),
    copy("restartPolicyRules[].exitCodes.values[]"),
    copy("stdin"),
    copy("stdinOnce"),
    copy("terminationMessagePath"),
    copy("terminationMessagePolicy"),
    copy("tty"),
    copy("volumeDevices[].devicePath"),
    copy("volumeDevices[].name"),
    refuse("volumeMounts[].bindMountOptions", "an older host ignores them").unless(&["[]"]),
    copy("volumeMounts[].mountPath"),
    copy("volumeMounts[].mountPropagation").because("the API lets only privileged containers send mounts to the node"),
    copy("volumeMounts[].name"),
    copy("volumeMounts[].readOnly"),
    copy("volumeMounts[].recursiveReadOnly"),
    copy("volumeMounts[].subPath"),
    copy("volumeMounts[].subPathExpr"),
    copy("workingDir"),
];

const EPHEMERAL: &[Rule] = &[copy("targetContainerName")];

const ENV: &[Rule] = &[
    copy("name"),
    copy("value"),
    copy("valueFrom.configMapKeyRef.key"),
    reference("valueFrom.configMapKeyRef.name", kinds::CONFIG_MAP.group_kind()),
    copy("valueFrom.configMapKeyRef.optional"),
    copy("valueFrom.fieldRef.apiVersion"),
    set("valueFrom.fieldRef.fieldPath", "leads to the virtual value"),
    copy("valueFrom.fileKeyRef.key"),
    copy("valueFrom.fileKeyRef.optional"),
    copy("valueFrom.fileKeyRef.path"),
    copy("valueFrom.fileKeyRef.volumeName"),
    copy("valueFrom.resourceFieldRef.containerName"),
    copy("valueFrom.resourceFieldRef.divisor"),
    copy("valueFrom.resourceFieldRef.resource"),
    copy("valueFrom.secretKeyRef.key"),
    reference("valueFrom.secretKeyRef.name", kinds::SECRET.group_kind()),
    copy("valueFrom.secretKeyRef.optional"),
];

const ENV_FROM: &[Rule] = &[
    reference("configMapRef.name", kinds::CONFIG_MAP.group_kind()),
    copy("configMapRef.optional"),
    copy("prefix"),
    reference("secretRef.name", kinds::SECRET.group_kind()),
    copy("secretRef.optional"),
];

const SECURITY_CONTEXT: &[Rule] = &[
    copy("allowPrivilegeEscalation"),
    set("capabilities.add", "may only be those of the baseline of Pod Security"),
    copy("capabilities.drop[]"),
    refuse("privileged", "gives the container every right on the node").unless(&["false"]),
    set("procMount", "may only be Default: another value unmasks /proc of the node"),
    copy("readOnlyRootFilesystem"),
];

const PROBE: &[Rule] = &[
    copy("failureThreshold"),
    copy("grpc.mode"),
    copy("grpc.port"),
    copy("grpc.service"),
    copy("initialDelaySeconds"),
    copy("periodSeconds"),
    copy("successThreshold"),
    copy("terminationGracePeriodSeconds"),
    copy("timeoutSeconds"),
];

/// The node would call any host that is named there, from its own network.
const ANY_HOST: &str = "the node would call that host from its own network";

const HANDLER: &[Rule] = &[
    copy("exec.command[]"),
    refuse("httpGet.host", ANY_HOST).unless(&["\"\""]),
    copy("httpGet.httpHeaders[].name"),
    copy("httpGet.httpHeaders[].value"),
    copy("httpGet.path"),
    copy("httpGet.port"),
    copy("httpGet.protocol"),
    copy("httpGet.scheme"),
    refuse("tcpSocket.host", ANY_HOST).unless(&["\"\""]),
    copy("tcpSocket.port"),
];

const HOOK: &[Rule] = &[copy("sleep.seconds")];

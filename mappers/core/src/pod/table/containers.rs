//! The three lists of containers have one set of rules.

use tenet_mapper::rules::{Rule, copy, reference, refuse, set};

const LISTS: [&str; 3] = ["spec.containers[]", "spec.initContainers[]", "spec.ephemeralContainers[]"];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const HOOKS: [&str; 2] = ["lifecycle.postStart", "lifecycle.preStop"];

/// The parts of the table, each with its prefix.
pub fn parts() -> Vec<(String, &'static [Rule])> {
    let mut parts = vec![("spec.ephemeralContainers[]".to_owned(), EPHEMERAL)];
    for list in LISTS {
        parts.push((list.to_owned(), CONTAINER));
        for probe in PROBES {
            parts.push((format!("{list}.{probe}"), PROBE));
            parts.push((format!("{list}.{probe}"), HANDLER));
        }
        for hook in HOOKS {
            parts.push((format!("{list}.{hook}"), HANDLER));
            parts.push((format!("{list}.{hook}"), HOOK));
        }
    }
    parts
}

const CONTAINER: &[Rule] = &[
    copy("args[]"),
    copy("command[]"),
    copy("env[].name"),
    copy("env[].value"),
    copy("env[].valueFrom.configMapKeyRef.key"),
    reference("env[].valueFrom.configMapKeyRef.name", "ConfigMap"),
    copy("env[].valueFrom.configMapKeyRef.optional"),
    copy("env[].valueFrom.fieldRef.apiVersion"),
    set("env[].valueFrom.fieldRef.fieldPath", "shows the virtual value"),
    copy("env[].valueFrom.fileKeyRef.key"),
    copy("env[].valueFrom.fileKeyRef.optional"),
    copy("env[].valueFrom.fileKeyRef.path"),
    copy("env[].valueFrom.fileKeyRef.volumeName"),
    copy("env[].valueFrom.resourceFieldRef.containerName"),
    copy("env[].valueFrom.resourceFieldRef.divisor"),
    copy("env[].valueFrom.resourceFieldRef.resource"),
    copy("env[].valueFrom.secretKeyRef.key"),
    reference("env[].valueFrom.secretKeyRef.name", "Secret"),
    copy("env[].valueFrom.secretKeyRef.optional"),
    reference("envFrom[].configMapRef.name", "ConfigMap"),
    copy("envFrom[].configMapRef.optional"),
    copy("envFrom[].prefix"),
    reference("envFrom[].secretRef.name", "Secret"),
    copy("envFrom[].secretRef.optional"),
    copy("image").kept(),
    copy("imagePullPolicy"),
    copy("lifecycle.stopSignal"),
    copy("name"),
    copy("ports[].containerPort"),
    copy("ports[].hostIP"),
    refuse("ports[].hostPort", "takes a port of the node").unless(&["0"]),
    copy("ports[].name"),
    copy("ports[].protocol"),
    copy("resizePolicy[].resourceName"),
    copy("resizePolicy[].restartPolicy"),
    refuse("resources.claims", "resource claims do not cross yet"),
    copy("resources.limits{}").kept(),
    copy("resources.requests{}").kept(),
    copy("restartPolicy"),
    copy("restartPolicyRules[].action"),
    copy("restartPolicyRules[].exitCodes.operator"),
    copy("restartPolicyRules[].exitCodes.values[]"),
    copy("securityContext.allowPrivilegeEscalation"),
    refuse("securityContext.appArmorProfile.localhostProfile", "names a profile of the node"),
    set("securityContext.appArmorProfile.type", "`Unconfined` is refused"),
    set("securityContext.capabilities.add", "only those of the baseline of Pod Security"),
    copy("securityContext.capabilities.drop[]"),
    refuse("securityContext.privileged", "has every right on the node").unless(&["false"]),
    refuse("securityContext.procMount", "unmasks /proc of the node").unless(&["\"Default\""]),
    copy("securityContext.readOnlyRootFilesystem"),
    copy("securityContext.runAsGroup"),
    copy("securityContext.runAsNonRoot"),
    copy("securityContext.runAsUser"),
    copy("securityContext.seLinuxOptions.level"),
    refuse("securityContext.seLinuxOptions.role", "changes the confinement of the container"),
    set("securityContext.seLinuxOptions.type", "only types for containers"),
    refuse("securityContext.seLinuxOptions.user", "changes the confinement of the container"),
    refuse("securityContext.seccompProfile.localhostProfile", "names a profile of the node"),
    set("securityContext.seccompProfile.type", "`Unconfined` is refused"),
    refuse("securityContext.windowsOptions", "Windows does not cross yet"),
    copy("stdin"),
    copy("stdinOnce"),
    copy("terminationMessagePath"),
    copy("terminationMessagePolicy"),
    copy("tty"),
    refuse("volumeDevices", "block volumes do not cross yet"),
    copy("volumeMounts[].bindMountOptions[]"),
    copy("volumeMounts[].mountPath"),
    refuse("volumeMounts[].mountPropagation", "mounts would reach the node")
        .unless(&["\"None\"", "\"HostToContainer\""]),
    copy("volumeMounts[].name"),
    copy("volumeMounts[].readOnly"),
    copy("volumeMounts[].recursiveReadOnly"),
    copy("volumeMounts[].subPath"),
    copy("volumeMounts[].subPathExpr"),
    copy("workingDir"),
];

const EPHEMERAL: &[Rule] = &[copy("targetContainerName")];

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

const HANDLER: &[Rule] = &[
    copy("exec.command[]"),
    copy("httpGet.host"),
    copy("httpGet.httpHeaders[].name"),
    copy("httpGet.httpHeaders[].value"),
    copy("httpGet.path"),
    copy("httpGet.port"),
    copy("httpGet.protocol"),
    copy("httpGet.scheme"),
    copy("tcpSocket.host"),
    copy("tcpSocket.port"),
];

const HOOK: &[Rule] = &[copy("sleep.seconds")];

//! Level of the Pod Security standards that tenant pods are held to. The rule table and [`super::security`] are the
//! baseline; this file is what the other two levels add and take away.

use serde_json::Value;
use tenet_mapper::pointer;
use tenet_mapper::rules::Refusal;

use super::containers;

/// Fields of pods that the privileged level permits.
const OF_POD: [&str; 11] = [
    "spec.hostIPC",
    "spec.hostNetwork",
    "spec.hostPID",
    "spec.volumes[].hostPath",
    "spec.securityContext.appArmorProfile.type",
    "spec.securityContext.seLinuxOptions.role",
    "spec.securityContext.seLinuxOptions.type",
    "spec.securityContext.seLinuxOptions.user",
    "spec.securityContext.seccompProfile.type",
    "spec.securityContext.sysctls",
    "spec.securityContext.windowsOptions.hostProcess",
];

/// Fields of containers that the privileged level permits.
const OF_CONTAINER: [&str; 19] = [
    "ports[].hostPort",
    "securityContext.appArmorProfile.type",
    "securityContext.capabilities.add",
    "securityContext.privileged",
    "securityContext.procMount",
    "securityContext.seLinuxOptions.role",
    "securityContext.seLinuxOptions.type",
    "securityContext.seLinuxOptions.user",
    "securityContext.seccompProfile.type",
    "securityContext.windowsOptions.hostProcess",
    "livenessProbe.httpGet.host",
    "livenessProbe.tcpSocket.host",
    "readinessProbe.httpGet.host",
    "readinessProbe.tcpSocket.host",
    "startupProbe.httpGet.host",
    "startupProbe.tcpSocket.host",
    "lifecycle.postStart.httpGet.host",
    "lifecycle.preStop.httpGet.host",
    "lifecycle.preStop.tcpSocket.host",
];

/// Returns the paths that the level of a section permits.
pub(super) fn permitted(section: &Value) -> Vec<String> {
    if section["level"] != "privileged" {
        return Vec::new();
    }
    let lists = ["spec.containers[]", "spec.initContainers[]", "spec.ephemeralContainers[]"];
    let of_container = lists.iter().flat_map(|list| OF_CONTAINER.iter().map(move |field| format!("{list}.{field}")));
    OF_POD.iter().map(|path| (*path).to_owned()).chain(of_container).collect()
}

/// Returns what the restricted level refuses besides the baseline.
pub(super) fn restricted(pod: &Value) -> Vec<Refusal> {
    let is_windows = pod.pointer("/spec/os/name").is_some_and(|name| name == "windows");
    let mut refusals = Vec::new();
    refusals.extend(runs_as_root(pod, "/spec"));
    for container in containers(pod) {
        refusals.extend(runs_as_root(pod, &container));
        refusals.extend(may_be_root(pod, &container));
        if !is_windows {
            refusals.extend(may_escalate(pod, &container));
            refusals.extend(keeps_capabilities(pod, &container));
            refusals.extend(has_no_seccomp(pod, &container));
        }
    }
    refusals
}

/// Returns a field of the security context of a container, or else of its pod.
fn effective<'p>(pod: &'p Value, container: &str, field: &str) -> Option<&'p Value> {
    let found = |base: &str| pod.pointer(&format!("{base}/securityContext/{field}")).filter(|value| !value.is_null());
    found(container).or_else(|| found("/spec"))
}

fn refusal(base: &str, field: &str, why: &str) -> Refusal {
    Refusal { field: format!("{}.securityContext.{field}", pointer::field(base)), why: why.to_owned() }
}

fn runs_as_root(pod: &Value, base: &str) -> Option<Refusal> {
    let user = pod.pointer(&format!("{base}/securityContext/runAsUser"));
    user.filter(|user| **user == 0).map(|_| refusal(base, "runAsUser", "0 is root, which the level restricted refuses"))
}

fn may_be_root(pod: &Value, container: &str) -> Option<Refusal> {
    let is_safe = effective(pod, container, "runAsNonRoot").is_some_and(|value| *value == true);
    (!is_safe).then(|| refusal(container, "runAsNonRoot", "must be true at the level restricted"))
}

fn may_escalate(pod: &Value, container: &str) -> Option<Refusal> {
    let escalation = pod.pointer(&format!("{container}/securityContext/allowPrivilegeEscalation"));
    let is_safe = escalation.is_some_and(|value| *value == false);
    (!is_safe).then(|| refusal(container, "allowPrivilegeEscalation", "must be false at the level restricted"))
}

fn keeps_capabilities(pod: &Value, container: &str) -> Vec<Refusal> {
    let list = |name: &str| {
        let list = pod.pointer(&format!("{container}/securityContext/capabilities/{name}"));
        list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    };
    let mut refusals = Vec::new();
    if !list("drop").iter().any(|name| name == "ALL") {
        refusals.push(refusal(container, "capabilities.drop", "must contain ALL at the level restricted"));
    }
    if list("add").iter().any(|name| name != "NET_BIND_SERVICE") {
        let why = "may contain NET_BIND_SERVICE alone at the level restricted";
        refusals.push(refusal(container, "capabilities.add", why));
    }
    refusals
}

fn has_no_seccomp(pod: &Value, container: &str) -> Option<Refusal> {
    let kind = effective(pod, container, "seccompProfile/type");
    let is_safe = kind.is_some_and(|kind| kind == "RuntimeDefault" || kind == "Localhost");
    let why = "must be RuntimeDefault or Localhost at the level restricted";
    (!is_safe).then(|| refusal(container, "seccompProfile.type", why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn safe() -> Value {
        let context =
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}});
        json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "securityContext": context}],
        }})
    }

    #[test]
    fn the_restricted_level_refuses_what_pod_security_refuses() {
        assert_eq!(restricted(&safe()), []);
        let context = "/spec/containers/0/securityContext";
        for (pointer, value, field) in [
            ("/spec/securityContext/runAsNonRoot", Value::Null, "spec.containers[0].securityContext.runAsNonRoot"),
            ("/spec/securityContext/runAsUser", json!(0), "spec.securityContext.runAsUser"),
            (
                "/spec/securityContext/seccompProfile",
                Value::Null,
                "spec.containers[0].securityContext.seccompProfile.type",
            ),
            (&format!("{context}/runAsUser"), json!(0), "spec.containers[0].securityContext.runAsUser"),
            (&format!("{context}/runAsNonRoot"), json!(false), "spec.containers[0].securityContext.runAsNonRoot"),
            (
                &format!("{context}/allowPrivilegeEscalation"),
                Value::Null,
                "spec.containers[0].securityContext.allowPrivilegeEscalation",
            ),
            (
                &format!("{context}/capabilities/drop"),
                json!(["KILL"]),
                "spec.containers[0].securityContext.capabilities.drop",
            ),
            (
                &format!("{context}/capabilities/add"),
                json!(["CHOWN"]),
                "spec.containers[0].securityContext.capabilities.add",
            ),
            (
                &format!("{context}/seccompProfile"),
                json!({"type": "Unconfined"}),
                "spec.containers[0].securityContext.seccompProfile.type",
            ),
        ] {
            let mut pod = safe();
            pointer::set(&mut pod, pointer, value);
            let fields: Vec<_> = restricted(&pod).into_iter().map(|refusal| refusal.field).collect();
            assert_eq!(fields, [field], "{pointer}");
        }
    }

    #[test]
    fn a_container_may_say_for_itself_what_its_pod_does_not_and_windows_knows_no_capabilities() {
        let mut pod = safe();
        pod["spec"]["securityContext"] = json!({});
        pod["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] = json!(true);
        pod["spec"]["containers"][0]["securityContext"]["seccompProfile"] = json!({"type": "Localhost"});
        assert_eq!(restricted(&pod), []);
        let windows = json!({"spec": {"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true},
            "containers": [{"name": "c"}]}});
        assert_eq!(restricted(&windows), []);
    }

    #[test]
    fn the_privileged_level_permits_only_paths_that_the_table_leaves_to_the_installation() {
        use tenet_mapper::rules::Action;
        let table = super::super::table::table();
        let open: Vec<_> = table
            .rules()
            .into_iter()
            .filter(|(_, rule)| matches!(rule.action, Action::Refuse | Action::Set) && rule.sealed.is_empty())
            .map(|(path, _)| path.to_owned())
            .collect();
        let permitted = permitted(&json!({"level": "privileged"}));
        for path in &permitted {
            assert!(open.contains(path), "{path}");
        }
        assert!(super::permitted(&json!({"level": "baseline"})).is_empty());
    }
}

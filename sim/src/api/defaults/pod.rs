//! Defaults of pods.

use serde_json::{Value, json};

use super::{drop_empty, items_mut, null, set};

const MODE: u32 = 0o644;

pub(super) fn decoded(pod: &mut Value) {
    set(pod, "spec", json!({}));
    let spec = &mut pod["spec"];
    set(spec, "restartPolicy", "Always");
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "securityContext", json!({}));
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "enableServiceLinks", true);
    // The old name of a field stays readable.
    if let Some(account) = spec["serviceAccountName"].as_str().filter(|name| !name.is_empty()).map(str::to_owned) {
        spec["serviceAccount"] = json!(account);
    }
    let lists = ["nodeSelector", "tolerations", "volumes", "initContainers", "schedulingGates", "imagePullSecrets"];
    drop_empty(spec, &lists);
    if let Some(members) = spec.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    for list in ["/initContainers", "/containers", "/ephemeralContainers"] {
        items_mut(spec, list).for_each(container);
    }
    items_mut(spec, "/volumes").for_each(volume);
    set(pod, "status", json!({}));
    for condition in items_mut(pod, "/status/conditions") {
        null(condition, "lastProbeTime");
        null(condition, "lastTransitionTime");
    }
    let status = &mut pod["status"];
    if let Some(address) = status.get("podIP").and_then(Value::as_str).map(str::to_owned)
        && status["podIPs"].as_array().is_none_or(Vec::is_empty)
    {
        status["podIPs"] = json!([{"ip": address}]);
    }
    drop_empty(status, &["conditions", "podIPs", "hostIPs", "containerStatuses", "initContainerStatuses"]);
    if let Some(members) = status.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
}

fn container(container: &mut Value) {
    drop_empty(container, &["ports", "env", "envFrom", "volumeMounts", "command", "args"]);
    set(container, "resources", json!({}));
    if let Some(limits) = container["resources"].get("limits").and_then(Value::as_object).cloned() {
        for (name, limit) in limits {
            set(&mut container["resources"], "requests", json!({}));
            set(&mut container["resources"]["requests"], &name, limit);
        }
    }
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    let is_latest = container["image"].as_str().is_some_and(is_latest);
    set(container, "imagePullPolicy", if is_latest { "Always" } else { "IfNotPresent" });
    for port in items_mut(container, "/ports") {
        set(port, "protocol", "TCP");
    }
    for member in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = container.get_mut(member) {
            probe(found);
        }
    }
    for entry in items_mut(container, "/env") {
        if let Some(field) = entry.pointer_mut("/valueFrom/fieldRef") {
            set(field, "apiVersion", "v1");
        }
        if let Some(resource) = entry.pointer_mut("/valueFrom/resourceFieldRef") {
            set(resource, "divisor", "0");
        }
        drop_empty(entry, &["value"]);
    }
}

fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Value) {
    for (member, default) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        set(probe, member, default);
    }
    if let Some(get) = probe.get_mut("httpGet") {
        set(get, "path", "/");
        set(get, "scheme", "HTTP");
    }
    if let Some(grpc) = probe.get_mut("grpc") {
        set(grpc, "service", "");
    }
}

fn volume(volume: &mut Value) {
    if volume.as_object().is_some_and(|members| members.len() <= 1) {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source) {
            set(source, "defaultMode", MODE);
        }
    }
    if let Some(path) = volume.get_mut("hostPath") {
        set(path, "type", "");
    }
    items_mut(volume, "/downwardAPI/items").for_each(downward);
    for source in items_mut(volume, "/projected/sources") {
        if let Some(token) = source.get_mut("serviceAccountToken") {
            set(token, "expirationSeconds", 3600);
        }
        items_mut(source, "/downwardAPI/items").for_each(downward);
    }
}

fn downward(item: &mut Value) {
    if let Some(field) = item.get_mut("fieldRef") {
        set(field, "apiVersion", "v1");
    }
    if let Some(resource) = item.get_mut("resourceFieldRef") {
        set(resource, "divisor", "0");
    }
}

pub(super) fn admitted(pod: &mut Value) {
    let spec = &mut pod["spec"];
    let account = spec["serviceAccountName"].clone();
    set(spec, "serviceAccount", account);
    set(spec, "tolerations", json!([]));
    if let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let covers = |found: &Value| {
                (found["key"] == key || found["key"].as_str().unwrap_or_default().is_empty())
                    && matches!(found["effect"].as_str(), None | Some("" | "NoExecute"))
            };
            if !tolerations.iter().any(covers) {
                tolerations
                    .push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
            }
        }
    }
    set(spec, "priority", 0);
    set(spec, "preemptionPolicy", "PreemptLowerPriority");
}

pub(super) fn created(pod: &mut Value, now: &str) {
    pod["status"] = json!({"phase": "Pending", "qosClass": quality(&pod["spec"])});
    if pod["spec"].get("schedulingGates").is_some() {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        pod["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": message, "lastProbeTime": null, "lastTransitionTime": now}]);
    }
}

/// The quality of service of a pod.
pub(in super::super) fn quality(spec: &Value) -> &'static str {
    let (mut is_any, mut is_all) = (false, true);
    for list in ["initContainers", "containers"] {
        for container in spec.get(list).and_then(Value::as_array).into_iter().flatten() {
            let resources = &container["resources"];
            for resource in ["cpu", "memory"] {
                let (request, limit) = (&resources["requests"][resource], &resources["limits"][resource]);
                is_any |= !request.is_null() || !limit.is_null();
                is_all &= !limit.is_null() && request == limit;
            }
        }
    }
    match (is_any, is_all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

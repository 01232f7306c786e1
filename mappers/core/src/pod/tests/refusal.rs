use serde_json::{Value, json};
use tenet_mapper::rules::Defaults;
use tenet_mapper::{MapError, Side, kinds};

use super::lab::Lab;
use crate::pod::{Pods, Preset};

fn refusals(lab: &mut Lab) -> Vec<String> {
    match lab.reconcile() {
        Err(MapError::Refused(refusals)) => refusals.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
        Ok(_) => Vec::new(),
    }
}

fn refused(pointer: &str, value: &Value) -> Vec<String> {
    let mut lab = Lab::fresh();
    lab.edit(pointer, value.clone());
    refusals(&mut lab)
}

/// Pointer, value, the refusal, and the path that permits it.
#[allow(clippy::too_many_lines)] // A table.
fn cases() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    const CONTEXT: &str = "/spec/containers/0/securityContext";
    vec![
        ("/spec/hostNetwork", json!(true), "spec.hostNetwork: uses the network of the node", "spec.hostNetwork"),
        ("/spec/hostPID", json!(true), "spec.hostPID: sees the processes of the node", "spec.hostPID"),
        ("/spec/hostIPC", json!(true), "spec.hostIPC: shares the memory of the node", "spec.hostIPC"),
        (
            "/spec/containers/0/ports",
            json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]),
            "spec.containers[0].ports[1].hostPort: takes a port of the node",
            "spec.containers[].ports[].hostPort",
        ),
        (
            CONTEXT,
            json!({"privileged": true}),
            "spec.containers[0].securityContext.privileged: gives the container every right on the node",
            "spec.containers[].securityContext.privileged",
        ),
        (
            CONTEXT,
            json!({"capabilities": {"add": ["CHOWN", "SYS_ADMIN"]}}),
            "spec.containers[0].securityContext.capabilities.add[1]: SYS_ADMIN is outside of the baseline of Pod Security",
            "spec.containers[].securityContext.capabilities.add",
        ),
        (
            CONTEXT,
            json!({"procMount": "Unmasked"}),
            "spec.containers[0].securityContext.procMount: Unmasked unmasks /proc of the node",
            "spec.containers[].securityContext.procMount",
        ),
        (
            CONTEXT,
            json!({"seccompProfile": {"type": "Unconfined"}}),
            "spec.containers[0].securityContext.seccompProfile.type: Unconfined leaves the pod unconfined",
            "spec.containers[].securityContext.seccompProfile.type",
        ),
        (
            "/spec/securityContext",
            json!({"appArmorProfile": {"type": "Unconfined"}}),
            "spec.securityContext.appArmorProfile.type: Unconfined leaves the pod unconfined",
            "spec.securityContext.appArmorProfile.type",
        ),
        (
            "/spec/securityContext",
            json!({"seLinuxOptions": {"type": "spc_t"}}),
            "spec.securityContext.seLinuxOptions.type: spc_t is not a type for containers",
            "spec.securityContext.seLinuxOptions.type",
        ),
        (
            "/spec/securityContext",
            json!({"seLinuxOptions": {"user": "root"}}),
            "spec.securityContext.seLinuxOptions.user: root may be set by the host only",
            "spec.securityContext.seLinuxOptions.user",
        ),
        (
            "/spec/securityContext",
            json!({"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}, {"name": "kernel.msgmax", "value": "1"}]}),
            "spec.securityContext.sysctls[1].name: kernel.msgmax is not a safe sysctl of Pod Security",
            "spec.securityContext.sysctls",
        ),
        (
            "/spec/securityContext",
            json!({"windowsOptions": {"hostProcess": true}}),
            "spec.securityContext.windowsOptions.hostProcess: runs on the node itself",
            "spec.securityContext.windowsOptions.hostProcess",
        ),
        (
            "/spec/volumes/0",
            json!({"name": "v", "hostPath": {"path": "/"}}),
            "spec.volumes[0].hostPath: mounts a directory of the node",
            "spec.volumes[].hostPath",
        ),
        (
            "/spec/volumes/0",
            json!({"name": "v", "nfs": {"server": "s", "path": "/"}}),
            "spec.volumes[0].nfs: the node would mount storage from outside of the virtual cluster",
            "spec.volumes[].nfs",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"httpGet": {"host": "169.254.169.254", "port": 80}}),
            "spec.containers[0].livenessProbe.httpGet.host: the node would call that host from its own network",
            "spec.containers[].livenessProbe.httpGet.host",
        ),
        (
            "/spec/runtimeClassName",
            json!("kata"),
            "spec.runtimeClassName: kata is not among the classes of pods.runtimeClasses",
            "spec.runtimeClassName",
        ),
        (
            "/spec/preemptionPolicy",
            json!("Never"),
            "spec.preemptionPolicy: comes with a priority class only",
            "spec.preemptionPolicy",
        ),
    ]
}

#[test]
fn what_reaches_beyond_the_pod_is_refused_with_its_place_and_a_reason() {
    for (pointer, value, expected, _) in cases() {
        assert_eq!(refused(pointer, &value), [expected], "{pointer} {value}");
    }
}

#[test]
fn an_installation_permits_a_field_by_its_path() {
    for (pointer, value, _, path) in cases() {
        let mut lab = Lab::fresh().facts(|facts| {
            facts.policies.permit(kinds::POD, path);
        });
        lab.edit(pointer, value.clone());
        lab.converge();
        let host = lab.host().unwrap_or_else(|| panic!("{path} holds it back"));
        assert!(tenet_mapper::patch::same(host.at(pointer).unwrap(), &value), "{path} crosses: {}", host.value());
    }
}

#[test]
fn what_asks_for_nothing_is_no_reason() {
    for (pointer, value) in [
        ("/spec/hostNetwork", json!(false)),
        ("/spec/hostUsers", json!(true)),
        ("/spec/hostUsers", json!(false)),
        ("/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": 0}])),
        ("/spec/containers/0/securityContext", json!({"privileged": false, "capabilities": {"add": []}})),
        ("/spec/containers/0/securityContext", json!({"seLinuxOptions": {"user": "", "role": null}})),
        ("/spec/setHostnameAsFQDN", json!(false)),
        ("/spec/affinity", Value::Null),
        ("/spec/resourceClaims", json!([])),
    ] {
        assert_eq!(refused(pointer, &value), [""; 0], "{pointer} {value}");
    }
}

#[test]
fn every_container_is_looked_at() {
    let bad =
        json!([{"name": "x", "image": "i", "securityContext": {"privileged": true, "capabilities": {"add": ["ALL"]}}}]);
    for list in ["initContainers", "ephemeralContainers"] {
        let fields: Vec<_> = refused(&format!("/spec/{list}"), &bad)
            .into_iter()
            .map(|refusal| refusal.split(':').next().unwrap().to_owned())
            .collect();
        let at = |rest: &str| format!("spec.{list}[0].securityContext.{rest}");
        assert_eq!(fields, [at("privileged"), at("capabilities.add[0]")]);
    }
}

#[test]
fn all_reasons_are_told_at_once() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/hostPID", json!(true));
    lab.edit("/spec/nodeName", json!("node-9"));
    lab.edit("/spec/brandNew", json!({"power": 1}));
    lab.edit("/spec/containers/0/securityContext", json!({"capabilities": {"add": ["ALL"]}}));
    lab.edit("/spec/containers/0/env", json!([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.secret"}}}]));
    lab.edit("/spec/topologySpreadConstraints", json!([{"future": 1}]));
    let fields: Vec<_> = refusals(&mut lab).iter().map(|one| one.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(
        fields,
        [
            "spec.nodeName",
            "spec.brandNew",
            "spec.hostPID",
            "spec.topologySpreadConstraints[0]",
            "spec.containers[0].securityContext.capabilities.add[0]",
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
        ]
    );
}

#[test]
fn listed_priority_classes_cross_and_the_rest_follows_from_them() {
    let mut lab = Lab::fresh().section(Pods { priority_classes: vec!["batch".to_owned()], ..Pods::default() });
    lab.edit("/spec/priorityClassName", json!("batch"));
    lab.edit("/spec/priority", json!(7));
    lab.edit("/spec/preemptionPolicy", json!("Never"));
    lab.converge();
    let spec = &lab.host().unwrap().value()["spec"];
    assert_eq!(spec["priorityClassName"], "batch");
    assert!(spec.get("priority").is_none() && spec.get("preemptionPolicy").is_none());
}

#[test]
fn a_default_of_the_virtual_api_server_is_left_out() {
    let stored = json!({"spec": {"priorityClassName": "standard", "brandNew": "on", "securityContext": {"seccompProfile": {"type": "Unconfined"}}}});
    let mut defaults = Defaults::default();
    defaults.learn(&json!({"spec": {}}), &stored);
    let mut lab = Lab::fresh();
    lab.clusters = lab.clusters.defaults(defaults);
    for (member, value) in stored["spec"].as_object().unwrap() {
        lab.edit(&format!("/spec/{member}"), value.clone());
    }
    lab.converge();
    let spec = &lab.host().unwrap().value()["spec"];
    assert!(spec.get("priorityClassName").is_none() && spec.get("brandNew").is_none());
    assert_eq!(spec["securityContext"], json!({"seccompProfile": {}}));
}

/// A Service and a pod of the host with this label.
fn workload(label: &str) -> String {
    format!(
        "{{kind: Service, metadata: {{name: front, namespace: team-a}}, spec: {{selector: {{{label}}}}}}}
---
{{kind: Pod, metadata: {{name: front-0, namespace: team-a, labels: {{{label}, pod-template-hash: x}}}}}}"
    )
}

/// The Service of the control plane is one: its traffic is that of the API server.
#[test]
fn a_pod_that_a_service_of_the_host_would_take_for_its_own_is_refused() {
    let refused =
        "metadata.labels: a Service of the host would send the pod traffic that is meant for others, by app=web";
    assert_eq!(refusals(&mut Lab::fresh().with(Side::Host, &workload("app: web"))), [refused]);
    assert_eq!(refusals(&mut Lab::fresh().with(Side::Host, &workload("app: other"))), [""; 0]);
    let mut both = Lab::fresh().with(Side::Host, &workload("app: web"));
    both.edit("/spec/hostPID", json!(true));
    assert_eq!(refusals(&mut both).len(), 2, "all reasons are told at once");

    // The administrator exposes pods of the tenant, and nothing else is behind the Service.
    let exposed = "{kind: Service, metadata: {name: front, namespace: team-a}, spec: {selector: {app: web}}}";
    assert_eq!(refusals(&mut Lab::fresh().with(Side::Host, exposed)), [""; 0]);
    let endpoints_by_hand = "{kind: Service, metadata: {name: front, namespace: team-a}, spec: {selector: {}}}";
    assert_eq!(refusals(&mut Lab::fresh().with(Side::Host, endpoints_by_hand)), [""; 0]);
}

#[test]
fn a_label_of_a_running_pod_that_a_service_of_the_host_selects_does_not_follow() {
    let mut lab = Lab::running().with(Side::Host, &workload("app: vcluster"));
    lab.edit("/metadata/labels", json!({"app": "vcluster"}));
    assert_eq!(lab.planned(), ["SyncRefused"]);
    assert_eq!(lab.host().unwrap().label("app"), Some("web"), "it stays as it was last accepted");
    lab.edit("/spec/containers/0/image", json!("nginx:1.28"));
    assert_eq!(lab.planned(), ["patch host pod", "SyncRefused"], "everything else follows");
    lab.edit("/metadata/labels", json!({"app": "other"}));
    lab.converge();
    let host = lab.host().unwrap();
    assert_eq!((host.label("app"), host.label("pod-template-hash")), (Some("other"), None), "what was removed goes");
}

#[test]
fn the_privileged_level_lets_cross_what_each_of_its_paths_would() {
    for (pointer, value, expected, path) in cases() {
        let permitted = crate::pod::level::permitted(&json!({"level": "privileged"}));
        let is_permitted = permitted.iter().any(|one| one == path);
        let mut lab = Lab::fresh().facts(|facts| {
            for path in permitted {
                facts.policies.permit(kinds::POD, path);
            }
        });
        lab.edit(pointer, value.clone());
        assert_eq!(refusals(&mut lab).is_empty(), is_permitted, "{path}: {expected}");
    }
}

#[test]
fn the_restricted_level_refuses_a_pod_that_may_run_as_root_and_a_container_that_is_added_to_debug_with() {
    let restricted = || Lab::fresh().section(Pods { level: crate::Level::Restricted, ..Pods::default() });
    let fields = refusals(&mut restricted()).join("\n");
    assert!(fields.contains("spec.containers[0].securityContext.runAsNonRoot"), "{fields}");

    let mut lab = restricted();
    lab.edit("/spec/securityContext", json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    lab.edit("/spec/containers/0/securityContext", context.clone());
    lab.converge();
    assert!(lab.host().is_some());
    lab.edit("/spec/ephemeralContainers", json!([{"name": "root", "image": "i"}]));
    assert_eq!(lab.planned(), ["SyncRefused"]);
    lab.edit("/spec/ephemeralContainers", json!([{"name": "calm", "image": "i", "securityContext": context}]));
    assert_eq!(lab.planned(), ["patch host ephemeralcontainers"]);
}

#[test]
fn a_service_of_the_host_that_comes_later_is_told_to_the_running_pods_that_it_selects() {
    let mut lab = Lab::running().with(Side::Host, &workload("app: web"));
    let refused = lab.reconcile().unwrap().refused;
    let told = "metadata.labels: a Service of the host sends the pod traffic that is meant for others, by app=web";
    assert_eq!(refused.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
    assert_eq!(lab.planned(), ["SyncRefused"], "the pod stays as it is");
    lab.edit_host("/status/phase", json!("Succeeded"));
    lab.converge();
    assert_eq!(lab.planned(), [""; 0], "a finished pod gets no traffic");
}

/// Returns true if the reconcile of a key around all pods makes all of them due.
fn all_are_due(lab: &mut Lab, key: &str) -> bool {
    let outcome = lab.clusters.reconcile(&crate::PodMapper::new(), "", key).unwrap();
    assert!(outcome.stages.is_empty());
    outcome.all
}

#[test]
fn a_change_of_what_may_expose_pods_makes_all_pods_due() {
    let mut lab = Lab::running().with(Side::Host, &workload("app: other"));
    for (key, expected) in [
        ("service/team-a/front", true),
        ("service/team-a/gone", true),
        ("workload/team-a/front-0", true),
        ("workload/team-a/gone", false),
        ("host", false),
    ] {
        assert_eq!(all_are_due(&mut lab, key), expected, "{key}");
    }
    let exposed = "{kind: Service, metadata: {name: front, namespace: team-a}, spec: {selector: {app: web}}}
---
{kind: Pod, metadata: {name: job, namespace: team-a, labels: {app: job}}}";
    let mut lab = Lab::running().with(Side::Host, exposed);
    assert!(!all_are_due(&mut lab, "service/team-a/front"), "no workload of the host is behind it");
    assert!(!all_are_due(&mut lab, "workload/team-a/job"), "no Service leads to it");
}

#[test]
fn a_preset_permits_its_need_alone() {
    let with = |preset: Preset| Lab::fresh().section(Pods { presets: vec![preset], ..Pods::default() });
    let capabilities = "/spec/containers/0/securityContext/capabilities/add";
    for (preset, added, refused) in [
        (Preset::IpcLock, json!(["IPC_LOCK", "CHOWN"]), None),
        (Preset::IpcLock, json!(["IPC_LOCK", "NET_ADMIN"]), Some("capabilities.add[1]: NET_ADMIN")),
        (Preset::NetAdmin, json!(["NET_ADMIN", "NET_RAW"]), None),
        (Preset::HostLogs, json!(["IPC_LOCK"]), Some("capabilities.add[0]: IPC_LOCK")),
    ] {
        let mut lab = with(preset);
        lab.edit(capabilities, added.clone());
        match (refused, lab.reconcile()) {
            (None, Ok(_)) => {
                lab.converge();
                assert_eq!(lab.host().unwrap().at(capabilities), Some(&added), "{preset:?}");
            }
            (Some(words), Err(error)) => assert!(error.to_string().contains(words), "{error}"),
            (_, other) => panic!("{preset:?} {added}: {other:?}"),
        }
    }
}

#[test]
fn a_log_collector_reads_the_folders_of_logs_and_writes_none() {
    let collector = |path: &str, read_only: bool| {
        let mut lab = Lab::fresh().section(Pods { presets: vec![Preset::HostLogs], ..Pods::default() });
        lab.edit("/spec/volumes", json!([{"name": "logs", "hostPath": {"path": path, "type": ""}}]));
        let mount = json!([{"name": "logs", "mountPath": "/logs", "readOnly": read_only}]);
        lab.edit("/spec/containers/0/volumeMounts", mount);
        lab
    };
    let mut lab = collector("/var/log", true);
    lab.converge();
    assert_eq!(lab.host().unwrap().at("/spec/volumes/0/hostPath/path"), Some(&json!("/var/log")));
    for (path, read_only, words) in [
        ("/var/log", false, "spec.containers[0].volumeMounts[0].readOnly: must be true for a directory of the node"),
        ("/etc", true, "spec.volumes[0].hostPath: mounts a directory of the node"),
    ] {
        let error = collector(path, read_only).reconcile().unwrap_err();
        assert_eq!(error.to_string(), words);
    }

    // A container to debug with mounts the volumes of its pod.
    lab.runs();
    let debug = json!([{"name": "debug", "image": "i", "volumeMounts": [{"name": "logs", "mountPath": "/logs"}]}]);
    lab.edit("/spec/ephemeralContainers", debug);
    let refused = lab.reconcile().unwrap().refused;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].field, "spec.ephemeralContainers[0].volumeMounts[0].readOnly");
}

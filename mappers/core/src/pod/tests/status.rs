use serde_json::{Value, json};
use tenet_mapper::keys::SYNCED;
use tenet_mapper::plan::note_binding;
use tenet_mapper::{Bind, Effect, Side, VirtualKey};

use super::lab::{HOST_NAME, Lab, NAME};

/// Status that the tenant sees after a change of the host pod.
fn shown(pointer: &str, value: Value) -> Value {
    let mut lab = Lab::running();
    lab.edit_host(pointer, value);
    lab.converge();
    lab.virt().unwrap().value()["status"].clone()
}

#[test]
fn the_status_of_the_host_is_shown_inside() {
    let lab = Lab::running();
    let (virt, host) = (lab.virt().unwrap(), lab.host().unwrap());
    for member in
        ["phase", "podIP", "podIPs", "hostIP", "hostIPs", "startTime", "containerStatuses", "observedGeneration"]
    {
        assert_eq!(virt.value()["status"][member], host.value()["status"][member], "{member}");
    }
}

#[test]
fn a_binding_says_by_itself_that_a_pod_is_scheduled() {
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": "2027-01-15T08:00:08Z"});
    let mut lab = Lab::created();
    lab.edit_host("/spec/nodeName", json!("node-1"));
    lab.edit_host("/status", json!({"phase": "Pending", "qosClass": "BestEffort", "conditions": [scheduled]}));
    assert_eq!(lab.converge(), ["bind node-1", "mint Secret"]);
    // Until the watch tells, the gate knows no time.
    lab.edit("/status/conditions", json!([{"type": "PodScheduled", "status": "True"}]));
    assert_eq!(lab.converge(), [""; 0]);
    lab.runs();
    assert_eq!(lab.converge(), ["patch virtual status"]);
    let condition = lab.virt().unwrap().list_at("/status/conditions").last().unwrap().clone();
    assert_eq!(condition, scheduled);
    // Somebody inside takes it away: that is not the binding.
    lab.edit("/status/conditions", json!([]));
    assert_eq!(lab.converge(), ["patch virtual status"]);
}

#[test]
fn why_a_pod_is_not_scheduled_is_shown_inside() {
    let waits = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]);
    let mut lab = Lab::created();
    lab.edit_host("/status", json!({"phase": "Pending", "conditions": waits}));
    assert_eq!(lab.converge(), ["patch virtual status"]);
    assert_eq!(lab.virt().unwrap().at("/status/conditions"), Some(&waits));
    assert_eq!(lab.virt().unwrap().str_at("/status/qosClass"), Some("BestEffort"));
}

#[test]
fn what_the_host_has_added_is_not_shown() {
    let nginx = Lab::running().host().unwrap().at("/status/containerStatuses/0").unwrap().clone();
    let status = shown("/status/containerStatuses", json!([{"name": "sidecar", "image": "mesh"}, nginx]));
    assert_eq!(status["containerStatuses"], json!([nginx]));
    let status = shown("/status/initContainerStatuses", json!([{"name": "mesh-init"}]));
    assert_eq!(status.get("initContainerStatuses"), None);
    let status = shown("/status/resourceClaimStatuses", json!([{"name": "c", "resourceClaimName": "h"}]));
    assert_eq!(status.get("resourceClaimStatuses"), None);
    assert_eq!(shown("/status/qosClass", json!("Burstable"))["qosClass"], "BestEffort");
    let mut conditions = Lab::running().host().unwrap().at("/status/conditions").unwrap().clone();
    conditions.as_array_mut().unwrap().push(json!({"type": "cloud.example/ready", "status": "True"}));
    assert!(!shown("/status/conditions", conditions)["conditions"].to_string().contains("cloud.example"));
}

#[test]
fn conditions_of_readiness_gates_belong_to_the_tenant() {
    let mut lab = Lab::running();
    lab.edit("/spec/readinessGates", json!([{"conditionType": "example.com/ok"}]));
    let mut conditions = lab.virt().unwrap().at("/status/conditions").unwrap().clone();
    let own = json!({"type": "example.com/ok", "status": "False", "observedGeneration": 9});
    let stray = json!({"type": "example.com/stray", "status": "True"});
    conditions.as_array_mut().unwrap().extend([own.clone(), stray.clone()]);
    lab.edit("/status/conditions", conditions);
    assert_eq!(lab.converge(), ["patch host pod", "patch host status"], "it is on record before it is written");
    let host = lab.host().unwrap().at("/status/conditions").unwrap().to_string();
    assert!(host.contains("example.com/ok") && !host.contains("stray") && !host.contains("observedGeneration"));
    assert_eq!(lab.host().unwrap().list_at("/status/conditions").len(), 6, "the kubelet's stay");
    let shown = lab.virt().unwrap().list_at("/status/conditions").to_vec();
    assert!(shown.contains(&own) && shown.contains(&stray));
    // An eviction inside says why, before it deletes.
    let mut conditions = shown;
    conditions.push(json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}));
    lab.edit("/status/conditions", json!(conditions));
    assert_eq!(lab.converge(), [""; 0]);
}

/// Sets a condition on one side, as a controller does.
fn set(lab: &mut Lab, side: Side, status: &str, time: Option<&str>) {
    let mut condition = json!({"type": "example.com/ok", "status": status});
    if let Some(time) = time {
        condition["lastTransitionTime"] = json!(format!("2027-01-15T{time}:00Z"));
    }
    let pod = if side == Side::Host { lab.host() } else { lab.virt() }.unwrap();
    let mut conditions = pod.list_at("/status/conditions").to_vec();
    conditions.retain(|condition| condition["type"] != "example.com/ok");
    conditions.push(condition);
    let at = "/status/conditions";
    if side == Side::Host { lab.edit_host(at, json!(conditions)) } else { lab.edit(at, json!(conditions)) }
}

fn on_host(lab: &Lab) -> Option<String> {
    let conditions = lab.host().unwrap().list_at("/status/conditions");
    let found = conditions.iter().find(|condition| condition["type"] == "example.com/ok")?;
    found["status"].as_str().map(str::to_owned)
}

fn gated() -> Lab {
    let mut lab = Lab::running();
    lab.edit("/spec/readinessGates", json!([{"conditionType": "example.com/ok"}]));
    lab
}

/// Both would write it in turns, without end.
#[test]
fn a_condition_that_a_controller_of_the_host_sets_has_no_second_writer() {
    for time in [Some("08:00"), None] {
        // The controller of the host was first.
        let mut lab = gated();
        set(&mut lab, Side::Host, "False", Some("07:00"));
        for (status, at) in [("True", Some("08:00")), ("False", Some("08:01")), ("True", time)] {
            set(&mut lab, Side::Virtual, status, at);
            assert!(lab.effects().is_empty());
            assert_eq!(lab.planned().len(), usize::from(status == "True"), "what does not cross is told");
            assert_eq!(on_host(&lab).as_deref(), Some("False"));
        }
        // The tenant was first, and somebody on the host comes later.
        let mut lab = gated();
        set(&mut lab, Side::Virtual, "False", time);
        lab.converge();
        set(&mut lab, Side::Virtual, "True", time.map(|_| "09:00"));
        assert_eq!(lab.converge(), ["patch host pod", "patch host status"]);
        assert_eq!(on_host(&lab).as_deref(), Some("True"));
        set(&mut lab, Side::Host, "False", Some("10:00"));
        assert_eq!(lab.planned(), ["SyncRefused"]);
        let told = lab.reconcile().unwrap().refused[0].to_string();
        assert!(told.starts_with("status.conditions[example.com/ok]: somebody on the host sets"), "{told}");
    }
}

#[test]
fn a_condition_of_a_gate_follows_after_a_crash_at_any_write() {
    let mut lab = gated();
    for (status, time) in [("False", "08:00"), ("True", "08:01"), ("False", "08:02")] {
        set(&mut lab, Side::Virtual, status, Some(time));
        // The syncer ends after the record; the tenant sets another value before the next start.
        let effects = lab.effects();
        lab.perform(effects[0].clone());
        set(&mut lab, Side::Virtual, status, Some("09:00"));
        assert_eq!(lab.converge().last().map(String::as_str), Some("patch host status"));
        assert_eq!(on_host(&lab).as_deref(), Some(status));
        assert_eq!(lab.planned(), [""; 0]);
    }
}

#[test]
fn a_value_of_a_gate_whose_write_had_no_answer_is_ours_when_the_watch_shows_it_later() {
    for earlier in [None, Some("07:00")] {
        let mut lab = gated();
        if let Some(time) = earlier {
            set(&mut lab, Side::Virtual, "False", Some(time));
            lab.converge();
        }
        let shown = |lab: &Lab| json!(lab.host().unwrap().list_at("/status/conditions"));
        let stale = shown(&lab);
        set(&mut lab, Side::Virtual, "True", Some("08:00"));
        lab.converge();
        // The watch has not shown it when the tenant sets the next value.
        let written = shown(&lab);
        lab.edit_host("/status/conditions", stale);
        set(&mut lab, Side::Virtual, "Unknown", Some("08:01"));
        let effects = lab.effects();
        lab.perform(effects[0].clone());
        lab.edit_host("/status/conditions", written);
        assert_eq!(lab.planned(), ["patch host status"], "{earlier:?}");
        lab.converge();
        assert_eq!(on_host(&lab).as_deref(), Some("Unknown"));
    }
}

/// Both sides would write it in turns, without end.
#[test]
fn a_readiness_gate_that_names_a_condition_of_the_host_writes_nothing() {
    for gate in ["Ready", "PodScheduled", "ContainersReady", "Initialized", "DisruptionTarget"] {
        let mut lab = Lab::running();
        lab.edit("/spec/readinessGates", json!([{"conditionType": gate}]));
        let mut conditions = lab.virt().unwrap().list_at("/status/conditions").to_vec();
        conditions.retain(|condition| condition["type"] != gate);
        conditions.push(json!({"type": gate, "status": "False", "reason": "Tenant"}));
        lab.edit("/status/conditions", json!(conditions));
        let written = lab.converge();
        assert!(!written.iter().any(|write| write.contains("host")), "{gate}: {written:?}");
        assert!(written.len() <= 1, "{gate}: {written:?}");
    }
}

/// It is the engine's: the status of the host leaves it, and not even a readiness gate takes it down.
#[test]
fn the_condition_of_a_refusal_stays_inside_and_is_kept() {
    let mut lab = Lab::running();
    lab.edit("/spec/readinessGates", json!([{"conditionType": SYNCED}]));
    let mut conditions = lab.virt().unwrap().list_at("/status/conditions").to_vec();
    let refused = json!({"type": SYNCED, "status": "False", "reason": "SyncRefused", "message": "no"});
    conditions.push(refused.clone());
    lab.edit("/status/conditions", json!(conditions));
    assert_eq!(lab.converge(), [""; 0]);
    lab.edit_host("/status/podIP", json!("10.1.0.9"));
    assert_eq!(lab.converge(), ["patch virtual status"]);
    assert!(lab.virt().unwrap().list_at("/status/conditions").contains(&refused));
    assert!(!lab.host().unwrap().list_at("/status/conditions").contains(&refused));
}

/// A controller inside may set a condition at the same time.
#[test]
fn a_status_is_written_over_the_version_that_it_was_derived_from() {
    let mut lab = Lab::running();
    lab.edit_host("/status/podIP", json!("10.1.0.8"));
    let version = lab.virt().unwrap().resource_version().to_owned();
    let [Effect::PatchVirtual(patch)] = &lab.effects()[..] else { panic!("one write") };
    assert_eq!(patch.version.as_ref(), Some(&version));
}

/// The version that the binding has made is not known before the watch shows it.
#[test]
fn a_status_is_not_refused_for_the_binding_that_the_gate_has_made_itself() {
    let mut lab = Lab::created();
    let bind =
        Bind { pod: VirtualKey::new("shop", NAME), uid: lab.virt().unwrap().uid().into(), node: "node-1".into() };
    let mut bound = lab.virt().unwrap().value().clone();
    note_binding(&mut bound, &bind);
    lab.clusters.put(Side::Virtual, bound);
    lab.runs();
    let version = |lab: &mut Lab| {
        let effects = lab.effects();
        let status = effects.iter().rev().find_map(|effect| match effect {
            Effect::PatchVirtual(patch) => Some(patch.version.clone()),
            _ => None,
        });
        status.unwrap_or_else(|| panic!("no status: {effects:?}"))
    };
    assert_eq!(version(&mut lab), None);
    lab.edit("/spec/readinessGates", json!([{"conditionType": "example.com/ok"}]));
    assert!(version(&mut lab).is_some(), "somebody inside may set the condition of the gate at this moment");
}

#[test]
fn what_an_old_api_server_would_drop_is_not_written() {
    for (version, kept) in [("v1.33.6", false), ("v1.33", false), ("v1.34.0", true), ("1.37+", true), ("", true)] {
        let mut lab = Lab::created().facts(|facts| facts.virtual_version = version.to_owned());
        lab.runs();
        lab.edit("/metadata/generation", json!(1));
        lab.edit_host("/status/observedGeneration", json!(1));
        lab.converge();
        assert_eq!(lab.virt().unwrap().at("/status/observedGeneration").is_some(), kept, "{version}");
    }
}

#[test]
fn generations_are_those_of_the_virtual_pod() {
    let seen = |virt: i64, host: i64, observed: i64| {
        let mut lab = Lab::created();
        lab.edit("/metadata/generation", json!(virt));
        lab.edit("/status/observedGeneration", json!(1));
        lab.runs();
        lab.edit_host("/metadata/generation", json!(host));
        lab.edit_host("/status/observedGeneration", json!(observed));
        lab.edit_host("/status/conditions/0/observedGeneration", json!(observed));
        lab.converge();
        let status = lab.virt().unwrap().value()["status"].clone();
        (status["observedGeneration"].clone(), status["conditions"][0].get("observedGeneration").cloned())
    };
    assert_eq!(seen(4, 2, 2), (json!(4), Some(json!(4))));
    assert_eq!(seen(4, 2, 1), (json!(1), None), "what was shown stays until the newest is seen");
}

#[test]
fn messages_speak_of_what_the_tenant_knows() {
    let back_off = format!("back-off restarting nginx pod={HOST_NAME}_team-a(h-1)");
    for (message, expected) in [
        (format!("pod {HOST_NAME} failed"), format!("pod {NAME} failed")),
        (format!("team-a/{HOST_NAME}"), format!("shop/{NAME}")),
        (
            "configmap \"kube-root-ca.crt-x-shop-x-vc-1\" not found".to_owned(),
            "configmap \"kube-root-ca.crt\" not found".to_owned(),
        ),
        (
            "object \"team-a\"/\"kube-root-ca.crt-x-shop-x-vc-1\" not registered".to_owned(),
            "object \"shop\"/\"kube-root-ca.crt\" not registered".to_owned(),
        ),
        (back_off, format!("back-off restarting nginx pod={NAME}_shop(u-1)")),
        ("team-a is a team".to_owned(), "team-a is a team".to_owned()),
    ] {
        let state = json!({"waiting": {"reason": "CreateContainerConfigError", "message": message}});
        let mut lab = Lab::running();
        lab.edit_host("/metadata/uid", json!("h-1"));
        lab.edit_host("/status/containerStatuses/0/state", state.clone());
        lab.edit_host("/status/message", json!(message));
        lab.converge();
        let status = lab.virt().unwrap().value()["status"].clone();
        assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["message"], json!(expected));
        assert_eq!(status["message"], json!(expected));
    }
}

#[test]
fn a_host_that_says_nothing_yet_takes_nothing_away() {
    let mut lab = Lab::created();
    lab.edit_host("/status", json!({}));
    assert_eq!(lab.converge(), [""; 0]);
    assert_eq!(lab.virt().unwrap().str_at("/status/phase"), Some("Pending"));
    assert_eq!(
        lab.clusters.object(Side::Host, tenet_mapper::kinds::POD, "team-a", HOST_NAME).unwrap().at("/status"),
        Some(&json!({}))
    );
}

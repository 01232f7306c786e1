use serde_json::{Value, json};
use tenet_mapper::{Dependency, HostKey, MapError, Next, Side, VirtualKey, kinds};

use super::lab::{HOST_NAME, Lab};

const TERMINATED: &str = "/status/containerStatuses/0/state";

fn ended() -> Value {
    json!({"terminated": {"exitCode": 3, "reason": "Error"}})
}

fn uid(lab: &mut Lab, uid: &str) {
    lab.edit("/metadata/uid", json!(uid));
    lab.edit("/spec/nodeName", Value::Null);
    lab.edit("/status", json!({"phase": "Pending", "qosClass": "BestEffort"}));
}

#[test]
fn the_side_that_is_deleted_leads() {
    // Grace periods of the deletes: virtual, host; what is written.
    for (virt, host, expected) in [
        (Some(30), None, vec!["delete host Pod 30"]),
        (Some(0), None, vec!["delete host Pod 0"]),
        (Some(30), Some(30), vec![]),
        (Some(30), Some(5), vec![]),
        (Some(5), Some(30), vec!["delete host Pod 5"]),
        (Some(0), Some(30), vec!["delete host Pod 0"]),
        (None, Some(30), vec!["patch virtual status", "delete virtual Pod 30"]),
        (None, Some(0), vec!["patch virtual status", "delete virtual Pod 0"]),
    ] {
        let mut lab = Lab::running();
        if let Some(grace) = virt {
            lab.delete(Side::Virtual, grace);
        }
        if let Some(grace) = host {
            lab.delete(Side::Host, grace);
        }
        assert_eq!(lab.planned(), expected, "virtual {virt:?}, host {host:?}");
    }
}

/// The API server removes a pod without a node at once, whatever the grace period.
#[test]
fn a_pod_without_a_node_is_bound_before_the_end_of_its_host_pod_is_passed_on() {
    let mut lab = Lab::running();
    lab.edit("/spec/nodeName", Value::Null);
    lab.delete(Side::Host, 30);
    assert_eq!(lab.planned(), ["bind node-1", "patch virtual status", "delete virtual Pod 30"]);
    let mut without_node = Lab::empty();
    for (side, pod) in [(Side::Virtual, lab.virt()), (Side::Host, lab.host())] {
        without_node.clusters.put(side, pod.unwrap().value().clone());
    }
    without_node.edit_host("/spec/nodeName", json!("node-9"));
    let outcome = without_node.reconcile().unwrap();
    let node = Dependency::virt(kinds::NODE, &VirtualKey::new("", "node-9"));
    assert!(outcome.stages.is_empty() && outcome.wait.contains(&node), "{outcome:?}");
}

#[test]
fn a_grace_period_beyond_the_longest_allowed_one_is_cut_short() {
    let mut lab = Lab::running();
    lab.delete(Side::Virtual, 86_400);
    assert_eq!(lab.planned(), ["delete host Pod 3600"]);
    lab.delete(Side::Host, 3600);
    assert_eq!(lab.planned(), [""; 0]);
}

#[test]
fn how_it_ends_is_shown_while_it_ends() {
    let mut lab = Lab::running();
    lab.delete(Side::Virtual, 30);
    lab.edit_host(TERMINATED, ended());
    assert_eq!(lab.planned(), ["delete host Pod 30", "patch virtual status"]);
    let mut lab = Lab::running();
    lab.delete(Side::Host, 30);
    lab.edit_host(TERMINATED, ended());
    assert_eq!(lab.planned(), ["patch virtual status", "delete virtual Pod 30"]);
}

#[test]
fn the_exit_code_is_shown_before_anything_is_cleaned_up() {
    let mut lab = Lab::running();
    lab.delete(Side::Virtual, 30);
    lab.delete(Side::Host, 30);
    lab.edit_host(TERMINATED, ended());
    lab.vanish();
    let effects = lab.reconcile().unwrap().into_effects();
    lab.perform(effects[0].clone());
    assert_eq!(lab.virt().unwrap().at(TERMINATED), Some(&ended()));
    for effect in effects.into_iter().skip(1) {
        lab.perform(effect);
    }
    assert_eq!(lab.written, ["patch virtual status", "delete virtual Pod 0", "delete host Secret"]);
    assert!(lab.virt().is_none() && lab.secret().is_none());
}

#[test]
fn a_host_pod_that_vanishes_takes_the_virtual_one_along() {
    for scheduled in [true, false] {
        let mut lab = if scheduled { Lab::running() } else { Lab::created() };
        lab.vanish();
        let expected = ["patch virtual status", "delete virtual Pod 0", "delete host Secret", "SyncChanged"];
        assert_eq!(lab.planned(), expected, "it is not created again");
    }
}

/// A name has one object at a time, so the host pod has ended when somebody else has its name.
#[test]
fn a_pod_ends_although_somebody_else_has_its_name_on_the_host() {
    for (is_deleted, is_seen) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut lab = Lab::running();
        lab.edit("/status/startTime", json!("2027-01-15T07:00:00Z"));
        if is_deleted {
            lab.delete(Side::Virtual, 30);
        }
        if is_seen {
            lab.vanish();
        }
        let foreign = json!({"kind": "Pod", "metadata": {"namespace": "team-a", "name": HOST_NAME, "uid": "theirs",
            "creationTimestamp": "2027-01-15T08:00:00Z"}});
        lab.clusters.put(Side::Host, foreign.clone());
        for effect in lab.effects() {
            lab.perform(effect);
        }
        assert!(lab.virt().is_none(), "{is_deleted} {is_seen}");
        assert_eq!(lab.host().unwrap().str_at("/metadata/uid"), Some("theirs"));
    }
}

#[test]
fn a_host_pod_whose_owner_record_was_removed_has_not_ended() {
    for is_seen in [true, false] {
        let mut lab = Lab::running();
        lab.delete(Side::Virtual, 30);
        let mut stripped = lab.host().unwrap().value().clone();
        let started = lab.virt().unwrap().str_at("/status/startTime").unwrap().to_owned();
        for member in ["labels", "annotations"] {
            stripped["metadata"].as_object_mut().unwrap().remove(member);
        }
        stripped["metadata"]["creationTimestamp"] = json!(started);
        if is_seen {
            lab.vanish();
        }
        lab.clusters.put(Side::Host, stripped);
        assert!(matches!(lab.reconcile(), Err(MapError::Foreign { .. })), "{is_seen}");
    }
}

#[test]
fn a_restart_does_not_forget_that_a_pod_has_run() {
    let mut lab = Lab::running();
    let running = lab.virt().unwrap().value().clone();
    let mut later = Lab::empty();
    later.clusters.put(Side::Virtual, running);
    assert_eq!(later.planned(), ["patch virtual status", "delete virtual Pod 0", "SyncChanged"]);
    lab.vanish();
    assert_eq!(lab.planned().len(), 4);
}

/// A Job with `podReplacementPolicy: Failed` waits for the final phase, and its finalizer keeps the pod until then.
#[test]
fn the_phase_is_final_before_a_pod_is_removed() {
    let phase = |lab: &Lab| lab.virt().unwrap().str_at("/status/phase").map(str::to_owned);
    let is_disrupted = |lab: &Lab| {
        lab.virt()
            .unwrap()
            .list_at("/status/conditions")
            .iter()
            .any(|condition| condition["type"] == "DisruptionTarget")
    };
    for by_host in [true, false] {
        let mut lab = Lab::running();
        lab.edit("/metadata/finalizers", json!(["batch.kubernetes.io/job-tracking"]));
        if !by_host {
            lab.delete(Side::Virtual, 30);
        }
        lab.vanish();
        let first = lab.reconcile().unwrap().into_effects().remove(0);
        lab.perform(first);
        assert_eq!((phase(&lab).as_deref(), is_disrupted(&lab)), (Some("Failed"), by_host));
        let ready = lab
            .virt()
            .unwrap()
            .list_at("/status/conditions")
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        assert!(!ready, "nothing sends it traffic");
    }
}

#[test]
fn a_pod_that_the_host_deletes_says_so_before_it_ends() {
    let mut lab = Lab::running();
    lab.delete(Side::Host, 30);
    assert_eq!(lab.planned(), ["patch virtual status", "delete virtual Pod 30"]);
    let first = lab.reconcile().unwrap().into_effects().remove(0);
    lab.perform(first);
    let conditions = lab.virt().unwrap().list_at("/status/conditions").to_vec();
    let disrupted = conditions.iter().find(|condition| condition["type"] == "DisruptionTarget").unwrap();
    assert_eq!((&disrupted["status"], &disrupted["reason"]), (&json!("True"), &json!("DeletedOnHost")));
}

/// The syncer ended between the two writes of the test above.
#[test]
fn a_removal_that_was_interrupted_after_the_final_phase_goes_on() {
    let mut lab = Lab::running();
    lab.vanish();
    let effects = lab.reconcile().unwrap().into_effects();
    lab.perform(effects[0].clone());
    let failed = lab.virt().unwrap().value().clone();
    let mut later = Lab::empty();
    later.clusters.put(Side::Virtual, failed);
    assert_eq!(later.planned(), ["delete virtual Pod 0", "SyncChanged"]);
}

#[test]
fn a_finished_pod_is_history() {
    for gone in [true, false] {
        let mut lab = Lab::running();
        lab.edit_host("/status/phase", json!("Succeeded"));
        assert_eq!(lab.converge(), ["patch virtual status"]);
        let expected: &[&str] = if gone {
            lab.vanish();
            &["delete host Secret"]
        } else {
            lab.delete(Side::Host, 0);
            &[]
        };
        assert_eq!(lab.converge(), expected);
        assert_eq!(lab.virt().unwrap().str_at("/status/phase"), Some("Succeeded"));
    }
}

#[test]
fn a_host_pod_without_its_virtual_one_goes_at_once() {
    for (deleting, expected) in
        [(None, vec!["delete host Pod 0"]), (Some(30), vec!["delete host Pod 0"]), (Some(0), vec![])]
    {
        let mut lab = Lab::running();
        if let Some(grace) = deleting {
            lab.delete(Side::Host, grace);
        }
        let mut orphaned = Lab::empty();
        for object in [lab.host(), lab.secret()] {
            orphaned.clusters.put(Side::Host, object.unwrap().value().clone());
        }
        assert_eq!(orphaned.planned(), expected, "{deleting:?}");
        orphaned.vanish();
        assert_eq!(orphaned.converge(), ["delete host Secret 0"], "nothing is left");
    }
}

#[test]
fn a_pod_of_the_same_name_is_another_pod() {
    let mut lab = Lab::running();
    uid(&mut lab, "u-2");
    let outcome = lab.reconcile().unwrap();
    let host_key = HostKey::new("team-a", HOST_NAME);
    assert_eq!(outcome.wait, [Dependency::host(kinds::POD, &host_key)].into());
    assert_eq!(lab.planned(), ["delete host Pod 0"], "no status of the old one");
    lab.vanish();
    assert_eq!(lab.converge(), ["delete host Secret 0", "mint Secret", "apply Pod"]);
    for object in [lab.host(), lab.secret()] {
        assert_eq!(object.unwrap().annotation("tenet.sh/uid"), Some("u-2"));
    }
}

#[test]
fn the_end_of_an_earlier_pod_is_not_shown_on_the_next() {
    let mut lab = Lab::running();
    uid(&mut lab, "u-2");
    lab.delete(Side::Virtual, 30);
    lab.vanish();
    assert_eq!(lab.planned(), ["delete virtual Pod 0", "delete host Secret"]);
}

#[test]
fn a_finalizer_inside_is_waited_for() {
    let mut lab = Lab::running();
    lab.edit("/metadata/finalizers", json!(["batch.kubernetes.io/job-tracking"]));
    lab.delete(Side::Virtual, 0);
    lab.vanish();
    assert_eq!(lab.converge(), ["patch virtual status", "delete host Secret"]);
}

#[test]
fn a_pod_that_was_refused_can_be_deleted() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/hostPID", json!(true));
    assert!(matches!(lab.reconcile(), Err(MapError::Refused(_))));
    lab.delete(Side::Virtual, 30);
    assert_eq!(lab.converge(), ["delete virtual Pod 0"]);
}

#[test]
fn a_pod_that_was_bound_elsewhere_inside_ends() {
    let mut lab = Lab::created();
    lab.edit("/spec/nodeName", json!("mine"));
    lab.edit("/status/conditions", json!([{"type": "PodScheduled", "status": "True"}]));
    assert_eq!(lab.planned(), [""; 0], "an unscheduled host pod, or an older clusters of one, says nothing");
    lab.runs();
    assert_eq!(lab.planned(), ["delete host Pod", "SyncChanged"]);
    assert_eq!(lab.reconcile().unwrap().next, Next::Done);
}

/// A scheduler of the tenant may be faster than the syncer.
#[test]
fn a_pod_that_was_bound_inside_before_its_host_pod_exists_is_created_on_that_node() {
    for (bound_by_us, is_lost) in [(None, false), (Some("the pod that was copied"), false), (Some("u-1"), true)] {
        let mut lab = Lab::fresh();
        lab.edit("/metadata/uid", json!("u-1"));
        lab.edit("/spec/nodeName", json!("node-1"));
        lab.edit("/status/conditions", json!([{"type": "PodScheduled", "status": "True"}]));
        if let Some(uid) = bound_by_us {
            lab.edit("/metadata/annotations", json!({"tenet.sh/bound": uid}));
        }
        if is_lost {
            assert_eq!(lab.planned(), ["patch virtual status", "delete virtual Pod 0", "SyncChanged"]);
            continue;
        }
        assert_eq!(lab.converge(), ["mint Secret", "apply Pod"], "{bound_by_us:?}");
        let affinity = lab.host().unwrap().at("/spec/affinity/nodeAffinity").unwrap().to_string();
        assert!(affinity.contains("node-1"), "{affinity}");
        lab.runs();
        assert_eq!(lab.converge(), ["patch virtual status"]);
    }
}

#[test]
fn the_pod_of_another_is_not_touched() {
    let mut lab = Lab::running();
    let mut annotations = lab.host().unwrap().annotations();
    annotations.insert("tenet.sh/name".to_owned(), "other".to_owned());
    lab.edit_host("/metadata/annotations", json!(annotations));
    let Err(MapError::Foreign { why, .. }) = lab.reconcile() else { panic!("its record was changed") };
    assert_eq!(why, "its owner record was changed: tenet.sh/checksum does not match");
    // The test kit adds the checksum.
    annotations.remove("tenet.sh/checksum");
    lab.edit_host("/metadata/annotations", json!(annotations));
    let Err(MapError::Foreign { why, .. }) = lab.reconcile() else { panic!("it belongs to another") };
    assert_eq!(why, "it belongs to Pod shop/other");
    let mut alone = Lab::empty();
    alone.clusters.put(Side::Host, lab.host().unwrap().value().clone());
    assert_eq!(alone.planned(), [""; 0]);
}

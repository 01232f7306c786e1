//! Status and conditions of virtual objects.

use super::*;

/// Sets a value of the status of the virtual pod `a` with the UID `u`.
fn patch(pointer: &'static str, value: Value) -> VirtualPatch {
    VirtualPatch {
        version: None,
        kind: kinds::POD,
        key: VirtualKey::new("default", "a"),
        uid: "u".to_owned(),
        subresource: Some("status"),
        values: vec![(pointer.into(), value)],
        cause: None,
    }
}

#[tokio::test]
async fn a_status_is_only_written_to_the_incarnation_that_it_was_derived_from() {
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "new", "resourceVersion": "2"}});
    let rig = Rig::new(vec![], vec![]).knows(Side::Virtual, kinds::POD, pod);
    let patch = VirtualPatch { uid: "old".to_owned(), ..patch("/status", json!({"phase": "Running"})) };
    assert!(matches!(rig.perform(Effect::PatchVirtual(patch)).await, Err(MapError::Conflict(_))));
    assert_eq!(rig.asked(Side::Virtual), Vec::<String>::new());
}

#[tokio::test]
async fn a_status_with_parts_of_others_is_only_written_over_the_version_that_was_seen() {
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": "7"}});
    let status_path = "/api/v1/namespaces/default/pods/a/status";
    let rig = Rig::new(vec![], vec![("PATCH", status_path, 200, json!({}))]).knows(Side::Virtual, kinds::POD, pod);
    let patch = VirtualPatch { version: Some("6".to_owned()), ..patch("/status", json!({"phase": "Running"})) };
    rig.perform(Effect::PatchVirtual(patch)).await.unwrap();
    let asked = rig.virt.lock().unwrap();
    assert_eq!(asked[0].2["metadata"], json!({"uid": "u", "resourceVersion": "6"}));
}

/// Virtual pod `a` with these conditions, and an API server that takes its status.
fn rig_with_conditions(conditions: &Value) -> Rig {
    let pod = json!({
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": "7"},
        "status": {"conditions": conditions},
    });
    let status_path = "/api/v1/namespaces/default/pods/a/status";
    Rig::new(vec![], vec![("PATCH", status_path, 200, json!({}))]).knows(Side::Virtual, kinds::POD, pod)
}

#[tokio::test]
async fn a_status_from_the_host_keeps_the_condition_of_a_refusal() {
    let refused = json!({"type": SYNCED, "status": "False", "reason": "SyncRefused", "message": "no"});
    let ready = json!({"type": "Ready", "status": "True"});
    let status = |conditions: Value| patch("/status/conditions", conditions);
    let rig = rig_with_conditions(&json!([ready, refused]));
    let unchanged = rig.perform(Effect::PatchVirtual(status(json!([ready])))).await.unwrap();
    assert_eq!(unchanged, Done::Unchanged, "no mapper takes the condition away");
    rig.perform(Effect::PatchVirtual(status(Value::Null))).await.unwrap();
    assert_eq!(rig.virt.lock().unwrap()[0].2["status"], json!({"conditions": [refused]}));
}

#[tokio::test]
async fn conditions_of_a_refusal_are_written_over_the_version_that_was_seen() {
    let rig = rig_with_conditions(&json!([]));
    let virt = rig.engine.caches.get(Side::Virtual, kinds::POD).unwrap().get("default", "a").unwrap();
    let status = condition::refused(&virt, "SyncRefused", "no", "2027-01-15T08:00:00Z").unwrap();
    assert_eq!(rig.engine.gate.set_status(kinds::POD, &virt, &status).await.unwrap(), Done::Wrote);
    let asked = rig.virt.lock().unwrap();
    assert_eq!(asked[0].2["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
    assert_eq!(asked[0].2["status"], status);
}

#[tokio::test]
async fn a_status_that_somebody_else_has_written_over_is_written_again_only_after_a_look_at_the_host() {
    let status_path = "/api/v1/namespaces/default/pods/a/status";
    let copy_path = "/api/v1/namespaces/team-a/pods/a-x-default-x-vc-1";
    let pod = |version: &str, phase: &str| {
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": version},
               "status": {"phase": phase}})
    };
    let copy = |version: &str| json!({"metadata": {"namespace": "team-a", "name": "a-x-default-x-vc-1", "uid": "h", "resourceVersion": version}});
    let show = |phase: &str| Effect::PatchVirtual(patch("/status", json!({"phase": phase})));
    for (on_host, is_written) in [("4", false), ("3", true)] {
        let host = vec![("GET", copy_path, 200, copy(on_host))];
        let rig = Rig::new(host, vec![("PATCH", status_path, 200, pod("6", "Pending"))])
            .knows(Side::Virtual, kinds::POD, pod("5", ""))
            .knows(Side::Host, kinds::POD, copy("3"));
        rig.perform(show("Pending")).await.unwrap();
        assert_eq!(rig.asked(Side::Host), [""; 0], "the first write needs no look");
        let rig = rig.knows(Side::Virtual, kinds::POD, pod("7", "Running"));
        let again = rig.perform(show("Pending")).await;
        assert_eq!(rig.asked(Side::Host), [format!("GET {copy_path}")]);
        assert_eq!(again.is_ok(), is_written, "the copy has the version {on_host}: {again:?}");
    }
}

#[tokio::test]
async fn what_the_server_leaves_undone_is_not_written_again_while_the_object_stays_as_it_is() {
    let status_path = "/api/v1/namespaces/default/pods/a/status";
    let pod = |version: &str, status: Value| {
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": version},
               "status": status})
    };
    let show = |status: &Value| Effect::PatchVirtual(patch("/status", status.clone()));
    // The server knows no `resources`, and sets `qosClass` by itself.
    let known = json!({"phase": "Running", "qosClass": "BestEffort", "x": {"y": 1}});
    let of_host = json!({"phase": "Running", "resources": {"limits": {"cpu": "1"}}, "x": {"y": 1, "z": []}});
    let rig = Rig::new(vec![], vec![("PATCH", status_path, 200, pod("6", known.clone()))]).knows(
        Side::Virtual,
        kinds::POD,
        pod("5", json!({"phase": "Pending", "qosClass": "BestEffort"})),
    );
    assert_eq!(rig.perform(show(&of_host)).await.unwrap(), Done::Wrote);
    for _ in 0..2 {
        assert_eq!(rig.perform(show(&of_host)).await.unwrap(), Done::Unchanged);
        assert_eq!(rig.asked(Side::Virtual).len(), 1);
    }

    let other = json!({"phase": "Running", "resources": {"limits": {"cpu": "2"}}});
    assert_eq!(rig.perform(show(&other)).await.unwrap(), Done::Unchanged, "the answer is the same version");
    assert_eq!(rig.asked(Side::Virtual).len(), 2, "but another change is sent");
    rig.engine.gate.compact();
    assert_eq!(rig.perform(show(&other)).await.unwrap(), Done::Unchanged);
    assert_eq!(rig.asked(Side::Virtual).len(), 2, "the object is still that version");

    let rig = rig.knows(Side::Virtual, kinds::POD, pod("7", known));
    rig.perform(show(&other)).await.unwrap();
    assert_eq!(rig.asked(Side::Virtual).len(), 3, "so is one of another version of the object");
}

/// A second syncer that has not seen the end of the host pod yet would otherwise take back what the first one shows.
#[tokio::test]
async fn the_end_of_a_pod_is_taken_back_only_after_a_look_at_its_host_pod() {
    const STATUS: &str = "/api/v1/namespaces/default/pods/a/status";
    const COPY: &str = "/api/v1/namespaces/team-a/pods/a-x-default-x-vc-1";
    let pod = |phase: &str| {
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": "5"},
               "status": {"phase": phase}})
    };
    let copy = |version: &str| json!({"metadata": {"namespace": "team-a", "name": "a-x-default-x-vc-1", "uid": "h", "resourceVersion": version}});
    for (shown, wanted, on_host, looks, is_written) in [
        ("Succeeded", "Running", "4", true, false),
        ("Failed", "Running", "3", true, true),
        ("Failed", "Succeeded", "4", false, true),
        ("Running", "Succeeded", "4", false, true),
    ] {
        let virt = vec![("PATCH", STATUS, 200, pod(wanted))];
        let rig = Rig::new(vec![("GET", COPY, 200, copy(on_host))], virt)
            .knows(Side::Virtual, kinds::POD, pod(shown))
            .knows(Side::Host, kinds::POD, copy("3"));
        let show = VirtualPatch {
            version: None,
            kind: kinds::POD,
            key: VirtualKey::new("default", "a"),
            uid: "u".to_owned(),
            subresource: Some("status"),
            values: vec![("/status".into(), json!({"phase": wanted}))],
            cause: None,
        };
        let written = rig.perform(Effect::PatchVirtual(show)).await;
        assert_eq!(!rig.asked(Side::Host).is_empty(), looks, "{shown} to {wanted}");
        assert_eq!(written.is_ok(), is_written, "{shown} to {wanted}: {written:?}");
    }
}

#[tokio::test]
async fn a_picture_that_somebody_else_has_written_over_is_written_again_only_after_a_look_at_the_host() {
    const NODE: &str = "/api/v1/nodes/node-1";
    let picture = |version: &str, ready: &str, label: &str| {
        json!({"kind": "Node", "metadata": {"name": "node-1", "uid": "n", "resourceVersion": version,
                   "labels": {MANAGED_BY: "vc-1", "zone": label}},
               "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    };
    let node = |version: &str| json!({"metadata": {"name": "node-1", "uid": "h", "resourceVersion": version}});
    let show = |ready: &str, label: &str| {
        let desired = json!({"kind": "Node", "metadata": {"name": "node-1", "labels": {"zone": label}},
                             "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        Effect::ApplyVirtual(ApplyVirtual {
            kind: kinds::NODE,
            key: VirtualKey::new("", "node-1"),
            desired,
            adopt: false,
        })
    };
    for (on_host, is_written) in [("4", false), ("3", true)] {
        for (ready, label) in [("False", "a"), ("True", "b")] {
            let rig = Rig::new(
                vec![("GET", NODE, 200, node(on_host))],
                vec![
                    ("PATCH", NODE, 200, picture("6", "True", "a")),
                    ("PATCH", "/api/v1/nodes/node-1/status", 200, picture("6", "True", "a")),
                ],
            )
            .knows(Side::Virtual, kinds::NODE, picture("5", ready, label))
            .knows(Side::Host, kinds::NODE, node("3"));
            rig.perform(show("True", "a")).await.unwrap();
            assert_eq!(rig.asked(Side::Host), [""; 0], "the first write needs no look");
            let rig = rig.knows(Side::Virtual, kinds::NODE, picture("7", ready, label));
            let again = rig.perform(show("True", "a")).await;
            assert_eq!(rig.asked(Side::Host), [format!("GET {NODE}")]);
            assert_eq!(again.is_ok(), is_written, "the node has the version {on_host}: {again:?}");
        }
    }
}

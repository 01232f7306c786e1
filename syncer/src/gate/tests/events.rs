//! Events on virtual objects.

use super::*;

/// An event of a refusal.
fn refusal() -> Effect {
    Effect::Emit(Event {
        kind: kinds::POD,
        key: VirtualKey::new("default", "a"),
        uid: "u".to_owned(),
        reason: EventReason::Refused,
        event_type: EventType::Warning,
        message: "spec.hostNetwork: no".to_owned(),
    })
}

const EVENTS: &str = "/api/v1/namespaces/default/events";

#[tokio::test(start_paused = true)]
async fn an_event_is_emitted_once_and_again_before_it_expires() {
    let rig = Rig::new(vec![], vec![("POST", EVENTS, 201, json!({}))]);
    assert_eq!(rig.perform(refusal()).await.unwrap(), Done::Wrote);
    assert_eq!(rig.perform(refusal()).await.unwrap(), Done::Unchanged);
    let posts = || rig.asked(Side::Virtual).iter().filter(|asked| asked.starts_with("POST")).count();
    assert_eq!(posts(), 1);
    tokio::time::advance(Duration::from_secs(46 * 60)).await;
    assert_eq!(rig.perform(refusal()).await.unwrap(), Done::Wrote);
    assert_eq!(posts(), 2, "the API server had dropped it");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_still_stands_is_renewed_when_it_is_old() {
    let rig = Rig::new(vec![], vec![("POST", EVENTS, 201, json!({}))]);
    rig.perform(refusal()).await.unwrap();
    let name = rig.virt.lock().unwrap().last().unwrap().2["metadata"]["name"].as_str().unwrap().to_owned();
    let path: &'static str = format!("{EVENTS}/{name}").leak();
    for (last, expected) in [("2020-01-01T00:00:00Z", Done::Wrote), ("2999-01-01T00:00:00Z", Done::Unchanged)] {
        let found = json!({"metadata": {"name": name, "uid": "e"}, "count": 4, "lastTimestamp": last});
        let rig = Rig::new(vec![], vec![("GET", path, 200, found.clone()), ("PATCH", path, 200, found)]);
        assert_eq!(rig.perform(refusal()).await.unwrap(), expected, "{last}");
        let asked = rig.virt.lock().unwrap();
        let counts: Vec<_> =
            asked.iter().filter(|(method, ..)| *method == "PATCH").map(|(.., body)| &body["count"]).collect();
        assert_eq!(counts, if expected == Done::Wrote { vec![5] } else { vec![] });
    }
}

#[tokio::test]
async fn a_field_that_the_host_drops_from_a_new_copy_is_told() {
    const PODS: &str = "/api/v1/namespaces/team-a/pods";
    let spec = json!({"containers": [{"name": "main", "restartPolicyRules": [{"action": "Restart"}]}]});
    let virt = json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "u"}, "spec": spec});
    let copy = |spec: &Value| json!({"kind": "Pod", "metadata": {"namespace": "team-a", "name": key().name(), "uid": "h"}, "spec": spec});
    let older = json!({"containers": [{"name": "main"}]});
    for (created, told) in [(&spec, None), (&older, Some("spec.containers[0].restartPolicyRules"))] {
        let rig = Rig::new(vec![("POST", PODS, 201, copy(created))], vec![("POST", EVENTS, 201, json!({}))]).knows(
            Side::Virtual,
            kinds::POD,
            virt.clone(),
        );
        let apply = ApplyHost {
            kind: kinds::POD,
            key: key(),
            owner: OwnerRecord { kind: kinds::POD.group_kind(), ..owner("u") },
            desired: copy(&spec),
            table: None,
            fallback: None,
        };
        assert_eq!(rig.perform(Effect::ApplyHost(Box::new(apply))).await.unwrap(), Done::Wrote);
        let asked = rig.virt.lock().unwrap();
        let events: Vec<_> = asked.iter().filter(|(method, ..)| *method == "POST").map(|(.., body)| body).collect();
        assert_eq!(events.len(), usize::from(told.is_some()), "{events:?}");
        if let (Some(field), [event]) = (told, &events[..]) {
            assert_eq!(event["reason"], "SyncDegraded");
            assert!(event["message"].as_str().unwrap().contains(field), "{event}");
        }
    }
}

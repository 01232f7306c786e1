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

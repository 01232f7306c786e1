//! Many deletes for absence.

use tokio::time::Instant;

use super::*;

/// A rig with this many ConfigMaps on the host, whose originals are gone.
fn rig_of_orphans(many: usize) -> (Rig, Vec<Effect>) {
    let (mut answers, mut effects, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..many {
        let mut object = host_object(&format!("u{number}"), "v");
        let name = format!("a{number}-x-default-x-vc-1");
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(format!("h{number}"));
        let owner = OwnerRecord { name: format!("a{number}"), ..owner(&format!("u{number}")) };
        object["metadata"]["annotations"] = owner.annotations("team-a", &name).into();
        let path: &'static str = Box::leak(format!("{COLLECTION}/{name}").into_boxed_str());
        answers.push(("DELETE", path, 200, json!({"kind": "Status", "status": "Success"})));
        let deletion = Deletion::orphan(kinds::CONFIG_MAP, &Object::new(object.clone()), kinds::CONFIG_MAP);
        effects.push(Effect::Delete(deletion));
        objects.push(object);
    }
    let event = ("POST", "/api/v1/namespaces/default/events", 201, json!({}));
    let mut rig = Rig::new(answers, vec![("GET", SYSTEM, 200, system_of(ID)), event]);
    for object in objects {
        rig = rig.knows(Side::Host, kinds::CONFIG_MAP, object);
    }
    (rig, effects)
}

fn deletes(rig: &Rig, side: Side) -> usize {
    rig.asked(side).iter().filter(|asked| asked.starts_with("DELETE")).count()
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_was_deleted_meanwhile_goes_paced_and_with_an_alarm() {
    let (rig, effects) = rig_of_orphans(40);
    let start = Instant::now();
    let mut left = effects;
    for round in 0.. {
        let mut waiting = Vec::new();
        for effect in left {
            if let Err(error) = rig.perform(effect.clone()).await {
                assert!(matches!(error, MapError::Transient { after: Some(_), .. }), "{error}");
                waiting.push(effect);
            }
        }
        if round == 0 {
            assert_eq!(deletes(&rig, Side::Host), 10, "as many as are never unusual");
            let report = rig.engine.gate.breaker_report();
            assert_eq!(report, ["breaker: deletes of ConfigMap in the host cluster are paced: 30 wait"]);
            let events = rig.asked(Side::Virtual).iter().filter(|asked| asked.starts_with("POST")).count();
            assert_eq!(events, 1);
        }
        left = waiting;
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(deletes(&rig, Side::Host), 40);
    assert!(start.elapsed() > Duration::from_secs(150), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn virtual_pods_whose_copies_are_gone_are_paced_too() {
    let pod = |number: usize| {
        json!({"kind": "Pod", "metadata": {
            "namespace": "default", "name": format!("p{number}"), "uid": format!("v{number}"), "resourceVersion": "7"}})
    };
    let path = |number: usize| -> &'static str {
        Box::leak(format!("/api/v1/namespaces/default/pods/p{number}").into_boxed_str())
    };
    let status = json!({"kind": "Status", "status": "Success"});
    let mut rig = Rig::new(vec![], (0..30).map(|n| ("DELETE", path(n), 200, status.clone())).collect());
    for number in 0..30 {
        rig = rig.knows(Side::Virtual, kinds::POD, pod(number));
    }
    let finish = |number| Effect::Delete(Deletion::finish(kinds::POD, &Object::new(pod(number))));
    for number in 0..30 {
        assert_eq!(rig.perform(finish(number)).await.is_ok(), number < 10, "{number}");
    }
    let report = rig.engine.gate.breaker_report();
    assert_eq!(report, ["breaker: deletes of Pod in the virtual cluster are paced: 20 wait"]);
    assert_eq!(deletes(&rig, Side::Virtual), 10);

    let by_tenant = |mut pod: Value| {
        pod["metadata"]["deletionTimestamp"] = json!("2027-01-15T09:00:00Z");
        pod["metadata"]["resourceVersion"] = json!("8");
        pod
    };
    let rig = rig.knows(Side::Virtual, kinds::POD, by_tenant(pod(21)));
    assert_eq!(rig.perform(finish(21)).await.unwrap(), Done::Wrote, "what the tenant deletes ends");

    let Err(MapError::Transient { after: Some(delay), .. }) = rig.perform(finish(20)).await else { panic!("paced") };
    tokio::time::sleep(delay).await;
    assert_eq!(rig.perform(finish(20)).await.unwrap(), Done::Wrote);
}

#[tokio::test]
async fn deletes_that_the_api_server_has_told_of_are_not_counted() {
    let (rig, effects) = rig_of_orphans(40);
    let originals = rig.engine.caches.get(Side::Virtual, kinds::CONFIG_MAP).unwrap();
    for number in 0..40 {
        let metadata = json!({"namespace": "default", "name": format!("a{number}"), "uid": format!("u{number}")});
        originals.remove(&json!({"kind": "ConfigMap", "metadata": metadata}));
    }
    for effect in effects {
        assert_eq!(rig.perform(effect).await.unwrap(), Done::Wrote);
    }
    assert_eq!(rig.engine.gate.breaker_report(), [""; 0]);
}

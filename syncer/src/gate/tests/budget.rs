//! Budgets of bytes and writes.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_long_wait_for_the_budget_of_writes_is_told_once() {
    let rig = Rig::new(vec![], vec![]);
    rig.engine.gate.set_budget(&tenet_config::Budget { writes_per_second: 1, ..tenet_config::Budget::default() });
    let told = |rig: &Rig| {
        let asked = rig.asked(Side::Virtual);
        asked.iter().filter(|request| request.starts_with("POST") && request.ends_with("/events")).count()
    };
    drop(rig.perform(apply("u1", "v")).await);
    assert_eq!(told(&rig), 0);
    for _ in 0..20 {
        rig.engine.gate.budgets.take();
    }
    for _ in 0..2 {
        drop(rig.perform(apply("u1", "v")).await);
        assert_eq!(told(&rig), 1);
    }
}

/// A Secret on the host whose content has this many bytes.
fn secret(name: &str, bytes: usize) -> Value {
    let mut object = host_object("u1", "");
    object["kind"] = json!("Secret");
    object["metadata"]["name"] = json!(name);
    object["metadata"]["uid"] = json!(format!("uid-{name}"));
    object["data"] = json!({"k": "x".repeat(bytes - 1)});
    object
}

#[tokio::test]
async fn a_copy_beyond_the_budget_waits_and_is_made_when_there_is_room() {
    const PLACE: &str = "/api/v1/namespaces/team-a/secrets";
    let wanted = secret(key().name(), 40);
    let rig = Rig::new(vec![("POST", PLACE, 201, wanted.clone())], vec![]);
    rig.engine
        .gate
        .set_budget(&tenet_config::Budget { copies: "100".parse().unwrap(), ..tenet_config::Budget::default() });
    let cache = Arc::clone(rig.engine.caches.get(Side::Host, kinds::SECRET).unwrap());
    cache.store(secret("other", 61));
    assert_eq!((cache.content(), cache.content_of("team-a", "other")), (61, 61));
    let table = Table::new(&[("", &[copy("data").whole().kept()])]).unwrap();
    let apply = Effect::ApplyHost(Box::new(ApplyHost {
        kind: kinds::SECRET,
        key: key(),
        owner: owner("u1"),
        desired: wanted,
        table: Some(Arc::new(table)),
        fallback: None,
    }));
    let waits = rig.perform(apply.clone()).await.unwrap_err();
    assert!(matches!(&waits, MapError::QuotaExceeded { quota, .. } if quota == "budget.copies"), "{waits:?}");
    assert_eq!(rig.asked(Side::Host), [""; 0]);
    cache.evict("team-a", "other", "uid-other");
    assert_eq!(rig.perform(apply).await.unwrap(), Done::Wrote);
    assert_eq!((cache.content(), cache.len()), (40, 1));
}

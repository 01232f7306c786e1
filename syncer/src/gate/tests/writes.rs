//! Creates and changes of copies.

use super::*;

#[tokio::test]
async fn a_write_that_changes_nothing_never_leaves() {
    let rig = Rig::new(vec![], vec![]).knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"));
    assert_eq!(rig.perform(apply("u1", "v")).await.unwrap(), Done::Unchanged);
    assert_eq!(rig.asked(Side::Host), Vec::<String>::new());
}

#[tokio::test]
async fn without_the_lease_nothing_is_written_and_everything_is_read() {
    let rig = Rig::holding(vec![("GET", PLACE, 200, host_object("u1", "v"))], vec![], Hold::default());
    let rig = rig.knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"));
    let refused = rig.perform(apply("u1", "w")).await;
    assert!(matches!(refused, Err(MapError::Transient { .. })), "{refused:?}");
    let host_key = key();
    let target = Target::new(kinds::CONFIG_MAP, host_key.namespace(), host_key.name());
    assert!(rig.engine.gate.read(Side::Host, &target).await.unwrap().is_some());
    assert_eq!(rig.asked(Side::Host), [format!("GET {PLACE}")]);
}

#[tokio::test]
async fn an_update_carries_uid_and_version() {
    let rig = Rig::new(vec![("PATCH", PLACE, 200, host_object("u1", "w"))], vec![]).knows(
        Side::Host,
        kinds::CONFIG_MAP,
        host_object("u1", "v"),
    );
    assert_eq!(rig.perform(apply("u1", "w")).await.unwrap(), Done::Wrote);
    let (_, _, body) = rig.host.lock().unwrap()[0].clone();
    assert_eq!(body[0], json!({"op": "replace", "path": "/metadata/uid", "value": "host-uid"}));
    assert_eq!(body[1], json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}));
    assert_eq!(body[2], json!({"op": "add", "path": "/data/k", "value": "w"}));
}

#[tokio::test]
async fn a_copy_that_somebody_else_has_written_over_is_written_again_only_after_a_look_at_its_original() {
    const ORIGINAL: &str = "/api/v1/namespaces/default/configmaps/a";
    let at = |version: &str, mut object: Value| {
        object["metadata"]["resourceVersion"] = json!(version);
        object
    };
    let original = json!({"metadata": {"namespace": "default", "name": "a", "uid": "u1"}});
    for (inside, is_written) in [("4", false), ("3", true)] {
        let virt = vec![("GET", ORIGINAL, 200, at(inside, original.clone()))];
        let rig = Rig::new(vec![("PATCH", PLACE, 200, at("8", host_object("u1", "v")))], virt)
            .knows(Side::Virtual, kinds::CONFIG_MAP, at("3", original.clone()))
            .knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "w"));
        rig.perform(apply("u1", "v")).await.unwrap();
        assert_eq!(rig.asked(Side::Virtual), [""; 0], "the first write needs no look");
        let rig = rig.knows(Side::Host, kinds::CONFIG_MAP, at("9", host_object("u1", "w")));
        let again = rig.perform(apply("u1", "v")).await;
        assert_eq!(rig.asked(Side::Virtual), [format!("GET {ORIGINAL}")]);
        assert_eq!(again.is_ok(), is_written, "the original has the version {inside}: {again:?}");
    }
}

#[tokio::test]
async fn a_conflict_or_a_404_leads_to_a_quorum_read_into_the_cache() {
    let conflict = json!({"kind": "Status", "reason": "Conflict", "message": "changed", "code": 409});
    let mut newer = host_object("u1", "x");
    newer["metadata"]["resourceVersion"] = json!("9");
    let at = |rig: &Rig| rig.engine.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().get("team-a", key().name());
    let rig = Rig::new(vec![("PATCH", PLACE, 409, conflict), ("GET", PLACE, 200, newer)], vec![]).knows(
        Side::Host,
        kinds::CONFIG_MAP,
        host_object("u1", "v"),
    );
    assert!(matches!(rig.perform(apply("u1", "w")).await, Err(MapError::Conflict(_))));
    assert_eq!(at(&rig).unwrap().resource_version(), "9");
    let gone = Rig::new(vec![], vec![]).knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"));
    assert!(matches!(gone.perform(apply("u1", "w")).await, Err(MapError::Conflict(_))));
    assert!(at(&gone).is_none());
}

#[tokio::test]
async fn a_slow_answer_or_a_failing_webhook_is_no_overload() {
    let failed = json!({"kind": "Status", "reason": "InternalError", "code": 500,
        "message": "failed calling webhook \"slow\": context deadline exceeded"});
    let busy = json!({"kind": "Status", "reason": "TooManyRequests", "message": "later", "code": 429});
    for (code, body, limit) in [(500, failed, 8), (429, busy, 4)] {
        let rig = Rig::new(vec![("POST", COLLECTION, code, body)], vec![]);
        assert!(matches!(rig.perform(apply("u1", "v")).await, Err(MapError::Transient { .. })));
        assert_eq!(rig.engine.gate.limiter(Side::Host).limit(), limit, "{code}");
    }
}

#[tokio::test]
async fn a_resource_that_the_host_does_not_serve_rejects_a_change() {
    let unserved = json!({"kind": "Status", "reason": "NotFound", "code": 404,
        "message": "the server could not find the requested resource"});
    let rig = Rig::new(vec![("PATCH", PLACE, 404, unserved)], vec![]).knows(
        Side::Host,
        kinds::CONFIG_MAP,
        host_object("u1", "v"),
    );
    let error = rig.perform(apply("u1", "w")).await.unwrap_err();
    assert!(matches!(&error, MapError::Rejected(message) if message.contains("does not serve ConfigMap")), "{error}");
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_recognised_by_its_owner_record() {
    let conflict = json!({"kind": "Status", "reason": "AlreadyExists", "message": "exists", "code": 409});
    let rig = Rig::new(vec![("POST", COLLECTION, 409, conflict), ("GET", PLACE, 200, host_object("u1", "v"))], vec![]);
    assert_eq!(rig.perform(apply("u1", "v")).await.unwrap(), Done::Unchanged);
    assert!(rig.engine.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().get("team-a", key().name()).is_some());
}

#[tokio::test]
async fn a_foreign_object_is_never_written() {
    let conflict = json!({"kind": "Status", "reason": "AlreadyExists", "message": "exists", "code": 409});
    let rig = Rig::new(vec![("POST", COLLECTION, 409, conflict), ("GET", PLACE, 200, foreign_object())], vec![]);
    assert!(matches!(rig.perform(apply("u1", "v")).await, Err(MapError::Foreign { .. })));
    assert_eq!(rig.asked(Side::Host), [format!("POST {COLLECTION}"), format!("GET {PLACE}")]);
}

#[tokio::test]
async fn an_earlier_incarnation_is_a_conflict_and_is_not_written() {
    let rig = Rig::new(vec![], vec![]).knows(Side::Host, kinds::CONFIG_MAP, host_object("u0", "v"));
    assert!(matches!(rig.perform(apply("u1", "w")).await, Err(MapError::Conflict(_))));
    assert_eq!(rig.asked(Side::Host), Vec::<String>::new());
}

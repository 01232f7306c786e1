//! Reservations: a host object that waits for its original.

use tenet_mapper::keys::PENDING;

use super::*;

const VIRTUAL: &str = "/api/v1/namespaces/default/configmaps/a";

fn reservation() -> Value {
    let mut reserved = host_object("", "v");
    reserved["metadata"]["annotations"][PENDING] = json!("1800000000");
    reserved
}

fn original(uid: &str, version: &str) -> Value {
    json!({"kind": "ConfigMap", "metadata": {
        "namespace": "default", "name": "a", "uid": uid, "resourceVersion": version}})
}

/// A rig whose cache shows the reservation, and an original in version 5.
fn rig(found: Option<Value>) -> Rig {
    let virt = found.into_iter().map(|found| ("GET", VIRTUAL, 200, found)).collect();
    Rig::new(vec![("PATCH", PLACE, 200, host_object("u1", "v"))], virt)
        .knows(Side::Host, kinds::CONFIG_MAP, reservation())
        .knows(Side::Virtual, kinds::CONFIG_MAP, original("u1", "5"))
}

#[tokio::test]
async fn a_reservation_is_adopted_only_for_an_original_that_a_quorum_shows_as_it_was_seen() {
    for (what, found, is_adopted) in [
        ("it lives", Some(original("u1", "5")), true),
        ("it is gone, and the watch has not told", None, false),
        ("another one has its name", Some(original("u2", "9")), false),
        ("it has changed", Some(original("u1", "8")), false),
    ] {
        let rig = rig(found.clone());
        let result = rig.perform(apply("u1", "v")).await;
        assert_eq!(result.is_ok(), is_adopted, "{what}: {result:?}");
        assert_eq!(rig.asked(Side::Host).len(), usize::from(is_adopted), "{what}");
        assert_eq!(rig.asked(Side::Virtual), [format!("GET {VIRTUAL}")], "{what}");
        let known = rig.engine.caches.get(Side::Virtual, kinds::CONFIG_MAP).unwrap().get("default", "a");
        assert_eq!(known.map(|known| known.value().clone()), found, "{what}: the cache shows what was read");
    }
}

#[tokio::test]
async fn a_change_of_a_copy_that_nobody_has_reserved_needs_no_read() {
    let rig = Rig::new(vec![("PATCH", PLACE, 200, host_object("u1", "w"))], vec![])
        .knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"))
        .knows(Side::Virtual, kinds::CONFIG_MAP, original("u1", "5"));
    assert_eq!(rig.perform(apply("u1", "w")).await.unwrap(), Done::Wrote);
    assert_eq!(rig.asked(Side::Virtual), Vec::<String>::new());
}

#[tokio::test]
async fn a_proof_of_absence_removes_what_the_cache_still_shows() {
    let gone = json!({"kind": "Status", "status": "Success"});
    for found in [None, Some(original("u2", "9"))] {
        let rig = Rig::new(
            vec![("DELETE", PLACE, 200, gone.clone())],
            found.clone().into_iter().map(|found| ("GET", VIRTUAL, 200, found)).collect(),
        )
        .knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"))
        .knows(Side::Virtual, kinds::CONFIG_MAP, original("u1", "5"));
        let host = Object::new(host_object("u1", "v"));
        let orphan = Effect::Delete(Deletion::orphan(kinds::CONFIG_MAP, &host, kinds::CONFIG_MAP));
        assert_eq!(rig.perform(orphan).await.unwrap(), Done::Wrote);
        let virt = rig.engine.caches.get(Side::Virtual, kinds::CONFIG_MAP).unwrap();
        assert!(virt.get("default", "a").is_none_or(|known| known.uid() != "u1"), "{found:?}");
    }
}

#[tokio::test]
async fn a_reservation_that_was_renewed_stays_and_the_cache_shows_it() {
    let mut renewed = reservation();
    renewed["metadata"]["resourceVersion"] = json!("9");
    let conflict = json!({"kind": "Status", "status": "Failure", "reason": "Conflict"});
    let rig = Rig::new(vec![("DELETE", PLACE, 409, conflict), ("GET", PLACE, 200, renewed)], vec![]).knows(
        Side::Host,
        kinds::CONFIG_MAP,
        reservation(),
    );
    let lapsed = Deletion::lapsed(kinds::CONFIG_MAP, &Object::new(reservation()));
    let result = rig.perform(Effect::Delete(lapsed)).await;
    assert!(matches!(result, Err(MapError::Conflict(_))), "{result:?}");
    let (_, _, body) = rig.host.lock().unwrap()[0].clone();
    assert_eq!(body["preconditions"]["resourceVersion"], "7");
    let known = rig.engine.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().get("team-a", key().name());
    assert_eq!(known.unwrap().resource_version(), "9");
}

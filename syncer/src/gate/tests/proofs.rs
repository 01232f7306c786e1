//! Writes beside deletes that depend on an absence.

use tenet_mapper::keys::SHOWS;
use tenet_mapper::{Cause, MapperId};

use super::*;
use crate::queue::{Key, Lane};

const COPY: &str = "/api/v1/namespaces/team-a/pods/a-x-default-x-vc-1";
const PODS: &str = "/api/v1/namespaces/team-a/pods";
const POD: &str = "/api/v1/namespaces/default/pods/a";
const STATUS: &str = "/api/v1/namespaces/default/pods/a/status";

fn virtual_pod(number: usize) -> Value {
    let name = if number == 0 { "a".to_owned() } else { format!("a{number}") };
    json!({"kind": "Pod", "metadata": {
        "namespace": "default", "name": name, "uid": format!("u{number}"), "resourceVersion": "7"}})
}

/// A host pod with the name of the copy of the pod `a`.
fn host_pod(metadata: &Value) -> Value {
    let mut pod = json!({"kind": "Pod", "metadata": {
        "namespace": "team-a", "name": "a-x-default-x-vc-1", "uid": "h", "resourceVersion": "4"}});
    for (member, value) in metadata.as_object().into_iter().flatten() {
        pod["metadata"][member] = value.clone();
    }
    pod
}

fn of_pod(number: usize) -> OwnerRecord {
    let virt = virtual_pod(number);
    let text = |member: &str| virt["metadata"][member].as_str().unwrap().to_owned();
    OwnerRecord { kind: kinds::POD.group_kind(), name: text("name"), uid: text("uid"), ..owner("") }
}

fn marked() -> Value {
    let record = of_pod(0);
    json!({"labels": record.labels("vc-1"), "annotations": record.annotations("team-a", "a-x-default-x-vc-1")})
}

/// A final status, which is right only when the copy is gone.
fn failed(number: usize) -> VirtualPatch {
    let pod = Object::new(virtual_pod(number));
    VirtualPatch::new(kinds::POD, &pod, Some("status"), [("/status/phase", json!("Failed"))])
}

fn gone() -> Cause {
    Cause::TwinAbsent { twin: kinds::POD }
}

fn patches(rig: &Rig) -> usize {
    rig.asked(Side::Virtual).iter().filter(|asked| asked.starts_with("PATCH")).count()
}

#[tokio::test]
async fn what_a_copy_that_is_gone_leaves_is_shown_only_when_its_absence_is_proved() {
    let lives = host_pod(&marked());
    for (what, host, is_written) in [
        ("it is gone", vec![], true),
        ("it lives, and the cache lacks it", vec![("GET", COPY, 200, lives)], false),
        ("the host does not answer", vec![("GET", COPY, 503, json!({}))], false),
    ] {
        let rig = Rig::new(host, vec![("PATCH", STATUS, 200, virtual_pod(0))]).knows(
            Side::Virtual,
            kinds::POD,
            virtual_pod(0),
        );
        let result = rig.perform(Effect::PatchVirtual(failed(0).because(gone()))).await;
        assert_eq!((result.is_ok(), patches(&rig)), (is_written, usize::from(is_written)), "{what}: {result:?}");
        assert_eq!(rig.asked(Side::Host), [format!("GET {COPY}")], "{what}");
    }
}

#[tokio::test]
async fn a_status_without_a_cause_is_proved_when_the_cache_holds_copies_and_lacks_this_one() {
    for (is_known, is_gone) in [(true, false), (false, true), (false, false)] {
        let lives = host_pod(&marked());
        let host = if is_gone { vec![] } else { vec![("GET", COPY, 200, lives.clone())] };
        let mut rig = Rig::new(host, vec![("PATCH", STATUS, 200, virtual_pod(0))]).knows(
            Side::Virtual,
            kinds::POD,
            virtual_pod(0),
        );
        let pods = rig.engine.caches.get(Side::Host, kinds::POD).unwrap();
        pods.add_stream(Some("team-a"), Some("tenet.sh/managed-by=vc-1"));
        if is_known {
            rig = rig.knows(Side::Host, kinds::POD, lives);
        }
        let result = rig.perform(Effect::PatchVirtual(failed(0))).await;
        assert_eq!(result.is_ok(), is_known || is_gone, "{is_known} {is_gone}: {result:?}");
        assert_eq!(rig.asked(Side::Host).len(), usize::from(!is_known));
    }
}

#[tokio::test]
async fn a_finalizer_goes_unless_an_object_that_may_be_ours_has_the_name() {
    let mut damaged = marked();
    damaged["annotations"]["tenet.sh/uid"] = json!("other");
    let foreign = json!({"labels": {"app": "theirs"}});
    for (metadata, is_written) in [(marked(), false), (damaged, false), (foreign, true)] {
        let host = vec![("GET", COPY, 200, host_pod(&metadata))];
        let rig =
            Rig::new(host, vec![("PATCH", POD, 200, virtual_pod(0))]).knows(Side::Virtual, kinds::POD, virtual_pod(0));
        let freed = [("/metadata/finalizers", json!(["other"]))];
        let patch = VirtualPatch::new(kinds::POD, &Object::new(virtual_pod(0)), None, freed);
        let result = rig.perform(Effect::PatchVirtual(patch.because(gone()))).await;
        assert_eq!(result.is_ok(), is_written, "{metadata}: {result:?}");
    }
}

#[tokio::test]
async fn a_pod_goes_when_its_copy_has_ended_and_a_foreign_object_has_the_name() {
    for (what, found, is_gone) in [
        ("another object", json!({"uid": "theirs"}), true),
        ("the copy without its owner record", json!({}), false),
        ("an object that may be ours", json!({"uid": "theirs", "labels": {MANAGED_BY: "vc-1"}}), false),
    ] {
        let success = json!({"kind": "Status", "status": "Success"});
        let rig = Rig::new(vec![("GET", COPY, 200, host_pod(&found))], vec![("DELETE", POD, 200, success)]).knows(
            Side::Virtual,
            kinds::POD,
            virtual_pod(0),
        );
        let pods = rig.engine.caches.get(Side::Host, kinds::POD).unwrap();
        rig.engine.router.gone(pods, &Object::new(host_pod(&marked())));
        let ended = rig.perform(Effect::Delete(Deletion::finish(kinds::POD, &Object::new(virtual_pod(0))))).await;
        assert_eq!(ended.is_ok(), is_gone, "{what}: {ended:?}");
        assert_eq!(rig.asked(Side::Virtual).len(), usize::from(is_gone), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_and_the_delete_behind_it_count_once_for_the_breaker() {
    let path = |number: usize, part: &str| -> &'static str {
        Box::leak(format!("/api/v1/namespaces/default/pods/a{number}{part}").into_boxed_str())
    };
    let success = json!({"kind": "Status", "status": "Success"});
    let status = (1..30).map(|number| ("PATCH", path(number, "/status"), 200, virtual_pod(number)));
    let deletes = (1..30).map(|number| ("DELETE", path(number, ""), 200, success.clone()));
    let mut rig = Rig::new(vec![], status.chain(deletes).collect());
    for number in 1..30 {
        rig = rig.knows(Side::Virtual, kinds::POD, virtual_pod(number));
    }
    for number in 1..30 {
        let shown = rig.perform(Effect::PatchVirtual(failed(number).because(gone()))).await;
        assert_eq!(shown.is_ok(), number <= 10, "{number}: {shown:?}");
    }
    for number in 1..=10 {
        let pod = Object::new(virtual_pod(number));
        let ended = rig.perform(Effect::Delete(Deletion::finish(kinds::POD, &pod))).await;
        assert_eq!(ended.unwrap(), Done::Wrote, "{number}");
    }
    assert_eq!(patches(&rig), 10);
}

#[tokio::test]
async fn a_picture_stays_when_one_of_its_sources_has_come_after_the_mapper_decided() {
    let node = Object::new(picture());
    let delete = || Effect::Delete(Deletion::unused(kinds::NODE, &node, kinds::POD, "spec.nodeName"));
    let list = ("GET", PODS, 200, json!({"kind": "PodList", "items": [host_pod(&marked())]}));
    let gone = ("DELETE", NODE, 200, json!({"kind": "Status", "status": "Success"}));
    for has_come in [true, false] {
        let rig = Rig::new(vec![list.clone()], vec![gone.clone()]).knows(Side::Virtual, kinds::NODE, picture()).knows(
            Side::Host,
            kinds::POD,
            host_pod(&marked()),
        );
        let key = Key { mapper: MapperId::new("node"), object: VirtualKey::new("", "node-1") };
        rig.engine.queue.add(key.clone(), Lane::Change);
        rig.engine.queue.pop().await;
        if has_come {
            // The proof of another write has brought the pod, which wakes the key.
            rig.engine.queue.add(key.clone(), Lane::Change);
        }
        let result = rig.engine.gate.perform_for(delete(), Some(Origin { key: &key, settles: false })).await;
        assert_eq!(result.is_ok(), !has_come, "{result:?}");
        assert_eq!(rig.asked(Side::Virtual).len(), usize::from(!has_come));
    }
}

/// A slice of the host namespace that is no copy is in a cache of its own, which its stream keeps current.
#[tokio::test]
async fn what_a_proof_or_an_audit_finds_in_the_host_namespace_goes_to_the_cache_whose_stream_shows_it() {
    const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/team-a/endpointslices/db-a";
    let found = json!({"metadata": {"namespace": "team-a", "name": "db-a", "uid": "h", "resourceVersion": "9",
        "labels": {"kubernetes.io/service-name": "db"}}});
    let shown = Object::new(json!({"metadata": {"namespace": "data", "name": "pg-of-host", "uid": "v",
        "resourceVersion": "3", "labels": {MANAGED_BY: "vc-1"}, "annotations": {SHOWS: "team-a/db-a"}}}));
    let (host, _) = api(vec![("GET", SLICE, 200, found)]);
    let engine = Fixture::new(api(Vec::new()).0, host, &[kinds::ENDPOINT_SLICE]).engine(Vec::new());
    let copies = engine.caches.get(Side::Host, kinds::ENDPOINT_SLICE).unwrap();
    copies.add_stream(Some("team-a"), Some("tenet.sh/managed-by=vc-1"));
    let others = Arc::new(Cache::new(Side::Host, kinds::ENDPOINT_SLICE, Projection::Whole).elsewhere());
    others.add_stream(Some("team-a"), Some("kubernetes.io/service-name in (db)"));
    engine.caches.add_elsewhere("team-a", Arc::clone(&others), Arc::default());
    engine.caches.get(Side::Virtual, kinds::ENDPOINT_SLICE).unwrap().store(shown.value().clone());
    let delete = Effect::Delete(Deletion::picture(kinds::ENDPOINT_SLICE, &shown));
    assert!(matches!(engine.gate.perform(delete).await, Err(MapError::Conflict(_))));
    assert_eq!((copies.len(), others.len()), (0, 1));

    let stale = json!({"metadata": {"namespace": "team-a", "name": "db-b", "uid": "b", "resourceVersion": "4",
        "labels": {"kubernetes.io/service-name": "db"}}});
    others.store(stale);
    let lost = ObjectRef::new(Side::Host, kinds::ENDPOINT_SLICE, "team-a", "db-b");
    assert!(engine.gate.refresh(&lost).await.unwrap());
    assert_eq!((copies.len(), others.len()), (0, 1));
}

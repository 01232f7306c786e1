//! Proofs before deletes.

use tenet_mapper::rules::reference;
use tenet_mapper::{CopyMapper, MapperSpec};

use super::*;
use crate::cache::Change;

const VIRTUAL: &str = "/api/v1/namespaces/default/configmaps/a";

fn orphan() -> Effect {
    let host = Object::new(host_object("u1", "v"));
    Effect::Delete(Deletion::orphan(kinds::CONFIG_MAP, &host, kinds::CONFIG_MAP))
}

#[tokio::test]
async fn absence_is_proved_before_a_delete() {
    let gone = json!({"kind": "Status", "status": "Success"});
    let rig = Rig::new(vec![("DELETE", PLACE, 200, gone)], vec![("GET", SYSTEM, 200, system_of(ID))]).knows(
        Side::Host,
        kinds::CONFIG_MAP,
        host_object("u1", "v"),
    );
    assert_eq!(rig.perform(orphan()).await.unwrap(), Done::Wrote);
    assert_eq!(rig.asked(Side::Virtual), [format!("GET {VIRTUAL}")]);
    let (_, _, body) = rig.host.lock().unwrap()[0].clone();
    assert_eq!(body["preconditions"]["uid"], "host-uid");
    assert!(rig.engine.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().get("team-a", key().name()).is_none());
}

#[tokio::test]
async fn nothing_is_deleted_when_the_original_is_there_or_its_absence_is_not_proved() {
    let original = json!({"kind": "ConfigMap", "metadata": {"namespace": "default", "name": "a", "uid": "u1", "resourceVersion": "5"}});
    let proxy_404 = json!({"message": "no such route"});
    for (what, virt) in [
        ("it is there", vec![("GET", SYSTEM, 200, system_of(ID)), ("GET", VIRTUAL, 200, original)]),
        ("another cluster answers", vec![("GET", SYSTEM, 200, system_of("other"))]),
        (
            "the server does not know the kind",
            vec![("GET", SYSTEM, 200, system_of(ID)), ("GET", VIRTUAL, 404, proxy_404)],
        ),
        ("the server fails", vec![("GET", SYSTEM, 200, system_of(ID)), ("GET", VIRTUAL, 500, json!({}))]),
        ("nothing answers for the id", vec![("GET", SYSTEM, 503, json!({}))]),
    ] {
        let rig = Rig::new(vec![], virt).knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"));
        assert!(rig.perform(orphan()).await.is_err(), "{what}");
        assert_eq!(rig.asked(Side::Host), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test]
async fn an_answer_that_is_older_than_what_was_seen_proves_nothing_and_suspends_all_writes() {
    let newer = json!({"metadata": {"namespace": "default", "name": "b", "uid": "u2", "resourceVersion": "9"}});
    let gone = || json!({"kind": "Status", "status": "Success"});
    for (revision, is_proof) in [("8", false), ("9", true), ("10", true)] {
        let list = json!({"metadata": {"resourceVersion": revision}, "items": []});
        let virt = vec![("GET", "/api/v1/namespaces/default/configmaps", 200, list)];
        let rig = Rig::new(vec![("DELETE", PLACE, 200, gone())], virt)
            .knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"))
            .knows(Side::Virtual, kinds::CONFIG_MAP, newer.clone());
        let result = rig.perform(orphan()).await;
        assert_eq!(result.is_ok(), is_proof, "{revision}: {result:?}");
        assert_eq!(rig.engine.claim.check().is_ok(), is_proof, "{revision}");
        assert_eq!(rig.asked(Side::Host).len(), usize::from(is_proof), "{revision}");
    }
}

#[tokio::test]
async fn the_twin_is_the_one_that_the_record_names_and_not_the_one_that_a_mapper_asks_for() {
    // With `names: vcluster` the Secret `web-sa-token` and the tokens of the pod `web` have one host name.
    let mut tokens = host_object("pod-uid", "v");
    let web = OwnerRecord { kind: kinds::POD.group_kind(), name: "web".to_owned(), ..owner("pod-uid") };
    tokens["metadata"]["annotations"] = web.annotations("team-a", key().name()).into();
    let virt = || vec![("GET", SYSTEM, 200, system_of(ID))];
    let host = || vec![("DELETE", PLACE, 200, json!({"kind": "Status", "status": "Success"}))];
    let delete = |original| {
        let object = Object::new(tokens.clone());
        Effect::Delete(Deletion::orphan(kinds::CONFIG_MAP, &object, original))
    };
    let rig = Rig::new(host(), virt()).knows(Side::Host, kinds::CONFIG_MAP, tokens.clone());
    let refused = rig.perform(delete(kinds::CONFIG_MAP)).await;
    assert!(matches!(refused, Err(MapError::Foreign { .. })), "{refused:?}");
    assert_eq!(rig.asked(Side::Host), Vec::<String>::new());

    let pod = "/api/v1/namespaces/default/pods/web";
    let lives = (
        "GET",
        pod,
        200,
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "web", "uid": "pod-uid"}}),
    );
    let rig = Rig::new(host(), [virt(), vec![lives]].concat()).knows(Side::Host, kinds::CONFIG_MAP, tokens.clone());
    assert!(matches!(rig.perform(delete(kinds::POD)).await, Err(MapError::Conflict(_))));
    assert_eq!(rig.asked(Side::Host), Vec::<String>::new());

    let rig = Rig::new(host(), virt()).knows(Side::Host, kinds::CONFIG_MAP, tokens.clone());
    assert_eq!(rig.perform(delete(kinds::POD)).await.unwrap(), Done::Wrote);
    assert_eq!(rig.asked(Side::Virtual), [format!("GET {pod}")]);
}

fn pod_on_the_node(version: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"namespace": "team-a", "name": "p", "uid": "p", "resourceVersion": version}})
}

#[tokio::test]
async fn a_picture_of_pods_goes_only_when_the_host_lists_none_that_the_mapper_did_not_know() {
    let list =
        |items: Value| ("GET", "/api/v1/namespaces/team-a/pods", 200, json!({"kind": "PodList", "items": items}));
    let node = Object::new(picture());
    let delete = || Effect::Delete(Deletion::unused(kinds::NODE, &node, kinds::POD, "spec.nodeName"));
    for (listed, cached, deleted) in [
        (json!([]), None, true),
        (json!([pod_on_the_node("3")]), None, false),
        (json!([pod_on_the_node("3")]), Some("2"), false),
        (json!([pod_on_the_node("3")]), Some("3"), true),
    ] {
        let virt = vec![("DELETE", NODE, 200, json!({"kind": "Status", "status": "Success"}))];
        let mut rig = Rig::new(vec![list(listed)], virt).knows(Side::Virtual, kinds::NODE, picture());
        if let Some(version) = cached {
            rig = rig.knows(Side::Host, kinds::POD, pod_on_the_node(version));
        }
        let result = rig.perform(delete()).await;
        assert_eq!(result.is_ok(), deleted, "{cached:?}: {result:?}");
        assert_eq!(!rig.asked(Side::Virtual).is_empty(), deleted, "{cached:?}");
        let now = rig.engine.caches.get(Side::Host, kinds::POD).unwrap().get("team-a", "p");
        assert!(deleted || now.is_some_and(|pod| pod.resource_version() == "3"), "the mapper sees it next time");
    }
    let rig = Rig::new(vec![], vec![]).knows(Side::Virtual, kinds::NODE, picture());
    assert!(rig.perform(delete()).await.is_err(), "a list that fails proves nothing");
}

#[tokio::test]
async fn the_copy_of_a_virtual_pod_is_looked_for_under_its_own_name() {
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": "7"}});
    let copy = "/api/v1/namespaces/team-a/pods/a-x-default-x-vc-1";
    let effect = || Effect::Delete(Deletion::finish(kinds::POD, &Object::new(pod.clone())));
    let lives = json!({"kind": "Pod", "metadata": {"namespace": "team-a", "name": key().name(), "uid": "h",
        "labels": {MANAGED_BY: "vc-1"}}});
    let rig = Rig::new(vec![("GET", copy, 200, lives)], vec![]).knows(Side::Virtual, kinds::POD, pod.clone());
    assert!(matches!(rig.perform(effect()).await, Err(MapError::Conflict(_))));
    let gone = json!({"kind": "Status", "status": "Success"});
    let virt = vec![("DELETE", "/api/v1/namespaces/default/pods/a", 200, gone)];
    let rig = Rig::new(vec![], virt).knows(Side::Virtual, kinds::POD, pod.clone());
    assert_eq!(rig.perform(effect()).await.unwrap(), Done::Wrote);
    assert_eq!(rig.asked(Side::Host), [format!("GET {copy}")]);
}

#[tokio::test]
async fn a_recreated_original_is_another_object() {
    let other = json!({"kind": "ConfigMap", "metadata": {"namespace": "default", "name": "a", "uid": "u2"}});
    let gone = json!({"kind": "Status", "status": "Success"});
    let virt = vec![("GET", SYSTEM, 200, system_of(ID)), ("GET", VIRTUAL, 200, other)];
    let rig =
        Rig::new(vec![("DELETE", PLACE, 200, gone)], virt).knows(Side::Host, kinds::CONFIG_MAP, host_object("u1", "v"));
    assert_eq!(rig.perform(orphan()).await.unwrap(), Done::Wrote);
}

#[tokio::test]
async fn an_object_without_our_record_is_never_deleted() {
    let rig = Rig::new(vec![], vec![("GET", SYSTEM, 200, system_of(ID))]).knows(
        Side::Host,
        kinds::CONFIG_MAP,
        foreign_object(),
    );
    let host = Object::new(foreign_object());
    let effect = Effect::Delete(Deletion::redundant(kinds::CONFIG_MAP, &host));
    assert!(matches!(rig.perform(effect).await, Err(MapError::Foreign { .. })));
    assert_eq!(rig.asked(Side::Host), Vec::<String>::new());
}

/// An engine whose pods may refer to ConfigMaps, and its host.
fn with_referrers(virt: Answers) -> (Engine, Asked, Asked) {
    let table = Table::new(&[("", &[reference("spec.configMap", kinds::CONFIG_MAP.group_kind())])]).unwrap();
    let mapper = CopyMapper::of_table(MapperSpec::both_sides("pod", kinds::POD, table));
    let (virt, host) = (api(virt), api(vec![("DELETE", PLACE, 200, json!({"kind": "Status"}))]));
    let engine = Fixture::new(virt.0, host.0, &[kinds::POD, kinds::CONFIG_MAP]).engine(vec![Box::new(mapper)]);
    engine.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().store(host_object("u1", "v"));
    (engine, virt.1, host.1)
}

fn pod_that_needs(config_map: &str, version: &str) -> Value {
    let metadata = json!({"namespace": "default", "name": "p", "uid": "p", "resourceVersion": version});
    json!({"metadata": metadata, "spec": {"configMap": config_map}})
}

fn unreferenced() -> Effect {
    Effect::Delete(Deletion::unreferenced(kinds::CONFIG_MAP, &Object::new(host_object("u1", "v"))))
}

const PODS: &str = "/api/v1/namespaces/default/pods";
const POD: &str = "/api/v1/namespaces/default/pods/p";

#[tokio::test]
async fn a_copy_is_not_deleted_while_a_cache_lacks_an_object_that_refers_to_it() {
    for (known, needs, is_deleted) in
        [(None, "a", false), (Some("8"), "a", false), (None, "b", true), (Some("9"), "b", true)]
    {
        let list = json!({"metadata": {}, "items": [pod_that_needs(needs, "9")]});
        let virt = vec![("GET", PODS, 200, list), ("GET", POD, 200, pod_that_needs(needs, "9"))];
        let (engine, _, host) = with_referrers(virt);
        let pods = engine.caches.get(Side::Virtual, kinds::POD).unwrap();
        if let Some(version) = known {
            pods.store(pod_that_needs("b", version));
        }
        let result = engine.gate.perform(unreferenced()).await;
        assert_eq!(result.is_ok(), is_deleted, "{known:?} {needs}: {result:?}");
        assert_eq!(host.lock().unwrap().len(), usize::from(is_deleted), "{known:?} {needs}");
        assert_eq!(pods.get("default", "p").unwrap().resource_version(), "9", "the mapper sees it next time");
    }
}

#[tokio::test]
async fn a_copy_is_not_deleted_when_its_referrer_has_come_after_the_mapper_decided() {
    let list = json!({"metadata": {}, "items": [pod_that_needs("a", "9")]});
    let (engine, _, host) = with_referrers(vec![("GET", PODS, 200, list)]);
    // By the watch, or by the refresh of another delete.
    let pods = engine.caches.get(Side::Virtual, kinds::POD).unwrap();
    let Change::Stored(pod, sight) = pods.store(pod_that_needs("a", "9")) else { panic!("it is new") };
    engine.router.changed(pods, &pod, &sight);
    let result = engine.gate.perform(unreferenced()).await;
    assert!(matches!(result, Err(MapError::Conflict(_))), "{result:?}");
    assert_eq!(host.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn deletes_of_one_namespace_share_the_list_of_referrers() {
    let list = json!({"metadata": {}, "items": [pod_that_needs("b", "9")]});
    let (engine, virt, _) = with_referrers(vec![("GET", PODS, 200, list), ("GET", POD, 200, pod_that_needs("b", "9"))]);
    let results = futures::future::join_all((0..30).map(|_| engine.gate.perform(unreferenced()))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let lists = virt.lock().unwrap().iter().filter(|(_, path, _)| path == PODS).count();
    assert!(lists <= 2, "{lists} lists for 30 deletes");
}

//! The promises about writes, against a server that answers by a table.

use std::sync::Mutex;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tenet_mapper::keys::{HOST_NAME, KIND, MANAGED_BY, NAME, SYNCED};
use tenet_mapper::rules::{Table, copy};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{
    ApplyHost, Deletion, Event, EventReason, EventType, HostKey, Object, Projection, VirtualKey, VirtualPatch,
    condition,
};

use super::*;
use crate::cache::Cache;
use crate::informer::Health;
use crate::queue::Queue;
use crate::settings::Settings;

const ID: &str = "cluster-1";

/// Requests in order: `PATCH /path {body}`.
pub(crate) type Asked = Arc<Mutex<Vec<(Method, String, Value)>>>;

/// Answers by method and path; everything else is absent.
pub(crate) type Answers = Vec<(&'static str, &'static str, u16, Value)>;

pub(crate) fn api(answers: Answers) -> (Api, Asked) {
    let asked = Asked::default();
    let (log, answers) = (Arc::clone(&asked), Arc::new(answers));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let path = parts.uri.path().to_owned();
            log.lock().unwrap().push((
                parts.method.clone(),
                path.clone(),
                serde_json::from_slice(&bytes).unwrap_or_default(),
            ));
            let found = answers.iter().find(|(method, at, ..)| parts.method == *method && path == *at);
            let (code, body) = found.map_or((404, absent()), |(_, _, code, body)| (*code, body.clone()));
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = code.try_into().unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    (Api::new(Client::new(service, "default")), asked)
}

fn absent() -> Value {
    json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "pods \"a\" not found"})
}

pub(crate) struct Rig {
    pub(crate) gate: Gate,
    host: Asked,
    virt: Asked,
    pub(crate) caches: Arc<Caches>,
}

impl Rig {
    pub(crate) fn new(host: Answers, virt: Answers) -> Self {
        Self::holding(host, virt, Hold::always())
    }

    fn holding(host: Answers, virt: Answers, hold: Hold) -> Self {
        // The claim has clients of its own.
        let system = virt.iter().find(|(_, path, ..)| *path == SYSTEM).cloned();
        let claim = Claim::answered(system.unwrap_or(("GET", SYSTEM, 200, system_of(ID))));
        let ((host_api, host), (virt_api, virt)) = (api(host), api(virt));
        let mut caches = Caches::default();
        for side in [Side::Virtual, Side::Host] {
            for kind in [kinds::POD, kinds::CONFIG_MAP, kinds::NODE] {
                caches.add(
                    Arc::new(Cache::new(side, kind, Projection::Whole)),
                    Arc::new(parking_lot::RwLock::new(Health::default())),
                );
            }
        }
        caches.add(
            Arc::new(Cache::new(Side::Host, kinds::SECRET, Projection::Digest(&["data"]))),
            Arc::new(parking_lot::RwLock::new(Health::default())),
        );
        let caches = Arc::new(caches);
        let config = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";
        let config = tenet_config::Config::from_yaml(config, &tenet_config::Overrides::default()).unwrap();
        let facts = Settings::default().facts(&config, ID, "").unwrap();
        let gate = Gate::new(Parts {
            claim: Arc::new(claim),
            virt: virt_api,
            host: host_api,
            caches: Arc::clone(&caches),
            router: Arc::new(Router::new(Arc::default(), Arc::new(Queue::default()), "vc-1", ID)),
            facts: Arc::new(ArcSwap::from_pointee(facts)),
            metrics: Arc::new(Metrics::new().unwrap()),
            runtime: Arc::new(crate::runtime::System),
            hold: Arc::new(hold),
            ceiling: 8,
            limit: Duration::from_secs(5),
        });
        Self { gate, host, virt, caches }
    }

    fn knows(self, side: Side, kind: Kind, object: Value) -> Self {
        self.caches.get(side, kind).unwrap().store(object);
        self
    }

    async fn perform(&self, effect: Effect) -> Result<Done, MapError> {
        self.gate.perform(effect).await
    }

    pub(crate) fn asked(&self, side: Side) -> Vec<String> {
        let asked = if side == Side::Host { &self.host } else { &self.virt };
        asked.lock().unwrap().iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }
}

fn owner(uid: &str) -> OwnerRecord {
    let text = |text: &str| text.to_owned();
    OwnerRecord {
        cluster: text(ID),
        kind: kinds::CONFIG_MAP.group_kind(),
        namespace: text("default"),
        name: text("a"),
        uid: text(uid),
    }
}

fn key() -> HostKey {
    HostKey::new("team-a", "a-x-default-x-vc-1")
}

const COLLECTION: &str = "/api/v1/namespaces/team-a/configmaps";
const PLACE: &str = "/api/v1/namespaces/team-a/configmaps/a-x-default-x-vc-1";

fn host_object(uid: &str, data: &str) -> Value {
    let (owner, key) = (owner(uid), key());
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "team-a", "name": key.name(), "uid": "host-uid", "resourceVersion": "7",
                     "labels": owner.labels("vc-1"), "annotations": owner.annotations("team-a", key.name())},
        "data": {"k": data},
    })
}

fn foreign_object() -> Value {
    json!({"kind": "ConfigMap", "metadata": {"namespace": "team-a", "name": key().name(), "uid": "theirs", "resourceVersion": "3"}})
}

fn apply(uid: &str, data: &str) -> Effect {
    let table = Table::new(&[("", &[copy("data").whole().kept()])]).unwrap();
    Effect::ApplyHost(Box::new(ApplyHost {
        kind: kinds::CONFIG_MAP,
        key: key(),
        owner: owner(uid),
        desired: host_object(uid, data),
        table: Some(Arc::new(table)),
        fallback: None,
    }))
}

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
    let place = key();
    let target = Target::new(kinds::CONFIG_MAP, place.namespace(), place.name());
    assert!(rig.gate.read(Side::Host, &target).await.unwrap().is_some());
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

#[tokio::test(start_paused = true)]
async fn a_long_wait_for_the_budget_of_writes_is_told_once() {
    let rig = Rig::new(vec![], vec![]);
    rig.gate.set_budget(&tenet_config::Budget { writes_per_second: 1, ..tenet_config::Budget::default() });
    let told = |rig: &Rig| {
        let asked = rig.asked(Side::Virtual);
        asked.iter().filter(|request| request.starts_with("POST") && request.ends_with("/events")).count()
    };
    drop(rig.perform(apply("u1", "v")).await);
    assert_eq!(told(&rig), 0);
    for _ in 0..20 {
        rig.gate.budgets.take();
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
    rig.gate.set_budget(&tenet_config::Budget { copies: "100".parse().unwrap(), ..tenet_config::Budget::default() });
    let cache = Arc::clone(rig.caches.get(Side::Host, kinds::SECRET).unwrap());
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

#[tokio::test]
async fn a_conflict_or_a_404_leads_to_a_quorum_read_into_the_cache() {
    let conflict = json!({"kind": "Status", "reason": "Conflict", "message": "changed", "code": 409});
    let mut newer = host_object("u1", "x");
    newer["metadata"]["resourceVersion"] = json!("9");
    let at = |rig: &Rig| rig.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().get("team-a", key().name());
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
        assert_eq!(rig.gate.limiter(Side::Host).limit(), limit, "{code}");
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
    assert!(rig.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().get("team-a", key().name()).is_some());
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

const VIRTUAL: &str = "/api/v1/namespaces/default/configmaps/a";
const SYSTEM: &str = "/api/v1/namespaces/kube-system";

fn system_of(id: &str) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": "kube-system", "uid": id}})
}

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
    assert!(rig.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap().get("team-a", key().name()).is_none());
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
async fn the_twin_is_the_one_that_the_record_names_and_not_the_one_that_a_mapper_asks_for() {
    // With `names: vcluster` the Secret `web-sa-token` and the tokens of the pod `web` have one host name.
    let mut tokens = host_object("pod-uid", "v");
    for (key, value) in [(KIND, "Pod"), (NAME, "web")] {
        tokens["metadata"]["annotations"][key] = json!(value);
    }
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

const NODE: &str = "/api/v1/nodes/node-1";

fn picture() -> Value {
    json!({"kind": "Node", "metadata": {"name": "node-1", "uid": "n", "resourceVersion": "4", "labels": {MANAGED_BY: "vc-1"}}})
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
        let now = rig.caches.get(Side::Host, kinds::POD).unwrap().get("team-a", "p");
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
    let lives = json!({"kind": "Pod", "metadata": {"namespace": "team-a", "name": key().name(), "uid": "h"}});
    let rig = Rig::new(vec![("GET", copy, 200, lives)], vec![]).knows(Side::Virtual, kinds::POD, pod.clone());
    assert!(matches!(rig.perform(effect()).await, Err(MapError::Conflict(_))));
    let gone = json!({"kind": "Status", "status": "Success"});
    let virt = vec![("DELETE", "/api/v1/namespaces/default/pods/a", 200, gone)];
    let rig = Rig::new(vec![], virt).knows(Side::Virtual, kinds::POD, pod.clone());
    assert_eq!(rig.perform(effect()).await.unwrap(), Done::Wrote);
    assert_eq!(rig.asked(Side::Host), [format!("GET {copy}")]);
}

/// A rig with this many ConfigMaps on the host, whose originals are gone.
fn rig_of_orphans(many: usize) -> (Rig, Vec<Effect>) {
    let (mut answers, mut effects, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..many {
        let mut object = host_object(&format!("u{number}"), "v");
        let name = format!("a{number}-x-default-x-vc-1");
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(format!("h{number}"));
        object["metadata"]["annotations"][HOST_NAME] = json!(format!("team-a/{name}"));
        object["metadata"]["annotations"][NAME] = json!(format!("a{number}"));
        let place: &'static str = Box::leak(format!("{COLLECTION}/{name}").into_boxed_str());
        answers.push(("DELETE", place, 200, json!({"kind": "Status", "status": "Success"})));
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
            let report = rig.gate.breaker_report();
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
    let place = |number: usize| -> &'static str {
        Box::leak(format!("/api/v1/namespaces/default/pods/p{number}").into_boxed_str())
    };
    let status = json!({"kind": "Status", "status": "Success"});
    let mut rig = Rig::new(vec![], (0..30).map(|n| ("DELETE", place(n), 200, status.clone())).collect());
    for number in 0..30 {
        rig = rig.knows(Side::Virtual, kinds::POD, pod(number));
    }
    let finish = |number| Effect::Delete(Deletion::finish(kinds::POD, &Object::new(pod(number))));
    for number in 0..30 {
        assert_eq!(rig.perform(finish(number)).await.is_ok(), number < 10, "{number}");
    }
    let report = rig.gate.breaker_report();
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
    let originals = rig.caches.get(Side::Virtual, kinds::CONFIG_MAP).unwrap();
    for number in 0..40 {
        let metadata = json!({"namespace": "default", "name": format!("a{number}"), "uid": format!("u{number}")});
        originals.remove(&json!({"kind": "ConfigMap", "metadata": metadata}));
    }
    for effect in effects {
        assert_eq!(rig.perform(effect).await.unwrap(), Done::Wrote);
    }
    assert_eq!(rig.gate.breaker_report(), [""; 0]);
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

#[tokio::test]
async fn a_status_is_only_written_to_the_incarnation_that_it_was_derived_from() {
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "new", "resourceVersion": "2"}});
    let rig = Rig::new(vec![], vec![]).knows(Side::Virtual, kinds::POD, pod);
    let patch = VirtualPatch {
        version: None,
        kind: kinds::POD,
        key: VirtualKey::new("default", "a"),
        uid: "old".to_owned(),
        subresource: Some("status"),
        values: vec![("/status".into(), json!({"phase": "Running"}))],
    };
    assert!(matches!(rig.perform(Effect::PatchVirtual(patch)).await, Err(MapError::Conflict(_))));
    assert_eq!(rig.asked(Side::Virtual), Vec::<String>::new());
}

#[tokio::test]
async fn a_status_with_parts_of_others_is_only_written_over_the_version_that_was_seen() {
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "a", "uid": "u", "resourceVersion": "7"}});
    let place = "/api/v1/namespaces/default/pods/a/status";
    let rig = Rig::new(vec![], vec![("PATCH", place, 200, json!({}))]).knows(Side::Virtual, kinds::POD, pod);
    let patch = VirtualPatch {
        version: Some("6".to_owned()),
        kind: kinds::POD,
        key: VirtualKey::new("default", "a"),
        uid: "u".to_owned(),
        subresource: Some("status"),
        values: vec![("/status".into(), json!({"phase": "Running"}))],
    };
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
    let place = "/api/v1/namespaces/default/pods/a/status";
    Rig::new(vec![], vec![("PATCH", place, 200, json!({}))]).knows(Side::Virtual, kinds::POD, pod)
}

#[tokio::test]
async fn a_status_from_the_host_keeps_the_condition_of_a_refusal() {
    let refused = json!({"type": SYNCED, "status": "False", "reason": "SyncRefused", "message": "no"});
    let ready = json!({"type": "Ready", "status": "True"});
    let status = |conditions: Value| VirtualPatch {
        version: None,
        kind: kinds::POD,
        key: VirtualKey::new("default", "a"),
        uid: "u".to_owned(),
        subresource: Some("status"),
        values: vec![("/status/conditions".into(), conditions)],
    };
    let rig = rig_with_conditions(&json!([ready, refused]));
    let unchanged = rig.perform(Effect::PatchVirtual(status(json!([ready])))).await.unwrap();
    assert_eq!(unchanged, Done::Unchanged, "no mapper takes the condition away");
    rig.perform(Effect::PatchVirtual(status(Value::Null))).await.unwrap();
    assert_eq!(rig.virt.lock().unwrap()[0].2["status"], json!({"conditions": [refused]}));
}

#[tokio::test]
async fn conditions_of_a_refusal_are_written_over_the_version_that_was_seen() {
    let rig = rig_with_conditions(&json!([]));
    let virt = rig.caches.get(Side::Virtual, kinds::POD).unwrap().get("default", "a").unwrap();
    let status = condition::refused(&virt, "SyncRefused", "no", "2027-01-15T08:00:00Z").unwrap();
    assert_eq!(rig.gate.set_status(kinds::POD, &virt, &status).await.unwrap(), Done::Wrote);
    let asked = rig.virt.lock().unwrap();
    assert_eq!(asked[0].2["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
    assert_eq!(asked[0].2["status"], status);
}

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

//! Stages, best effort, content and panics, with a mapper that decides what the test says.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tenet_mapper::{
    ApplyVirtual, Deletion, Input, KeysOf, MapperId, MapperSpec, Object, Projection, VirtualKey, VirtualPatch, kinds,
};

use super::*;
use crate::cache::Cache;
use crate::fixture::{Answers, Asked, Fixture, api};
use crate::queue::Key;

type Decide = fn(&Context<'_>) -> Result<Outcome, MapError>;

/// A mapper of pods that decides what the test says.
struct Decided {
    spec: MapperSpec,
    decide: Decide,
    asked: Arc<AtomicUsize>,
}

impl Mapper for Decided {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    fn reconcile(&self, cx: &Context<'_>, _: &VirtualKey) -> Result<Outcome, MapError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        (self.decide)(cx)
    }
}

struct Rig {
    engine: Engine,
    virt: Asked,
    /// Number of calls of the mapper.
    asked: Arc<AtomicUsize>,
}

const ID: MapperId = MapperId::new("decided");
const POD: &str = "/api/v1/namespaces/n/pods/a";
const STATUS: &str = "/api/v1/namespaces/n/pods/a/status";

impl Rig {
    fn new(virt: Answers, decide: Decide) -> Self {
        let ((host, _), (virt_api, virt)) = (api(Vec::new()), api(virt));
        let asked = Arc::<AtomicUsize>::default();
        let spec = MapperSpec::new(ID.as_str(), kinds::POD).reads(Input::new(
            Side::Virtual,
            kinds::POD,
            Projection::Whole,
            KeysOf::Own,
        ));
        let mapper = Decided { spec, decide, asked: Arc::clone(&asked) };
        let engine = Fixture::new(virt_api, host, &[kinds::POD]).engine(vec![Box::new(mapper)]);
        engine.caches.get(Side::Virtual, kinds::POD).unwrap().store(pod().value().clone());
        engine.router.start(ID);
        Self { engine, virt, asked }
    }

    async fn work(&self) -> Again {
        let key = Key { mapper: ID, object: VirtualKey::new("n", "a") };
        work(&self.engine, &Ticket { key, lane: Lane::Change, since: Duration::ZERO, failures: 0 }).await
    }

    /// The requests to the virtual API server, events excepted.
    fn requests(&self) -> Vec<String> {
        let all = self.virt.lock().unwrap();
        let own = all.iter().filter(|(_, path, _)| !path.contains("/events"));
        own.map(|(method, path, _)| format!("{method} {path}")).collect()
    }
}

fn pod() -> Object {
    Object::new(json!({
        "metadata": {"namespace": "n", "name": "a", "uid": "u-a", "resourceVersion": "5",
                     "labels": {"tenet.sh/managed-by": "vc-1"}},
        "status": {"phase": "Running"},
    }))
}

/// A status that the server of a test may reject.
fn show() -> Effect {
    Effect::PatchVirtual(VirtualPatch {
        kind: kinds::POD,
        key: VirtualKey::new("n", "a"),
        uid: "u-a".to_owned(),
        version: None,
        subresource: Some("status"),
        values: vec![("/status".into(), json!({"phase": "Failed"}))],
        cause: None,
    })
}

/// A delete of what pictures something of the host.
fn remove() -> Effect {
    Effect::Delete(Deletion::picture(kinds::POD, &pod()))
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"})
}

fn rejected() -> (&'static str, &'static str, u16, Value) {
    ("PATCH", STATUS, 422, status(422, "Invalid"))
}

fn deleted() -> (&'static str, &'static str, u16, Value) {
    ("DELETE", POD, 200, json!({"kind": "Status", "status": "Success"}))
}

#[tokio::test]
async fn a_write_that_is_rejected_for_good_holds_back_what_is_behind_it_only_when_it_is_required() {
    let required = Rig::new(vec![rejected(), deleted()], |_| Ok(Outcome::one(show()).then(remove())));
    assert!(matches!(required.work().await, Again::Failed(_)));
    assert_eq!(required.requests(), [format!("PATCH {STATUS}")]);

    let best_effort = Rig::new(vec![rejected(), deleted()], |_| Ok(Outcome::one(show().best_effort()).then(remove())));
    assert_eq!(best_effort.work().await, Again::No);
    assert_eq!(best_effort.requests(), [format!("PATCH {STATUS}"), format!("DELETE {POD}")]);
}

#[tokio::test]
async fn a_best_effort_that_may_still_succeed_is_tried_again_before_what_is_behind_it() {
    let unavailable = ("PATCH", STATUS, 503, status(503, "ServiceUnavailable"));
    let rig = Rig::new(vec![unavailable, deleted()], |_| Ok(Outcome::one(show().best_effort()).then(remove())));
    assert!(matches!(rig.work().await, Again::Failed(_)));
    assert_eq!(rig.requests(), [format!("PATCH {STATUS}")], "a final state is not lost");
}

#[tokio::test]
async fn the_effects_of_one_stage_do_not_hold_each_other_back() {
    let rig = Rig::new(vec![rejected(), deleted()], |_| Ok(Outcome::done().then_together([show(), remove()])));
    assert!(matches!(rig.work().await, Again::Failed(_)), "the error is the answer all the same");
    let mut requests = rig.requests();
    requests.sort();
    assert_eq!(requests, [format!("DELETE {POD}"), format!("PATCH {STATUS}")]);
}

#[tokio::test]
async fn content_is_read_at_most_three_times_for_one_reconcile() {
    let read =
        ("GET", "/api/v1/namespaces/n/secrets/s", 200, json!({"metadata": {"name": "s"}, "data": {"k": "dg=="}}));
    let once = Rig::new(vec![read.clone()], |cx| {
        let secret = cx.content(kinds::SECRET, &VirtualKey::new("n", "s"))?;
        assert_eq!(secret.unwrap().at("/data/k"), Some(&json!("dg==")));
        Ok(Outcome::done())
    });
    assert_eq!(once.work().await, Again::No);
    assert_eq!(once.requests(), ["GET /api/v1/namespaces/n/secrets/s"]);

    let endless = Rig::new(Vec::new(), |cx| {
        for number in 0.. {
            cx.content(kinds::SECRET, &VirtualKey::new("n", number.to_string()))?;
        }
        Ok(Outcome::done())
    });
    assert!(matches!(endless.work().await, Again::Failed(_)));
    assert_eq!(endless.requests().len(), 3);
    assert_eq!(endless.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_key_that_waits_for_changes_is_due_at_its_time_all_the_same() {
    const SOON: Duration = Duration::from_millis(50);

    fn waiting(next: Next) -> Outcome {
        Outcome::done().wait_for(Dependency::Any(Side::Virtual, kinds::POD)).next(next)
    }

    let (soon, late): (Decide, Decide) =
        (|_| Ok(waiting(Next::After(SOON))), |_| Ok(waiting(Next::After(retry::FALLBACK * 2))));
    for (decide, expected) in [(soon, SOON), (late, retry::FALLBACK)] {
        assert_eq!(Rig::new(Vec::new(), decide).work().await, Again::After(expected));
    }
}

/// The copy of a claim that is refused never comes, and the pod that waits for it would say nothing.
#[tokio::test(start_paused = true)]
async fn a_wait_that_lasts_is_told_once_and_a_short_one_is_not() {
    let rig = Rig::new(Vec::new(), |_| {
        let claim = Dependency::Any(Side::Host, kinds::PERSISTENT_VOLUME_CLAIM);
        Ok(Outcome::done().wait_for(claim).tell_if_it_lasts("the claim data is not on the host"))
    });
    let told = || {
        let asked = rig.virt.lock().unwrap();
        let posted = asked.iter().filter(|(method, path, _)| method == "POST" && path.ends_with("/events"));
        posted.map(|(_, _, event)| format!("{}: {}", event["reason"], event["message"])).collect::<Vec<_>>()
    };
    assert_eq!(rig.work().await, Again::After(PATIENCE));
    assert_eq!(told(), [""; 0]);
    tokio::time::advance(PATIENCE / 2).await;
    assert_eq!(rig.work().await, Again::After(PATIENCE / 2), "the wait goes on");
    tokio::time::advance(PATIENCE / 2).await;
    assert_eq!(rig.work().await, Again::After(retry::FALLBACK));
    assert_eq!(told(), [r#""SyncWaiting": "the claim data is not on the host""#]);
}

#[tokio::test]
async fn a_key_whose_name_is_taken_on_the_host_is_tried_again_when_the_name_is_free() {
    let taken =
        json!({"metadata": {"namespace": "team-a", "name": "a-x-n-x-vc-1", "uid": "theirs", "resourceVersion": "3"}});
    let rig = Rig::new(Vec::new(), |_| Err(MapError::foreign(Side::Host, kinds::POD, &pod(), "no owner record")));
    assert!(matches!(rig.work().await, Again::Failed(_)));
    assert_eq!(rig.engine.queue.len(), 0);
    let hosts = rig.engine.caches.get(Side::Host, kinds::POD).unwrap();
    let mut other = taken.clone();
    other["metadata"]["name"] = json!("b-x-n-x-vc-1");
    rig.engine.router.gone(hosts, &Object::new(other));
    assert_eq!(rig.engine.queue.len(), 0, "another name");
    rig.engine.router.gone(hosts, &Object::new(taken));
    assert_eq!(rig.engine.queue.len(), 1);
}

#[tokio::test]
async fn a_name_that_becomes_free_while_its_key_finds_it_taken_is_not_missed() {
    thread_local! {
        /// Cache from which the object goes during the reconcile.
        static HOSTS: RefCell<Option<Arc<Cache>>> = const { RefCell::new(None) };
    }
    fn taken() -> Value {
        json!({"metadata": {"namespace": "team-a", "name": "a-x-n-x-vc-1", "uid": "theirs", "resourceVersion": "3"}})
    }
    let rig = Rig::new(Vec::new(), |_| {
        HOSTS.with_borrow(|hosts| hosts.as_ref().and_then(|hosts| hosts.remove(&taken())));
        Err(MapError::foreign(Side::Host, kinds::POD, &pod(), "no owner record"))
    });
    let hosts = rig.engine.caches.get(Side::Host, kinds::POD).unwrap();
    hosts.store(taken());
    assert!(matches!(rig.work().await, Again::Failed(_)));
    assert_eq!(rig.engine.queue.len(), 0, "it is still taken");
    HOSTS.set(Some(Arc::clone(hosts)));
    assert!(matches!(rig.work().await, Again::Failed(_)));
    assert_eq!(rig.engine.queue.len(), 1);
}

#[tokio::test]
async fn a_panic_quarantines_the_key() {
    let rig = Rig::new(Vec::new(), |_| panic!("a bug"));
    let Again::Failed(delay) = rig.work().await else { panic!("not quarantined") };
    assert!(delay >= Duration::from_secs(60));
}

#[tokio::test]
async fn a_mapper_that_is_stopped_is_not_asked() {
    let rig = Rig::new(Vec::new(), |_| Ok(Outcome::done()));
    rig.engine.router.stop(ID);
    assert_eq!(rig.work().await, Again::No);
    assert_eq!(rig.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_panic_beside_the_mapper_quarantines_the_key_too() {
    let rig = Rig::new(Vec::new(), |_| Err(MapError::refused("spec.x", "no")));
    let key = Key { mapper: ID, object: VirtualKey::new("n", "a") };
    let ticket = Ticket { key, lane: Lane::Change, since: Duration::ZERO, failures: 0 };
    assert_eq!(contained(&rig.engine, &ticket).await, Again::No, "told");
    let engine = Engine { runtime: Arc::new(Broken), ..rig.engine };
    assert!(matches!(contained(&engine, &ticket).await, Again::Failed(delay) if delay.as_secs() >= 60));
    engine.router.stop(ID);
    assert_eq!(contained(&engine, &ticket).await, Again::No, "a stopped mapper waits for nothing");
}

/// A runtime without a clock.
struct Broken;

impl crate::runtime::Runtime for Broken {
    fn now(&self) -> time::OffsetDateTime {
        panic!("a bug")
    }

    fn random(&self) -> f64 {
        panic!("a bug")
    }

    fn spawn(&self, _: crate::runtime::Task) {}
}

/// The pod of the tests with another version and status.
fn answered(status: &Value) -> Value {
    let mut pod = pod().value().clone();
    (pod["metadata"]["resourceVersion"], pod["status"]) = (json!("6"), status.clone());
    pod
}

#[tokio::test]
async fn an_answer_that_shows_what_was_written_does_not_wake_its_key_and_one_with_news_does() {
    let written = json!({"phase": "Failed"});
    for (status, wakes) in [(&written, 0), (&json!({"phase": "Failed", "reason": "Evicted"}), 1)] {
        let rig = Rig::new(vec![("PATCH", STATUS, 200, answered(status))], |_| Ok(Outcome::one(show())));
        assert_eq!(rig.work().await, Again::No);
        assert_eq!(rig.engine.queue.len(), wakes, "{status}");
    }
}

/// Such a patch may be one of several steps, of which the next waits for it.
#[tokio::test]
async fn the_answer_to_a_patch_beside_the_status_wakes_its_key() {
    let patch = |_: &Context<'_>| {
        let held = ("/metadata/finalizers", json!(["tenet.sh/held"]));
        let patch = VirtualPatch::new(kinds::POD, &pod(), None, [held]);
        Ok(Outcome::one(Effect::PatchVirtual(patch)))
    };
    let mut held = answered(&json!({"phase": "Running"}));
    held["metadata"]["finalizers"] = json!(["tenet.sh/held"]);
    let rig = Rig::new(vec![("PATCH", POD, 200, held)], patch);
    assert_eq!(rig.work().await, Again::No);
    assert_eq!(rig.engine.queue.len(), 1);
}

#[tokio::test]
async fn the_answer_to_a_create_wakes_its_key_at_once_or_when_the_outcome_settles() {
    const SETTLE: Duration = Duration::from_secs(2);

    fn create() -> Outcome {
        let apply = ApplyVirtual {
            kind: kinds::POD,
            key: VirtualKey::new("n", "a"),
            desired: pod().value().clone(),
            adopt: false,
        };
        Outcome::one(Effect::ApplyVirtual(apply))
    }

    let settling: Decide = |_| Ok(create().settles(SETTLE));
    let at_once: Decide = |_| Ok(create());
    for (decide, again, wakes) in [(at_once, Again::No, 1), (settling, Again::After(SETTLE), 0)] {
        let mut created = answered(&json!({}));
        created["metadata"]["uid"] = json!("u-b");
        let rig = Rig::new(vec![("POST", "/api/v1/namespaces/n/pods", 201, created)], decide);
        rig.engine.caches.get(Side::Virtual, kinds::POD).unwrap().evict("n", "a", "u-a").unwrap();
        assert_eq!(rig.work().await, again);
        assert_eq!(rig.engine.queue.len(), wakes);
    }
    let rig = Rig::new(vec![], |_| Ok(Outcome::done().settles(SETTLE)));
    assert_eq!(rig.work().await, Again::No, "nothing was created");
}

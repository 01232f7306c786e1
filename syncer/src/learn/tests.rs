use serde_json::json;
use tenet_mapper::{Context, Input, KeysOf, Outcome, Projection, Side, VirtualKey, kinds};

use super::*;
use crate::fixture::{Answers, Asked, Fixture, api};
use crate::registry::{Registry, State};

const PODS: &str = "/api/v1/namespaces/default/pods";
const ID: MapperId = MapperId::new("refusing");

/// A mapper that fails for all pods with a class that is no default.
struct Refusing(MapperSpec, fn() -> MapError);

fn refused() -> MapError {
    MapError::refused("spec.class", "is not known")
}

impl Mapper for Refusing {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let pod = cx.virt(kinds::POD, key);
        let class = pod.as_ref().and_then(|pod| pod.at("/spec/class")).cloned().unwrap_or_default();
        if cx.defaults(kinds::POD).contains("spec.class", &class) {
            return Ok(Outcome::done());
        }
        Err((self.1)())
    }
}

fn spec() -> MapperSpec {
    MapperSpec::new(ID.as_str(), kinds::POD)
        .reads(Input::new(Side::Virtual, kinds::POD, Projection::Whole, KeysOf::Own))
        .sample(json!({"metadata": {"name": "tenet-defaults"}, "spec": {}}))
}

/// An engine that holds a pod, for which its mapper fails with `error`.
fn engine(answers: Answers, error: fn() -> MapError) -> (Arc<Engine>, Asked) {
    let ((virt, asked), (host, _)) = (api(answers), api(Vec::new()));
    let engine = Fixture::new(virt, host, &[kinds::POD]).engine(vec![Box::new(Refusing(spec(), error))]);
    engine.caches.get(Side::Virtual, kinds::POD).unwrap().store(json!({
        "metadata": {"namespace": "n", "name": "a", "uid": "u", "resourceVersion": "5"}, "spec": {"class": "gold"},
    }));
    (Arc::new(engine), asked)
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn posts(asked: &Asked, path: &str) -> usize {
    asked.lock().unwrap().iter().filter(|(method, at, _)| *method == "POST" && at.ends_with(path)).count()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stays_the_same_is_final_and_others_are_tried_until_the_deadline() {
    let service_account = "pods is forbidden: error looking up service account default/default: not found";
    for (code, message, tries) in [
        (400, "admission webhook does not support dry run", 1..=1),
        (403, "pods is forbidden", 1..=1),
        (422, "Pod is invalid", 1..=1),
        (403, service_account, 55..=61),
        (500, "etcdserver: leader changed", 55..=61),
    ] {
        let (api, asked) = api(vec![("POST", PODS, code, status(code, "R", message))]);
        let learnt = of_kind(&api, &spec(), Duration::from_secs(5)).await;
        assert_eq!(learnt, Defaults::default());
        assert!(tries.contains(&posts(&asked, "/pods")), "{code} {message}: {}", posts(&asked, "/pods"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapper_runs_while_its_defaults_are_learnt_and_only_a_refusal_waits() {
    let silent = status(500, "InternalError", "no");
    let (engine, asked) = engine(vec![("POST", PODS, 500, silent)], refused);
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(Registry::run(Arc::clone(&engine), stop.clone()));
    tokio::spawn(crate::worker::run(Arc::clone(&engine), stop.clone()));
    sleep(Duration::from_secs(20)).await;
    assert_eq!(engine.registry.state(ID), Some(State::Running));
    assert_eq!(posts(&asked, "/events"), 0, "what is refused may be a default");
    assert!(posts(&asked, "/pods") > 10);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(posts(&asked, "/events"), 1, "it is told after the deadline");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_default_is_never_refused_not_even_before_it_is_learnt() {
    let stored = json!({"metadata": {"name": "tenet-defaults"}, "spec": {"class": "gold"}});
    let (engine, asked) = engine(vec![("POST", PODS, 201, stored)], refused);
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(Registry::run(Arc::clone(&engine), stop.clone()));
    tokio::spawn(crate::worker::run(Arc::clone(&engine), stop.clone()));
    sleep(Duration::from_secs(120)).await;
    assert_eq!((posts(&asked, "/pods"), posts(&asked, "/events")), (1, 0));
    assert!(engine.queue.is_empty());
    stop.cancel();
}

/// The API server was configured otherwise, and has the version that it had.
#[tokio::test(start_paused = true)]
async fn a_default_that_changes_later_is_learnt_when_an_object_is_refused() {
    let stored = json!({"metadata": {"name": "tenet-defaults"}, "spec": {"class": "silver"}});
    let ((virt, asked), (host, _)) = (api(vec![("POST", PODS, 201, stored)]), api(Vec::new()));
    let mapper = Refusing(spec().with_conditions(), refused);
    let engine = Arc::new(Fixture::new(virt, host, &[kinds::POD]).engine(vec![Box::new(mapper)]));
    engine.router.start(ID);
    begin(&engine, ID);
    sleep(Duration::from_secs(1)).await;
    let learnt = || (posts(&asked, "/pods"), engine.view.defaults.check(kinds::POD).is_err());
    for (age, is_told, again) in [(30, false, false), (31, false, true), (100, true, false), (600, true, true)] {
        sleep(Duration::from_secs(age)).await;
        let (before, _) = learnt();
        engine.view.defaults.doubt(kinds::POD, is_told);
        assert_eq!(learnt(), (before, again), "{age}: a refusal waits");
        doubted(&engine);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(learnt(), (before + usize::from(again), false), "{age}");
    }
    assert!(engine.view.defaults.of(kinds::POD).contains("spec.class", &json!("silver")));
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_learnt_again_now_and_then_while_the_host_rejects_an_object() {
    let stored = json!({"metadata": {"name": "tenet-defaults"}, "spec": {"class": "silver"}});
    let rejected = || MapError::Rejected("Pod \"a\" is invalid: spec.class: Unsupported value".to_owned());
    let (engine, asked) = engine(vec![("POST", PODS, 201, stored)], rejected);
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(Registry::run(Arc::clone(&engine), stop.clone()));
    tokio::spawn(crate::worker::run(Arc::clone(&engine), stop.clone()));
    for _ in 0..3600 {
        sleep(Duration::from_secs(1)).await;
        doubted(&engine);
    }
    assert!((2..=6).contains(&posts(&asked, "/pods")), "{} times in an hour", posts(&asked, "/pods"));
    stop.cancel();
}

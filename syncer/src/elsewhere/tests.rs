use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use tenet_mapper::{
    Context, Facts, HostKey, Input, KeysOf, MapError, MapperSpec, Object, Outcome, Projection, View as _, kinds,
};
use tokio::time::sleep;

use super::*;
use crate::fixture::{Fixture, api};
use crate::queue::Again;

/// Namespaces that the configuration lists, and the name of the key of each.
#[derive(Default)]
struct Listed(Vec<&'static str>, &'static str);

struct Reader(MapperSpec);

impl Reader {
    fn new() -> Self {
        fn scopes(facts: &Facts) -> Vec<HostScope> {
            let listed = facts.sections.get::<Listed>();
            let scope = |namespace: &&str| HostScope {
                keys: vec![VirtualKey::new(listed.1, *namespace)],
                ..HostScope::of(*namespace)
            };
            listed.0.iter().map(scope).collect()
        }
        fn keys(_: &Facts, service: &Object) -> Vec<VirtualKey> {
            vec![VirtualKey::new(service.namespace(), service.name())]
        }
        let own = Input::new(Side::Virtual, kinds::SERVICE, Projection::Whole, KeysOf::Own);
        let elsewhere = Elsewhere::new(kinds::SERVICE, Projection::Whole, scopes, keys, "reads them");
        Self(MapperSpec::new("reader", kinds::SERVICE).reads(own).reads_elsewhere(elsewhere))
    }
}

impl Mapper for Reader {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn reconcile(&self, _: &Context<'_>, _: &VirtualKey) -> Result<Outcome, MapError> {
        Ok(Outcome::done())
    }
}

fn list(engine: &Engine, namespaces: &[&'static str]) {
    list_for(engine, namespaces, "state-of");
}

fn list_for(engine: &Engine, namespaces: &[&'static str], key: &'static str) {
    let mut facts = Facts::clone(&engine.facts.load());
    facts.sections.set(Listed(namespaces.to_vec(), key));
    engine.facts.store(Arc::new(facts));
    engine.elsewhere.renew_soon();
}

/// The keys that wait, which then wait no longer.
fn woken(engine: &Engine) -> Vec<String> {
    let mut keys = Vec::new();
    while let Some(ticket) = engine.queue.pop().now_or_never() {
        engine.queue.done(&ticket.key, Again::No);
        keys.push(ticket.key.object.to_string());
    }
    keys.sort();
    keys
}

fn service(namespace: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": "postgres", "uid": "u", "resourceVersion": "7"}})
}

#[tokio::test(start_paused = true)]
async fn streams_start_and_end_with_the_configuration_and_a_missing_right_concerns_one() {
    let services = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
        "items": [service("shared")]});
    let forbidden = json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"});
    let (host, asked) = api(vec![
        ("GET", "/api/v1/namespaces/shared/services", 200, services),
        ("GET", "/api/v1/namespaces/closed/services", 403, forbidden),
    ]);
    let reader = MapperId::new("reader");
    let engine = Fixture::new(api(Vec::new()).0, host, &[kinds::SERVICE]).engine(vec![Box::new(Reader::new())]);
    engine.router.start(reader);
    let (engine, stop) = (Arc::new(engine), CancellationToken::new());
    let running = tokio::spawn(run(Arc::clone(&engine), stop.clone()));
    sleep(Duration::from_secs(1)).await;
    assert!(asked.lock().unwrap().is_empty(), "nothing is listed");

    list(&engine, &["shared", "closed"]);
    sleep(Duration::from_millis(200)).await;
    let reading = |namespace: &str| engine.view.of(reader).reading(kinds::SERVICE, namespace);
    assert_eq!((reading("shared"), reading("closed")), (Reading::Listed, Reading::Forbidden));
    assert_eq!(woken(&engine), ["shared/postgres", "state-of/closed", "state-of/shared"]);
    let seen = || {
        let key = HostKey::new("shared", "postgres");
        engine.view.of(reader).get(&tenet_mapper::ObjectRef::host(kinds::SERVICE, &key)).is_some()
    };
    assert!(seen());
    assert!(engine.caches.get(Side::Host, kinds::SERVICE).unwrap().is_empty(), "no copy is among them");
    enqueue(&engine, Some(reader), Lane::Patrol);
    assert_eq!(woken(&engine), ["state-of/closed", "state-of/shared"]);

    list_for(&engine, &["shared", "closed"], "other");
    sleep(Duration::from_millis(200)).await;
    assert_eq!(woken(&engine), ["other/closed", "other/shared"], "a key that is new to a stream that is listed");

    list(&engine, &["closed"]);
    sleep(Duration::from_millis(200)).await;
    assert_eq!((reading("shared"), seen()), (Reading::Listing, false));
    let count = || asked.lock().unwrap().iter().filter(|(_, path, _)| path.contains("/shared/")).count();
    let before = count();
    sleep(Duration::from_secs(120)).await;
    assert_eq!(count(), before, "its stream has ended");
    stop.cancel();
    running.await.unwrap();
}

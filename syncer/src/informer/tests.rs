use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use tenet_mapper::{CopyMapper, Input, KeysOf, Mapper, MapperId, MapperSpec, Object, VirtualKey, kinds};
use tokio::time::timeout;

use super::*;
use crate::mappers::Mappers;
use crate::queue::Queue;

type Stream = UnsyncBoxBody<Bytes, std::io::Error>;

/// A server that answers each list and each watch by its number.
struct Script {
    lists: AtomicUsize,
    watches: AtomicUsize,
    list: fn(usize) -> (u16, String),
    /// Events that the watch sends, and true if it stays open afterwards.
    watch: fn(usize) -> (u16, String, bool),
}

impl Script {
    fn new(list: fn(usize) -> (u16, String), watch: fn(usize) -> (u16, String, bool)) -> Arc<Self> {
        Arc::new(Self { lists: AtomicUsize::new(0), watches: AtomicUsize::new(0), list, watch })
    }

    fn answer(&self, request: &Request<Body>) -> Response<Stream> {
        let query = request.uri().query().unwrap_or_default();
        if let Some(name) = query.strip_prefix("fieldSelector=metadata.name%3D") {
            let (code, text) = if name.starts_with("kept") { list(9, &[pod(name, 4)]) } else { list(9, &[]) };
            let text = stream::iter([Ok(Frame::data(Bytes::from(text)))]);
            let mut response = Response::new(StreamBody::new(text).boxed_unsync());
            *response.status_mut() = code.try_into().unwrap();
            return response;
        }
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let (code, text, open) = if is_watch {
            (self.watch)(self.watches.fetch_add(1, Ordering::SeqCst))
        } else {
            let (code, text) = (self.list)(self.lists.fetch_add(1, Ordering::SeqCst));
            (code, text, false)
        };
        let first = stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from(text)))]);
        let body = if open {
            StreamBody::new(first.chain(stream::pending())).boxed_unsync()
        } else {
            StreamBody::new(first).boxed_unsync()
        };
        let mut response = Response::new(body);
        *response.status_mut() = code.try_into().unwrap();
        response
    }

    fn counts(&self) -> (usize, usize) {
        (self.lists.load(Ordering::SeqCst), self.watches.load(Ordering::SeqCst))
    }
}

/// Follows a script for so long, in the paused time of the test.
async fn follow(script: &Arc<Script>, span: Duration) -> (Arc<Cache>, Health) {
    let server = Arc::clone(script);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = server.answer(&request);
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    follow_client(Client::new(service, "default"), span).await
}

/// Follows a server for so long.
async fn follow_client(client: Client, span: Duration) -> (Arc<Cache>, Health) {
    let cache = Arc::new(Cache::new(Side::Virtual, kinds::POD, Projection::Whole));
    let router = Arc::new(Router::new(Arc::default(), Arc::new(Queue::default()), "vc-1", "id"));
    let informer = Informer::new(
        Api::new(client),
        Scope { namespace: None, selector: None },
        Arc::clone(&cache),
        router,
        Arc::new(Metrics::new().unwrap()),
        Arc::new(Claim::agreed_for_tests()),
        Arc::new(crate::runtime::System),
    );
    let health = informer.health();
    assert!(timeout(span, informer.run()).await.is_err(), "an informer never ends");
    let health = health.read().clone();
    (cache, health)
}

fn pod(name: &str, version: u32) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"{version}"}}}}"#)
}

fn list(version: u32, pods: &[String]) -> (u16, String) {
    let items = pods.join(",");
    (
        200,
        format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#
        ),
    )
}

fn status(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{code},"reason":"{reason}","message":"m"}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_retried_ever_later() {
    let script = Script::new(|_| (500, status(500, "InternalError")), |_| (200, String::new(), true));
    let (_, health) = follow(&script, Duration::from_secs(600)).await;
    let (lists, watches) = script.counts();
    assert!((12..=20).contains(&lists), "{lists} lists in ten minutes");
    assert_eq!(watches, 0);
    assert!(!health.synced && health.failing.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_closes_at_once_does_not_spin() {
    let script = Script::new(|_| list(5, &[]), |_| (200, String::new(), false));
    let (_, health) = follow(&script, Duration::from_secs(120)).await;
    let (lists, watches) = script.counts();
    assert_eq!(lists, 1, "the version is still good");
    assert!((5..=15).contains(&watches), "{watches} watches in two minutes");
    assert!(health.synced);
}

#[tokio::test(start_paused = true)]
async fn a_410_at_the_start_of_a_watch_lists_again() {
    let script = Script::new(
        |_| list(5, &[pod("a", 4)]),
        |number| if number == 0 { (410, status(410, "Expired"), false) } else { (200, String::new(), true) },
    );
    let (cache, health) = follow(&script, Duration::from_secs(10)).await;
    assert_eq!(script.counts(), (2, 2));
    assert_eq!(cache.len(), 1);
    assert!(health.failing.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_410_in_a_watch_lists_again_and_tells_what_is_gone() {
    let script = Script::new(
        |number| if number == 0 { list(5, &[pod("a", 4), pod("b", 5)]) } else { list(9, &[pod("b", 5)]) },
        |number| match number {
            0 => (200, format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(410, "Expired")), false),
            _ => (200, format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", pod("c", 10)), true),
        },
    );
    let (cache, _) = follow(&script, Duration::from_secs(10)).await;
    assert!(cache.get("n", "a").is_none(), "it was deleted while nobody watched");
    assert!(cache.get("n", "b").is_some() && cache.get("n", "c").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_list_lacks_is_gone_only_when_a_quorum_read_says_so() {
    let script = Script::new(
        |number| if number == 0 { list(5, &[pod("kept", 4), pod("gone", 5)]) } else { list(9, &[]) },
        |number| match number {
            0 => (200, format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(410, "Expired")), false),
            _ => (200, String::new(), true),
        },
    );
    let (cache, _) = follow(&script, Duration::from_secs(10)).await;
    assert!(cache.get("n", "gone").is_none());
    assert!(cache.get("n", "kept").is_some(), "a list that lacks it proves nothing");
}

#[tokio::test(start_paused = true)]
async fn an_object_of_an_unknown_shape_stops_no_other() {
    let script = Script::new(
        |_| list(5, &[pod("a", 4)]),
        |_| {
            let odd =
                r#"{"metadata":{"name":"odd","namespace":"n","resourceVersion":"6"},"spec":{"new":[{"x":null}]}}"#;
            let events =
                format!("{{\"type\":\"ADDED\",\"object\":{odd}}}\n{{\"type\":\"ADDED\",\"object\":{}}}\n", pod("b", 7));
            (200, events, true)
        },
    );
    let (cache, _) = follow(&script, Duration::from_secs(5)).await;
    assert_eq!(cache.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_probed_until_it_is() {
    let script = Script::new(
        |number| if number < 8 { (404, status(404, "NotFound")) } else { list(5, &[pod("a", 4)]) },
        |_| (200, String::new(), true),
    );
    let (_, health) = follow(&script, Duration::from_secs(20)).await;
    assert_eq!((health.missing, health.synced), (Some(Missing::NotServed), false));
    let (cache, health) = follow(&script, Duration::from_secs(60)).await;
    assert_eq!((health.missing, health.synced), (None, true), "it is served now");
    assert_eq!(cache.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_refusal_at_the_restart_of_a_watch_changes_nothing_for_good() {
    type Refusal = fn(usize) -> (u16, String, bool);
    let refusals: [Refusal; 3] = [
        |number| if number == 0 { (401, status(401, "Unauthorized"), false) } else { (200, String::new(), true) },
        |number| if number == 0 { (403, status(403, "Forbidden"), false) } else { (200, String::new(), true) },
        |number| if number == 0 { (404, status(404, "NotFound"), false) } else { (200, String::new(), true) },
    ];
    for refusal in refusals {
        let script = Script::new(|_| list(5, &[pod("a", 4)]), refusal);
        let (cache, health) = follow(&script, Duration::from_secs(20)).await;
        assert_eq!((health.missing, health.synced), (None, true));
        assert!(health.failing.is_none(), "it is followed again: {health:?}");
        assert_eq!(cache.len(), 1, "and nothing was taken for deleted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_list_after_one_of_the_watch_is_no_missing_right() {
    let script = Script::new(
        |number| if number == 1 { (403, status(403, "Forbidden")) } else { list(5, &[pod("a", 4)]) },
        |number| match number {
            0 => (403, status(403, "Forbidden"), false),
            _ => (200, String::new(), true),
        },
    );
    let (cache, health) = follow(&script, Duration::from_secs(20)).await;
    assert_eq!((health.missing, health.synced), (None, true));
    assert_eq!(cache.len(), 1, "and nothing was taken for deleted");
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_restarted_where_it_was() {
    let script = Script::new(|_| list(5, &[pod("a", 4)]), |_| (200, String::new(), true));
    follow(&script, Duration::from_secs(140)).await;
    assert_eq!(script.counts(), (1, 1), "a server may be silent for a while");
    let script = Script::new(
        |_| list(5, &[pod("a", 4)]),
        |number| {
            let event = format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", pod("b", 6));
            (200, if number == 1 { event } else { String::new() }, true)
        },
    );
    let (cache, health) = follow(&script, Duration::from_secs(170)).await;
    assert_eq!(script.counts(), (1, 2), "the list is not repeated");
    assert!(cache.get("n", "b").is_some() && health.synced);
}

/// Answers a list with `text` and then keeps silent, or does not answer watches at all.
fn stalling(text: String, asked: &Arc<RwLock<Vec<String>>>) -> Client {
    let asked = Arc::clone(asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_watch = query.contains("watch=");
        asked.write().push(query);
        let first = stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from(text.clone())))]);
        let is_complete = text.ends_with(']') || text.ends_with('}');
        let body = if is_complete {
            StreamBody::new(first).boxed_unsync()
        } else {
            StreamBody::new(first.chain(stream::pending())).boxed_unsync()
        };
        async move {
            if is_watch {
                std::future::pending::<()>().await;
            }
            Ok::<_, std::convert::Infallible>(Response::new(body))
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_answered_is_asked_for_again() {
    let asked = Arc::default();
    let (_, health) = follow_client(stalling(list(5, &[]).1, &asked), Duration::from_secs(40)).await;
    let watches = asked.read().iter().filter(|query| query.contains("watch=")).count();
    assert_eq!(watches, 3, "after 15 seconds each: {:?}", asked.read());
    assert!(health.failing.is_some_and(|(_, reason)| reason.contains("deadline")));
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_body_does_not_end_is_asked_for_again() {
    let asked = Arc::default();
    let client = stalling("{\"kind\":\"PodList\",\"items\":[".to_owned(), &asked);
    let (_, health) = follow_client(client, Duration::from_secs(90)).await;
    assert_eq!(asked.read().len(), 2);
    let (_, reason) = health.failing.unwrap();
    assert!(reason.contains("not complete in time"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_gets_our_label_back_is_seen_again() {
    let script = Script::new(
        |_| list(5, &[pod("a", 4)]),
        |_| {
            let events = [("DELETED", 6), ("ADDED", 7)]
                .map(|(event, version)| format!("{{\"type\":\"{event}\",\"object\":{}}}\n", pod("a", version)));
            (200, events.concat(), true)
        },
    );
    let (cache, _) = follow(&script, Duration::from_secs(5)).await;
    assert_eq!(cache.get("n", "a").unwrap().resource_version(), "7");
}

/// A runtime that panics when it is first asked for a random number.
#[derive(Default)]
struct Faulty(AtomicUsize);

impl Runtime for Faulty {
    fn now(&self) -> time::OffsetDateTime {
        crate::runtime::System.now()
    }

    fn random(&self) -> f64 {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "a bug");
        0.5
    }

    fn spawn(&self, task: crate::runtime::Task) {
        crate::runtime::System.spawn(task);
    }
}

fn key_of_broken(object: &Object) -> Vec<VirtualKey> {
    assert!(object.name() != "broken", "a bug");
    vec![VirtualKey::new(object.namespace(), object.name())]
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_object_or_one_start_of_the_informer() {
    let script = Script::new(
        |number| match number {
            0 => (500, status(500, "InternalError")),
            _ => list(5, &[pod("broken", 4), pod("whole", 5)]),
        },
        |_| (200, String::new(), true),
    );
    let server = Arc::clone(&script);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = server.answer(&request);
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    let reads = |keys| Input::new(Side::Virtual, kinds::POD, Projection::Whole, keys);
    let mapper = |id, kind, keys| {
        let own = Input::new(Side::Virtual, kind, Projection::Whole, KeysOf::Own);
        Box::new(CopyMapper::of_table(MapperSpec::new(id, kind).reads(own).reads(reads(keys)))) as Box<dyn Mapper>
    };
    let mappers =
        vec![mapper("faulty", kinds::NODE, KeysOf::With(key_of_broken)), mapper("sound", kinds::SERVICE, KeysOf::Own)];
    let (metrics, queue) = (Arc::new(Metrics::new().unwrap()), Arc::new(Queue::default()));
    let router = Router::new(Arc::new(Mappers::new(mappers).unwrap()), Arc::clone(&queue), "vc-1", "id");
    let router = Arc::new(router.counting(Arc::clone(&metrics)));
    router.start(MapperId::new("faulty"));
    router.start(MapperId::new("sound"));
    let cache = Arc::new(Cache::new(Side::Virtual, kinds::POD, Projection::Whole));
    let informer = Informer::new(
        Api::new(Client::new(service, "default")),
        Scope { namespace: None, selector: None },
        Arc::clone(&cache),
        router,
        Arc::clone(&metrics),
        Arc::new(Claim::agreed_for_tests()),
        Arc::new(Faulty::default()),
    );
    assert!(timeout(Duration::from_secs(20), informer.run()).await.is_err());
    let mut keys = Vec::new();
    while let Ok(ticket) = timeout(Duration::from_millis(1), queue.pop()).await {
        keys.push(format!("{} {}", ticket.key.mapper, ticket.key.object));
    }
    keys.sort();
    assert_eq!(keys, ["faulty n/whole", "sound n/broken", "sound n/whole"]);
    let text = String::from_utf8(metrics.text()).unwrap();
    assert!(text.contains("tenet_task_panics_total{task=\"informer\"} 1"), "the start with the bug");
    assert!(text.contains("tenet_task_panics_total{task=\"router\"} 1"), "the object with the bug");
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_makes_a_stream_missing() {
    let script = Script::new(
        |number| if number == 0 { list(5, &[pod("a", 4)]) } else { (403, status(403, "Forbidden")) },
        |_| (403, status(403, "Forbidden"), false),
    );
    let (cache, health) = follow(&script, Duration::from_secs(30)).await;
    assert_eq!((health.missing, health.synced), (Some(Missing::Forbidden), false));
    assert_eq!(cache.len(), 1, "what was listed is not taken for deleted");
}

#[test]
fn failures_are_retried_ever_later_up_to_a_minute() {
    let seconds: Vec<_> = [1, 2, 3, 7, 8, 40].into_iter().map(|failures| backoff(failures).as_secs_f64()).collect();
    for (delay, base) in seconds.iter().zip([0.5, 1.0, 2.0, 32.0, 60.0, 60.0]) {
        assert!((base..=base * 1.2).contains(delay), "{delay} is not about {base}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_whole_secrets_comes_in_small_pages() {
    for (projection, limit) in [(Projection::Whole, "limit=250"), (Projection::Digest(&["data"]), "limit=50")] {
        let asked: Arc<RwLock<Vec<String>>> = Arc::default();
        let server = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            server.write().push(request.uri().query().unwrap_or_default().to_owned());
            let response: Response<Stream> = Response::new(StreamBody::new(stream::pending()).boxed_unsync());
            async move { Ok::<_, std::convert::Infallible>(response) }
        });
        let informer = Informer::new(
            Api::new(Client::new(service, "default")),
            Scope { namespace: None, selector: None },
            Arc::new(Cache::new(Side::Host, kinds::SECRET, projection)),
            Arc::new(Router::new(Arc::default(), Arc::new(Queue::default()), "vc-1", "id")),
            Arc::new(Metrics::new().unwrap()),
            Arc::new(Claim::agreed_for_tests()),
            Arc::new(crate::runtime::System),
        );
        assert!(timeout(Duration::from_secs(1), informer.run()).await.is_err());
        assert!(asked.read()[0].split('&').any(|part| part == limit), "{:?}", asked.read());
    }
}

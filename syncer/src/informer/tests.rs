use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use tenet_mapper::kinds;
use tokio::time::timeout;

use super::*;
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
    let cache = Arc::new(Cache::new(Side::Virtual, kinds::POD, Projection::Whole));
    let router = Arc::new(Router::new(Arc::default(), Arc::new(Queue::default()), "vc-1", "id"));
    let informer = Informer::new(
        Api::new(Client::new(service, "default")),
        Scope { namespace: None, selector: None },
        Arc::clone(&cache),
        router,
        Arc::new(Metrics::new().unwrap()),
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
async fn one_refusal_at_the_restart_of_a_watch_is_no_missing_right() {
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
            Arc::new(crate::runtime::System),
        );
        assert!(timeout(Duration::from_secs(1), informer.run()).await.is_err());
        assert!(asked.read()[0].split('&').any(|part| part == limit), "{:?}", asked.read());
    }
}

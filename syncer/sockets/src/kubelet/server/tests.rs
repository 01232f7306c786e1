use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use tenet_config::{Config, Live, Overrides};
use tenet_mapper::{Side, kinds};
use tenet_syncer::EngineHandle;
use tokio::io::AsyncWriteExt;

use super::backend::{Backend, HOST_POD, NODE, SWITCH, VIRTUAL_UID, virtual_pod};
use super::*;
use crate::fake_engine::FakeEngine;
use crate::kubelet::failure::Failure;
use crate::kubelet::pod_resolver::ResolvedPod;
use crate::kubelet::route::PodName;
use crate::kubelet::session::Slot;
use crate::kubelet::upgrade::Upgrade;
use crate::kubelet::upstream::Agreed;
use crate::metrics::Metrics;
use crate::panics::Panics;

const LIMIT: Duration = Duration::from_secs(5);

fn node(backend: &Backend) -> Node {
    let flags = Overrides::default();
    let yaml =
        "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\nkubelet: { streams: { perPod: 2 } }\n";
    let config = Config::from_yaml(yaml, &flags).unwrap();
    let mut kube = kube::Config::new(backend.url.parse().unwrap());
    kube.default_retry = false;
    let api = Api::new(kube::Client::try_from(kube.clone()).unwrap());
    let engine: Arc<dyn EngineHandle> = Arc::<FakeEngine>::clone(&backend.engine);
    let (live, metrics) = (Live::new(config), Arc::new(Metrics::new(engine.registry()).unwrap()));
    let kubelet = Kubelet {
        panics: Panics::new(&engine),
        resource_metrics: Arc::new(ResourceMetrics::new(api.clone(), Arc::clone(&engine), LIMIT)),
        virt: api.clone(),
        resolver: PodResolver { virt: api.clone(), host: api.clone(), engine, limit: LIMIT },
        upstream: Upstream::new(&kube).unwrap(),
        tokens: Tokens::new(api.clone(), LIMIT),
        authorizer: Authorizer::new(api, LIMIT),
        sessions: Arc::new(Sessions::new(live, metrics)),
        tasks: TaskTracker::new(),
        closing: CancellationToken::new(),
    };
    Node { name: NODE.to_owned(), kubelet: Arc::new(kubelet) }
}

/// The caches learn which pods there are now.
fn sees(backend: &Backend) {
    for (side, pod) in [(Side::Virtual, virtual_pod()), (Side::Host, backend.host_pod())] {
        backend.engine.sees(side, kinds::POD, pod);
    }
}

fn pod() -> PodName {
    PodName { namespace: "shop".to_owned(), name: "web".to_owned(), uid: None }
}

fn exec(container: &str) -> Action {
    match route::parse(&Method::GET, &format!("/exec/shop/web/{container}"), "command=id&output=1") {
        Ok(Route::Pod(_, action)) => action,
        other => panic!("{other:?}"),
    }
}

fn spdy() -> Upgrade {
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v4.channel.k8s.io")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Upgrade::read(&Method::POST, &headers).unwrap()
}

/// Opens a stream, up to its first byte.
async fn open(node: &Node) -> Result<(ResolvedPod, Slot, Agreed), Failure> {
    let session = node.open(&pod(), &exec("main"), &spdy()).await?;
    let pod = session.pod().clone();
    let (agreed, slot) = session.confirm(&node.kubelet.resolver).await?;
    Ok((pod, slot, agreed))
}

async fn refused(node: &Node) -> Failure {
    match open(node).await {
        Ok(_) => panic!("a stream was opened"),
        Err(failure) => failure,
    }
}

/// Waits until the backend has seen the end of `count` requests for streams.
async fn ended(backend: &Backend, count: usize) {
    for _ in 0..500 {
        if backend.seen.lock().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the connections to the host were not closed");
}

#[tokio::test]
async fn the_host_is_asked_in_words_of_our_own() {
    let backend = Backend::start().await;
    let node = node(&backend);
    let (target, _, mut agreed) = open(&node).await.unwrap();
    assert_eq!((target.uid.as_str(), target.host_uid.as_str()), (VIRTUAL_UID, "host-1"));
    agreed.stream.write_all(b"frames").await.unwrap();
    drop(agreed);
    ended(&backend, 1).await;
    let (head, after) = backend.seen.lock()[0].clone();
    let host = backend.url.trim_start_matches("http://");
    assert_eq!(
        head.to_ascii_lowercase(),
        format!(
            "post {HOST_POD}/exec?container=main&command=id&stdout=true http/1.1\r\nhost: {host}\r\n\
             user-agent: tenet-syncer/{}\r\nconnection: upgrade\r\nupgrade: spdy/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    assert_eq!(after, b"frames");
}

/// T14, T15: nothing but the upgrade that was asked for becomes a stream, no redirect is
/// followed, and the connection carries nothing else.
#[tokio::test]
async fn an_answer_that_is_no_upgrade_becomes_no_stream() {
    let backend = Backend::start().await;
    let canary = Backend::start().await;
    let node = node(&backend);
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: {}{HOST_POD}/exec\r\ncontent-length: 0\r\n\r\n", canary.url);
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 400 Bad Request\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned(),
        SWITCH.replace("SPDY/3.1", "websocket"),
        SWITCH.replace("Upgrade: SPDY/3.1\r\n", ""),
        SWITCH.replace("v4.channel", "v5.channel"),
        SWITCH.replace("Connection: Upgrade", "Connection: close"),
        "HTTP/1.1 101\r\n\r\n".to_owned(),
        "junk\r\n\r\n".to_owned(),
        redirect,
    ];
    for (number, answer) in answers.iter().chain(&answers).enumerate() {
        if number == answers.len() {
            // From here on the host is asked before the pod is found.
            sees(&backend);
        }
        backend.answer.lock().clone_from(answer);
        let failure = refused(&node).await;
        assert!(failure.code.is_server_error() || failure.code.is_client_error(), "{answer}: {failure:?}");
        ended(&backend, number + 1).await;
        let after = backend.seen.lock()[number].1.clone();
        assert_eq!(String::from_utf8_lossy(&after), "", "{answer}: nothing may follow on that connection");
    }
    assert!(canary.seen.lock().is_empty(), "a redirect was followed");
    assert!(backend.ran.lock().is_empty());
}

/// T19: 10,000 times the pod is exchanged for another one of the same name somewhere
/// between the first look and the first byte.
#[tokio::test]
async fn a_pod_that_is_recreated_under_its_name_is_never_reached_by_mistake() {
    let backend = Backend::start().await;
    let node = node(&backend);
    let (mut opened, mut random) = (0, 0x2545_f491_u64);
    for race in 0..10_000_u64 {
        let (ours, other) = (2 * race + 10, 2 * race + 11);
        backend.ours.store(ours, Ordering::SeqCst);
        backend.pod.store(ours, Ordering::SeqCst);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // The caches know either this pod or an earlier one.
        if race % 2 == 0 {
            sees(&backend);
        }
        // A race in four has no exchange, so that the way itself is seen to work.
        let exchange = async {
            for _ in 0..(random >> 33) % 100 {
                tokio::task::yield_now().await;
            }
            if race % 4 != 0 {
                if race % 3 == 0 {
                    // Also one that belongs to the same virtual pod is another one.
                    backend.ours.store(other, Ordering::SeqCst);
                }
                backend.pod.store(other, Ordering::SeqCst);
            }
        };
        let (stream, ()) = tokio::join!(open(&node), exchange);
        let ran = backend.ran.lock().len();
        if let Ok((target, _, mut agreed)) = stream {
            opened += 1;
            assert!(target.host_uid == format!("host-{ours}") || target.host_uid == format!("host-{other}"));
            agreed.stream.write_all(b"run").await.unwrap();
            drop(agreed);
            while backend.ran.lock().len() == ran {
                tokio::task::yield_now().await;
            }
            assert_eq!(format!("host-{}", backend.ran.lock()[ran]), target.host_uid, "race {race}");
        }
        assert!(backend.ran.lock().iter().skip(ran).all(|pod| *pod == ours || race % 3 == 0), "race {race}");
    }
    assert!(opened >= 2000, "only {opened} streams were opened");
}

#[tokio::test]
async fn only_what_the_tenant_sees_is_reached() {
    let backend = Backend::start().await;
    let node = node(&backend);
    let other_node = Node { name: "worker-2".to_owned(), kubelet: Arc::clone(&node.kubelet) };
    assert_eq!(refused(&other_node).await.code, StatusCode::NOT_FOUND);
    injected_stays_out_of_reach(&node).await;
    let stale = PodName { uid: Some("22222222-0000-0000-0000-000000000000".to_owned()), ..pod() };
    assert_eq!(node.open(&stale, &exec("main"), &spdy()).await.err().unwrap().code, StatusCode::NOT_FOUND);
    backend.ours.store(7, Ordering::SeqCst);
    assert_eq!(refused(&node).await.message, "pod shop/web is not on its host");
    backend.ours.store(1, Ordering::SeqCst);
    sees(&backend);
    injected_stays_out_of_reach(&node).await;
    assert!(backend.ran.lock().is_empty());
    assert!(backend.seen.lock().is_empty(), "the host was asked");
}

/// Containers that the host has put into the pod are not reached, also not under a name that the tenant has added.
async fn injected_stays_out_of_reach(node: &Node) {
    let not_there = "container \"sidecar\" in pod \"web\" is not available; the events of the pod may say why";
    for (container, code, message) in [
        ("injected", StatusCode::NOT_FOUND, "container not found (\"injected\")"),
        // `kubectl logs` shows the message of a 400 only.
        ("sidecar", StatusCode::BAD_REQUEST, not_there),
    ] {
        let failure = node.open(&pod(), &exec(container), &spdy()).await.err().unwrap();
        assert_eq!((failure.code, &*failure.message), (code, message));
    }
}

/// Only the state of the caches decides when the host is asked.
#[tokio::test]
async fn caches_that_are_out_of_date_lead_nowhere() {
    let backend = Backend::start().await;
    let node = node(&backend);
    sees(&backend);
    backend.pod.store(2, Ordering::SeqCst);
    assert_eq!(refused(&node).await.code, StatusCode::CONFLICT);
    backend.ours.store(2, Ordering::SeqCst);
    assert_eq!(refused(&node).await.code, StatusCode::CONFLICT);
    // The caches know an earlier pod of that name on both sides.
    backend.ours.store(9, Ordering::SeqCst);
    sees(&backend);
    backend.ours.store(2, Ordering::SeqCst);
    let mut old = virtual_pod();
    old["metadata"]["uid"] = "another-virtual-pod".into();
    backend.engine.sees(Side::Virtual, kinds::POD, old);
    let (target, ..) = open(&node).await.unwrap();
    assert_eq!((target.uid.as_str(), target.host_uid.as_str()), (VIRTUAL_UID, "host-2"));
    ended(&backend, 4).await;
    assert!(backend.ran.lock().is_empty());

    // A WebSocket runs its command when the host has found the pod.
    sees(&backend);
    backend.pod.store(3, Ordering::SeqCst);
    let opened = node.open(&pod(), &exec("main"), &crate::kubelet::run::upgrade()).await;
    assert_eq!(opened.err().unwrap().message, "pod shop/web is not on its host");
    assert_eq!(backend.seen.lock().len(), 4, "the host was asked before the pod was found");
}

#[tokio::test]
async fn streams_are_bounded_for_each_pod_and_freed_when_they_end() {
    let backend = Backend::start().await;
    let node = node(&backend);
    let (first, _second) = (open(&node).await.unwrap(), open(&node).await.unwrap());
    let failure = refused(&node).await;
    assert_eq!((failure.code, failure.reason), (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"));
    assert_eq!(failure.message, "too many streams are open to pod shop/web");
    drop(first);
    open(&node).await.unwrap();
}

//! The other side of the kubelet for tests of what no real API server does on demand: wrong
//! answers, and pods that change between two requests. It speaks HTTP by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tenet_mapper::kinds;
use tenet_mapper::testing::CLUSTER_ID;
use tenet_mapper::translate::OwnerRecord;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fake_engine::FakeEngine;

pub const NODE: &str = "worker-1";
pub const VIRTUAL_UID: &str = "11111111-0000-0000-0000-000000000000";
pub const HOST_POD: &str = "/api/v1/namespaces/team-a/pods/web-x-shop-x-vc-1";
const VIRTUAL_POD: &str = "/api/v1/namespaces/shop/pods/web";
pub const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                          X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";

/// Both API servers behind one port.
pub struct Backend {
    pub url: String,
    /// The engine, whose caches may be out of date.
    pub engine: Arc<FakeEngine>,
    /// The UID of the host pod that there is now.
    pub pod: AtomicU64,
    /// The UID of the host pod that belongs to the virtual one.
    pub ours: AtomicU64,
    /// Answer to a request for a stream.
    pub answer: Mutex<String>,
    /// The heads of all requests for streams, and what came after each.
    pub seen: Mutex<Vec<(String, Vec<u8>)>>,
    /// The UIDs of the pods in which something was run.
    pub ran: Mutex<Vec<u64>>,
}

impl Backend {
    pub async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            engine: Arc::default(),
            pod: AtomicU64::new(1),
            ours: AtomicU64::new(1),
            answer: Mutex::new(SWITCH.to_owned()),
            seen: Mutex::default(),
            ran: Mutex::default(),
        });
        let serving = Arc::clone(&backend);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).connection(stream));
            }
        });
        backend
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some((head, rest)) = read_head(&mut stream, &mut buffer).await {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let object = match path.as_str() {
                VIRTUAL_POD => Some(virtual_pod()),
                HOST_POD => Some(self.host_pod()),
                _ => None,
            };
            buffer = rest;
            match object {
                Some(object) => {
                    let body = object.to_string();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
                None => return self.stream(stream, head).await,
            }
        }
    }

    /// A kubelet connects to the container at once, and runs the command when the client
    /// says its first word.
    async fn stream(&self, mut stream: TcpStream, head: String) {
        let pod = self.pod.load(Ordering::SeqCst);
        let answer = self.answer.lock().clone();
        drop(stream.write_all(answer.as_bytes()).await);
        let mut after = Vec::new();
        drop(stream.read_to_end(&mut after).await);
        if !after.is_empty() && answer.starts_with("HTTP/1.1 101") {
            self.ran.lock().push(pod);
        }
        self.seen.lock().push((head, after));
    }

    pub fn host_pod(&self) -> Value {
        let uid = self.pod.load(Ordering::SeqCst);
        let owner = if uid == self.ours.load(Ordering::SeqCst) { VIRTUAL_UID } else { "another-virtual-pod" };
        let record = OwnerRecord {
            cluster: CLUSTER_ID.to_owned(),
            kind: kinds::POD.group_kind(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            uid: owner.to_owned(),
        };
        json!({
            "metadata": {
                "name": "web-x-shop-x-vc-1", "namespace": "team-a", "uid": format!("host-{uid}"),
                "labels": record.labels("vc-1"),
                "annotations": record.annotations("team-a", "web-x-shop-x-vc-1"),
            },
            "spec": {
                "nodeName": "host-worker",
                "initContainers": [{"name": "sidecar"}],
                "containers": [{"name": "main"}, {"name": "injected"}],
            },
        })
    }
}

pub fn virtual_pod() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": VIRTUAL_UID},
        "spec": {
            "nodeName": NODE,
            "containers": [{"name": "main"}],
            // A tenant can add one with the name of a container that the host has put into its pod.
            "ephemeralContainers": [{"name": "sidecar"}],
        },
    })
}

/// The head of a request, and what was read behind it.
async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            return Some((String::from_utf8_lossy(buffer).into_owned(), rest));
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

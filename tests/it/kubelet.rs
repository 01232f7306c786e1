//! Access to the kubelet of a virtual node, and the content of its answers (threats T13, T16 to
//! T18, T26, T28, T30, T31).

pub mod wire;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::{Options, Playground};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::harness::{Harness, Separate, in_folder, passed};
use wire::{Identity, api_server, code, connect, expired, send, status, stranger, user};

const SPDY: &str = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n";
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n";
const PATHS: [&str; 12] = [
    "/pods",
    "/runningpods/",
    "/stats/summary",
    "/metrics/resource",
    "/metrics/cadvisor",
    "/healthz",
    "/configz",
    "/metrics",
    "/debug/pprof/",
    "/logs/",
    "/checkpoint/a/b/c",
    "/",
];

/// Running pod, and the kubelet of its node.
struct Target {
    harness: Harness,
    namespace: String,
    node: String,
    kubelet: SocketAddr,
    api_server: Identity,
}

impl Target {
    async fn start() -> Result<Self> {
        let harness = Harness::shared().await?;
        let namespace = harness.namespace().await?;
        let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "nginx"}]});
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        harness.virt.create(&pods, json!({"metadata": {"name": "web"}, "spec": spec})).await?;
        let running = |pod: &Value| pod["status"]["phase"] == "Running";
        let pod = harness.virt.until(&format!("{pods}/web"), "running", running).await?;
        let node = pod["spec"]["nodeName"].as_str().context("no node")?.to_owned();
        let kubelet = wire::address(&harness, &node).await?;
        let api_server = api_server(harness.playground)?;
        Ok(Self { harness, namespace, node, kubelet, api_server })
    }

    fn exec(&self) -> String {
        format!("/exec/{}/web/main?command=true&output=1", self.namespace)
    }

    /// Returns the status of the answer to a GET.
    async fn get(&self, identity: Option<&Identity>, target: &str, headers: &str) -> Result<u16> {
        status(self.kubelet, identity, target, headers).await
    }

    async fn post(&self, identity: Option<&Identity>, target: &str, headers: &str) -> Result<String> {
        let request = format!("POST {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        send(self.kubelet, identity, request.as_bytes()).await
    }

    /// Grants a user rights in the virtual cluster.
    async fn grant(&self, name: &str, verb: &str, subresource: &str) -> Result<()> {
        let rules = json!([{"apiGroups": [""], "resources": [format!("nodes/{subresource}")], "verbs": [verb]}]);
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let role = json!({"metadata": {"name": name}, "rules": rules});
        self.harness.virt.create(&format!("{rbac}/clusterroles"), role).await?;
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        });
        self.harness.virt.create(&format!("{rbac}/clusterrolebindings"), binding).await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_anonymous() -> Result<()> {
    let target = Target::start().await?;
    for path in PATHS {
        assert_eq!(target.get(None, path, "").await?, 401, "{path}");
    }
    for headers in [
        "Authorization: Bearer \r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer nobody\r\n",
        "Authorization: Basic YWRtaW46YWRtaW4=\r\n",
        "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n",
        "Impersonate-User: admin\r\nImpersonate-Group: system:masters\r\n",
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-User: admin\r\n",
    ] {
        assert_eq!(target.get(None, "/pods", headers).await?, 401, "{headers}");
        assert_eq!(target.get(None, &target.exec(), &format!("{headers}{WEBSOCKET}")).await?, 401, "{headers}");
    }
    for refused in [expired(target.harness.playground)?, stranger()?] {
        assert_eq!(target.get(Some(&refused), "/pods", "").await?, 0, "the handshake already fails");
    }
    assert_eq!(target.get(Some(&target.api_server), "/pods", "").await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_asked_for_and_a_websocket_needs_more_than_get() -> Result<()> {
    let target = Target::start().await?;
    let playground = target.harness.playground;
    let (reader, runner) = (format!("reader-{}", target.namespace), format!("runner-{}", target.namespace));
    target.grant(&reader, "get", "proxy").await?;
    target.grant(&runner, "create", "proxy").await?;
    let (nobody, reader, runner) =
        (user(playground, "nobody", None)?, user(playground, &reader, None)?, user(playground, &runner, None)?);
    let logs = format!("/containerLogs/{}/web/main", target.namespace);
    for path in PATHS.into_iter().chain([logs.as_str()]) {
        assert_eq!(target.get(Some(&nobody), path, "").await?, 403, "{path}");
    }
    assert_eq!(target.get(Some(&reader), "/pods", "").await?, 200);
    assert_eq!(target.get(Some(&reader), &logs, "").await?, 200);
    assert_eq!(target.get(Some(&reader), "/logs/", "").await?, 404, "allowed to ask, and not there");
    for streaming in [
        target.exec(),
        format!("/attach/{}/web/main?output=1", target.namespace),
        format!("/portForward/{}/web", target.namespace),
    ] {
        assert_eq!(target.get(Some(&reader), &streaming, WEBSOCKET).await?, 403, "{streaming}");
    }
    let answer = target.post(Some(&runner), &target.exec(), SPDY).await?;
    assert_eq!(code(&answer), 101, "{answer}");
    assert_eq!(target.get(Some(&runner), &logs, "").await?, 403);

    // The same with the token of a ServiceAccount.
    let tokens = format!("/api/v1/namespaces/{}/serviceaccounts/default/token", target.namespace);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let token =
        target.harness.virt.create(&tokens, request).await?["status"]["token"].as_str().context("token")?.to_owned();
    assert_eq!(target.get(None, "/pods", &format!("Authorization: Bearer {token}\r\n")).await?, 403);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_anywhere_but_to_the_pod_that_it_names() -> Result<()> {
    let target = Target::start().await?;
    let (namespace, me) = (&target.namespace, Some(&target.api_server));
    let other = "kube-system";
    for path in [
        format!("/exec/{namespace}/../{other}/web/main?command=true&output=1"),
        format!("/exec/{namespace}%2f..%2f{other}/web/main?command=true&output=1"),
        format!("/exec/{namespace}/web%2f..%2f..%2fother/main?command=true&output=1"),
        format!("/exec/{namespace}/web%252f/main?command=true&output=1"),
        format!("/exec//{namespace}/web/main?command=true&output=1"),
        format!("/exec/{namespace}/web;x=y/main?command=true&output=1"),
        format!("/exec/{namespace}/web/main/?command=true&output=1"),
        format!("/exec/{namespace}/web/main/../other?command=true&output=1"),
        format!("/exec/{namespace}/web-x-{namespace}-x-vc-1/main?command=true&output=1"),
        format!("/exec/{}/web-x-{namespace}-x-vc-1/main?command=true&output=1", target.harness.playground.namespace()),
        format!("/exec/{namespace}/web/absent?command=true&output=1"),
        format!("/exec/{namespace}/absent/main?command=true&output=1"),
        format!("/exec/{namespace}/web/00000000-0000-0000-0000-000000000000/main?command=true&output=1"),
        "/api/v1/namespaces/default/pods".to_owned(),
        "http://127.0.0.1/pods/../../api".to_owned(),
    ] {
        assert_eq!(target.get(me, &path, WEBSOCKET).await?, 404, "{path}");
    }
    for query in [
        "command=true",
        "output=1",
        "command=true&output=1&container=other",
        "command=true&output=2",
        "command=%00&output=1",
    ] {
        let path = format!("/exec/{namespace}/web/main?{query}");
        assert_eq!(target.get(me, &path, WEBSOCKET).await?, 400, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_a_request_is_none() -> Result<()> {
    let target = Target::start().await?;
    let me = Some(&target.api_server);
    let second = "GET /pods HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 48\r\n",
        "Content-Length: +0\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Folded: header\r\n",
        "Bad\0Name: x\r\n",
        "Name: bad\0value\r\n",
        "NoColon\r\n",
    ] {
        let request = format!("POST {} HTTP/1.1\r\nHost: x\r\n{SPDY}{head}\r\n0\r\n\r\n{second}", target.exec());
        let answer = send(target.kubelet, me, request.as_bytes()).await.unwrap_or_default();
        assert!(matches!(code(&answer), 0 | 400), "{head:?}: {answer}");
        assert!(!answer.contains("PodList"), "{head:?}: the second request was answered");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_client_never_reach_the_host() -> Result<()> {
    let target = Target::start().await?;
    let headers = format!(
        "{SPDY}Impersonate-User: admin\r\nImpersonate-Group: system:masters\r\nX-Remote-User: admin\r\n\
         Authorization: Bearer stolen\r\nCookie: a=b\r\nUser-Agent: canary-{}\r\n",
        target.namespace
    );
    let headers = headers.replace("Connection: Upgrade", "Connection: Upgrade, Impersonate-User, Authorization");
    let answer = target.post(Some(&target.api_server), &target.exec(), &headers).await?;
    assert_eq!(code(&answer), 101, "{answer}");
    let log = target.harness.playground.host_plane().audit_log();
    let path = format!("/pods/web-x-{}-x-vc-1/exec", target.namespace);
    let deadline = Instant::now() + Duration::from_secs(10);
    let entries = loop {
        let text = std::fs::read_to_string(&log)?;
        let all: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let of_exec: Vec<_> = all
            .into_iter()
            .filter(|entry| entry["requestURI"].as_str().is_some_and(|uri| uri.contains(&path)))
            .collect();
        if !of_exec.is_empty() || Instant::now() > deadline {
            break of_exec;
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert!(!entries.is_empty(), "the host has not heard of it");
    for entry in entries {
        assert_eq!(entry["user"]["username"], "tenet-syncer", "{entry}");
        assert!(entry["impersonatedUser"].is_null(), "{entry}");
        assert!(!entry.to_string().contains("canary"), "{entry}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_the_host_is_in_an_answer() -> Result<()> {
    let target = Target::start().await?;
    let me = Some(&target.api_server);
    let hidden = [format!("-x-{}-x-", target.namespace), target.harness.playground.namespace().to_owned()];
    let (namespace, mut answers) = (&target.namespace, Vec::new());
    for path in PATHS {
        answers.push(
            send(target.kubelet, me, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
                .await?,
        );
    }
    for (path, headers) in [
        (format!("/containerLogs/{namespace}/web/main?previous=true&tailLines=1"), ""),
        (format!("/containerLogs/{namespace}/web/main?sinceSeconds=0"), ""),
        (format!("/exec/{namespace}/web/main?command=true&output=1&tty=1&error=1"), WEBSOCKET),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        let request = if headers.is_empty() { request } else { request.replace("Connection: close\r\n", "") };
        answers.push(send(target.kubelet, me, request.as_bytes()).await?);
    }
    for answer in &answers {
        for name in &hidden {
            assert!(!answer.contains(name.as_str()), "{name} in {answer}");
        }
    }
    assert!(answers.iter().any(|answer| answer.contains("\nkubelet_running_pods ")), "{answers:?}");
    let pods: Vec<_> = answers[0].split("\r\n\r\n").collect();
    assert!(pods[1].contains("\"PodList\"") && pods[1].contains(&target.node), "{}", pods[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wastes_time_or_memory_is_cut_off() -> Result<()> {
    let target = Target::start().await?;
    let me = Some(&target.api_server);
    let many = (0..500).fold(String::new(), |all, number| format!("{all}A{number}: b\r\n"));
    let long = format!("A: {}\r\n", "b".repeat(200 * 1024));
    for headers in [many, long] {
        let answer = target.post(me, &target.exec(), &headers).await.unwrap_or_default();
        assert!(matches!(code(&answer), 0 | 400 | 431), "{answer}");
    }
    // A request head that never ends, and a TLS handshake that never starts.
    let mut slow = connect(target.kubelet, me).await?;
    slow.write_all(b"GET /pods HTTP/1.1\r\nHost:").await?;
    let mut silent = TcpStream::connect(target.kubelet).await?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let cut = async { tokio::join!(slow.read_to_end(&mut first), silent.read_to_end(&mut second)) };
    drop(timeout(Duration::from_secs(30), cut).await.context("they are still connected")?);
    Ok(())
}

/// In a cluster every node has a Service, and an API server that verifies kubelets expects a
/// certificate of its own authority.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_found_at_its_service_with_a_certificate_of_the_cluster() -> Result<()> {
    let settings = "kubelet: { addresses: service, listen: 127.0.0.1, certificate: csr }\n".to_owned();
    let options = Options { nodes: 1, syncer_settings: settings, ..in_folder("node-service") };
    let Separate { playground, host, virt } = Separate::start(options).await?;
    let pods = "/api/v1/namespaces/default/pods";
    let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "nginx"}]});
    virt.create(pods, json!({"metadata": {"name": "web"}, "spec": spec})).await?;
    let has_address = |node: &Value| node["status"]["addresses"].as_array().is_some_and(|all| all.len() > 1);
    let node = virt.until("/api/v1/nodes/node-1", "with its addresses", has_address).await?;
    let path = format!("/api/v1/namespaces/{}/services/vc-1-node-node-1", playground.namespace());
    let service = host.get(&path).await?.context("no Service")?;
    let address = service["spec"]["clusterIP"].as_str().context("no address")?;
    // A node port answers at the address of the real node; the API server looks for the kubelet at the Hostname.
    let real = host.get("/api/v1/nodes/node-1").await?.context("the node of the host")?;
    let of_node = real["status"]["addresses"].as_array().context("addresses")?;
    let internal = of_node.iter().find(|each| each["type"] == "InternalIP").context("an internal address")?;
    assert_eq!(node["status"]["addresses"], json!([internal, {"type": "Hostname", "address": address}]));
    assert_eq!(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
    assert_eq!(service["spec"]["selector"], json!({"tenet.sh/control-plane": "vc-1"}));
    assert_eq!(service["spec"]["ports"][0]["port"], 10250);

    let port = service["spec"]["ports"][0]["targetPort"].as_u64().context("no port")?;
    let behind = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?));
    let me = api_server(&playground)?;
    let mut stream = until_connected(&playground, behind, address.parse()?, &me).await?;
    stream.write_all(b"GET /pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    stream.flush().await?;
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer).await);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"web\""), "{answer}");
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    assert_eq!(virt.list(requests).await?, Vec::<Value>::new(), "requests are taken back");

    virt.delete(&format!("{pods}/web"), json!({})).await?;
    virt.until_gone("/api/v1/nodes/node-1").await?;
    host.until_gone(&path).await?;
    passed(playground).await
}

/// Waits for a connection, as the certificate is signed by a controller after a moment.
async fn until_connected(
    playground: &Playground,
    address: SocketAddr,
    name: IpAddr,
    identity: &Identity,
) -> Result<TlsStream<TcpStream>> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match wire::connect_to(playground, address, name, identity).await {
            Err(_) if Instant::now() < end => sleep(Duration::from_millis(50)).await,
            other => return other,
        }
    }
}

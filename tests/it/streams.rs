//! Many streams to pods, and their end when a party dies (faults F32, F33,
//! F44). The behaviour inside a container is tested on a real node.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tenet_playground::{Options, Playground};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::cluster::Cluster;
use crate::harness::{cluster, configured, dir, passed};
use crate::kubelet::wire::{Identity, code, connect, user};

/// Time limit for both sides of a stream to close. It takes moments, but the machine may
/// be busy with other tests.
const CLOSED: Duration = Duration::from_secs(30);

/// Separate playground with a running pod.
struct Lab {
    playground: Playground,
    api_server: SocketAddr,
    admin: Identity,
}

impl Lab {
    async fn start(name: &str, settings: &str) -> Result<Self> {
        let options = Options { dir: Some(dir(name)), syncer_settings: settings.to_owned(), ..Options::default() };
        let playground = Playground::start(options).await?;
        let command = configured(&playground);
        playground.start_syncer(&command).await?;
        let virt = cluster("virtual", playground.virtual_kubeconfig()).await?;
        run(&virt, "web").await?;
        let admin = user(&playground, "admin", Some("system:masters"))?;
        let api_server = SocketAddr::from(([127, 0, 0, 1], playground.virtual_plane().port()));
        Ok(Self { playground, api_server, admin })
    }

    /// Opens an idle stream to the pod, which the virtual API server, the syncer, the
    /// host API server and the kubelet hold.
    async fn stream(&self, what: &str) -> Result<TlsStream<TcpStream>> {
        let mut stream = connect(self.api_server, Some(&self.admin)).await?;
        let request = format!(
            "POST /api/v1/namespaces/default/pods/web/{what} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
             Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\
             X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let answer = answer(&mut stream).await?;
        ensure!(code(&answer) == 101, "{answer}");
        Ok(stream)
    }

    async fn streams(&self, count: usize) -> Result<Vec<TlsStream<TcpStream>>> {
        try_join_all((0..count).map(|_| self.stream("portforward"))).await
    }

    /// Follows a log.
    async fn log(&self) -> Result<TlsStream<TcpStream>> {
        let mut stream = connect(self.api_server, Some(&self.admin)).await?;
        let request =
            "GET /api/v1/namespaces/default/pods/web/log?follow=true HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut some = [0; 4096];
        let read = stream.read(&mut some).await?;
        ensure!(some[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&some[..read]));
        Ok(stream)
    }

    /// Returns the sum of a metric over its labels.
    async fn metric(&self, name: &str) -> Result<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.playground.admin_port())).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let lines = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    async fn until_open(&self, count: f64) -> Result<()> {
        let start = Instant::now();
        loop {
            let open = self.metric("tenet_streams_open").await?;
            if (open - count).abs() < 0.5 {
                return Ok(());
            }
            if start.elapsed() > CLOSED {
                bail!("{open} streams are open after {CLOSED:?}, and there should be {count}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the number of open sockets of the syncer.
    fn sockets(&self) -> Result<usize> {
        let pid = self.playground.syncer_pid().context("no syncer")?;
        let files = std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
        Ok(files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.starts_with("socket:"))).count())
    }

    /// Waits until the number of sockets is back; a few pooled connections may be new.
    async fn until_sockets(&self, before: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let now = self.sockets()?;
            if now <= before + 6 {
                return Ok(());
            }
            if start.elapsed() > Duration::from_secs(100) {
                bail!("{now} sockets are open, and there were {before}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn kill(&self, process: &str) -> Result<()> {
        let file = self.playground.dir().join("pids").join(process);
        kill(&file).with_context(|| file.display().to_string())
    }
}

/// Sends SIGKILL to the process of a pid file.
fn kill(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let pid = text.split_whitespace().next().context("an empty file")?;
    let status = std::process::Command::new("kill").args(["-9", pid]).status()?;
    ensure!(status.success(), "kill -9 {pid}: {status}");
    Ok(())
}

async fn run(virt: &Cluster, name: &str) -> Result<()> {
    let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "nginx"}]});
    let pods = "/api/v1/namespaces/default/pods";
    virt.create(pods, json!({"metadata": {"name": name}, "spec": spec})).await?;
    let running = |pod: &Value| pod["status"]["phase"] == "Running";
    virt.until(&format!("{pods}/{name}"), "running", running).await.map(drop)
}

async fn until_closed(streams: Vec<TlsStream<TcpStream>>) -> Result<()> {
    let ends = streams.into_iter().map(|mut stream| async move {
        let mut rest = Vec::new();
        // The stream has to end, in whatever way.
        drop(timeout(CLOSED, stream.read_to_end(&mut rest)).await.context("a stream is still open")?);
        anyhow::Ok(())
    });
    try_join_all(ends).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_streams_are_open_at_once_and_leave_nothing_behind() -> Result<()> {
    let lab = Lab::start("streams", "").await?;
    lab.streams(10).await?;
    lab.until_open(0.0).await?;
    let before = lab.sockets()?;
    let streams = lab.streams(500).await?;
    lab.until_open(500.0).await?;
    ensure!(lab.metric("tenet_streams_open{endpoint=\"portForward\"}").await? > 499.0);
    drop(streams);
    lab.until_open(0.0).await?;
    lab.until_sockets(before).await?;
    passed(lab.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_both_sides_are_closed() -> Result<()> {
    for victim in ["kwok", "host-kube-apiserver", "virtual-kube-apiserver"] {
        let lab = Lab::start(&format!("fault-{victim}"), "").await?;
        let before = lab.sockets()?;
        let mut streams = lab.streams(20).await?;
        streams.push(lab.log().await?);
        lab.until_open(21.0).await?;
        lab.kill(victim)?;
        until_closed(streams).await.context(victim)?;
        lab.until_open(0.0).await.context(victim)?;
        lab.until_sockets(before).await.context(victim)?;
        passed(lab.playground).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_streams_open_again_and_a_stop_closes_those_that_are() -> Result<()> {
    let lab = Lab::start("stream-restart", "").await?;
    let command = configured(&lab.playground);
    for graceful in [false, true] {
        let streams = lab.streams(50).await?;
        let end = async {
            if graceful {
                lab.playground.stop_syncer().await;
            } else {
                lab.playground.kill_syncer();
            }
        };
        let closed = async { timeout(Duration::from_secs(30), until_closed_at_leisure(streams)).await };
        let (closed, ()) = tokio::join!(closed, end);
        closed.context("streams of a syncer that has ended are still open")??;
        lab.playground.start_syncer(&command).await?;
        let opened = timeout(CLOSED, async {
            while lab.stream("portforward").await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        opened.await.context("no stream opens")?;
    }
    passed(lab.playground).await
}

/// Reads the head of an answer, and the body that it announces.
async fn answer(stream: &mut TlsStream<TcpStream>) -> Result<String> {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lengths = head.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= lengths.next().unwrap_or("0").parse()? {
                return Ok(text.into_owned());
            }
        }
        ensure!(stream.read_buf(&mut answer).await? > 0, "closed: {}", String::from_utf8_lossy(&answer));
    }
}

/// Like [`until_closed`], with more time.
async fn until_closed_at_leisure(streams: Vec<TlsStream<TcpStream>>) -> Result<()> {
    for mut stream in streams {
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_idle_ones_end() -> Result<()> {
    let settings = |port: u16| {
        format!(
            "kubelet: {{ addresses: loopback, port: {port}, streams: {{ total: 6, perPod: 4, idleTimeout: 3s }} }}\n"
        )
    };
    let lab = Lab::start("stream-bounds", &settings(tenet_playground::free_port()?)).await?;
    let virt = cluster("virtual", lab.playground.virtual_kubeconfig()).await?;
    run(&virt, "other").await?;
    let streams = lab.streams(4).await?;
    let error = lab.stream("portforward").await.err().context("a fifth stream")?.to_string();
    ensure!(error.contains("429") && error.contains("too many streams are open to pod default/web"), "{error}");
    until_closed(streams).await.context("idle streams")?;
    lab.until_open(0.0).await?;
    ensure!(lab.metric("tenet_streams_ended_total{endpoint=\"portForward\",reason=\"idle\"}").await? > 3.0);
    passed(lab.playground).await
}

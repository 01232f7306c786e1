//! Replicas: one syncer writes, and another takes over when it ends, however it ends.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{Launch, Options, Process, free_port};
use tokio::time::{Instant, sleep};

use crate::harness::{Separate, configured, in_folder, new_namespace, passed};
use crate::operations::scrape;

const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(10);
/// Longest time after a crash until the standby writes.
const AFTER_CRASH: Duration = Duration::from_secs(5);
/// Longest time after SIGTERM.
const AFTER_TERM: Duration = Duration::from_secs(1);

/// One of several syncers of a playground.
struct Replica {
    process: Process,
    port: u16,
}

struct Rig {
    own: Separate,
    pods: usize,
}

impl Deref for Rig {
    type Target = Separate;

    fn deref(&self) -> &Separate {
        &self.own
    }
}

impl Rig {
    async fn start(name: &str, settings: &str) -> Result<Self> {
        let own = Separate::new(Options { syncer_settings: settings.to_owned(), ..in_folder(name) }).await?;
        own.playground.give_declared_rights(&configured(&own.playground)).await?;
        new_namespace(&own.virt, "shop").await?;
        Ok(Self { own, pods: 0 })
    }

    /// Starts a syncer with ports of its own, but for the kubelets, whose addresses are in the virtual nodes.
    fn replica(&self, name: &str) -> Result<Replica> {
        let mut text = std::fs::read_to_string(self.playground.syncer_config())?;
        let port = free_port()?;
        for section in
            ["admin:\n  listen: 127.0.0.1:", "webhook: { listen: \"127.0.0.1:", "usage: { listen: \"127.0.0.1:"]
        {
            let at = text.find(section).with_context(|| format!("{section} in {text}"))? + section.len();
            let length = text[at..].bytes().take_while(u8::is_ascii_digit).count();
            let port = if section.starts_with("admin") { port } else { free_port()? };
            text.replace_range(at..at + length, &port.to_string());
        }
        let file = self.playground.dir().join(format!("{name}.yaml"));
        std::fs::write(&file, text)?;
        let process = Process::spawn(&Launch {
            name: name.to_owned(),
            program: env!("CARGO_BIN_EXE_tenet-syncer").into(),
            args: vec!["--config".into(), file.into()],
            dir: self.playground.dir().to_owned(),
            env: Vec::new(),
            log: self.playground.dir().join(format!("{name}.log")),
            pid_file: None,
        })?;
        Ok(Replica { process, port })
    }

    async fn create_pod(&mut self) -> Result<String> {
        self.pods += 1;
        let name = format!("p{}", self.pods);
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        self.virt.create("/api/v1/namespaces/shop/pods", pod).await?;
        Ok(self.on_host(&format!("pods/{name}-x-shop-x-vc-1")))
    }

    /// Creates a pod and waits until it is on the host; answers with the time since `start`.
    async fn synced_after(&mut self, start: Instant) -> Result<Duration> {
        let copy = self.create_pod().await?;
        until("the pod on the host", async || Ok(self.host.get(&copy).await?.is_some())).await?;
        Ok(start.elapsed())
    }

    /// The writes of syncers that both API servers have served since an instant, except to the lease.
    fn writes_since(&self, start: time::OffsetDateTime) -> Result<Vec<String>> {
        let logs = [self.playground.host_plane().audit_log(), self.playground.virtual_plane().audit_log()];
        let mut writes = Vec::new();
        for log in logs {
            writes.extend(audited(&log, start)?);
        }
        Ok(writes)
    }
}

fn audited(log: &Path, start: time::OffsetDateTime) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let is_write = |event: &Value| {
        let verb = event["verb"].as_str().unwrap_or_default();
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        let is_review = resource.ends_with("reviews");
        let time = event["requestReceivedTimestamp"].as_str().unwrap_or_default();
        let format = &time::format_description::well_known::Rfc3339;
        event["stage"] == "ResponseComplete"
            && event["user"]["username"] == "tenet-syncer"
            && !matches!(verb, "get" | "list" | "watch")
            && resource != "leases"
            && !is_review
            && !event["requestURI"].as_str().unwrap_or_default().contains("dryRun")
            && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
            && time::OffsetDateTime::parse(time, format).is_ok_and(|time| time >= start)
    };
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = |event: Value| format!("{} {}", event["verb"], event["requestURI"]);
    Ok(events.filter(is_write).map(told).collect())
}

impl Replica {
    async fn readyz(&self) -> String {
        scrape(self.port, "/readyz").await.map(|(_, body)| body).unwrap_or_default()
    }

    async fn until_it_leads(&self) -> Result<()> {
        until("this replica leads", async || {
            let metrics = scrape(self.port, "/metrics").await.map(|(_, body)| body).unwrap_or_default();
            Ok(metrics.contains("tenet_lease_held 1"))
        })
        .await
    }

    async fn until_it_stands_by(&self) -> Result<()> {
        until("this replica stands by", async || {
            let body = self.readyz().await;
            Ok(body.contains("standby: ") && !body.contains("nobody"))
        })
        .await
    }
}

async fn until(what: &str, is: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is().await? {
        ensure!(Instant::now() < end, "not after {PATIENCE:?}: {what}");
        sleep(TICK).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_takes_over_and_a_leader_that_was_stopped_writes_nothing() -> Result<()> {
    let mut rig = Rig::start("lease", "lease: { enabled: true }\n").await?;
    let first = rig.replica("first")?;
    first.until_it_leads().await?;
    rig.synced_after(Instant::now()).await?;

    // A crash.
    let second = rig.replica("second")?;
    second.until_it_stands_by().await?;
    sleep(Duration::from_secs(2)).await;
    let start = Instant::now();
    first.process.kill();
    let took = rig.synced_after(start).await?;
    println!("after a crash: {took:?}");
    ensure!(took <= AFTER_CRASH, "the standby wrote {took:?} after a crash");

    // SIGTERM.
    let third = rig.replica("third")?;
    third.until_it_stands_by().await?;
    sleep(Duration::from_secs(2)).await;
    let start = Instant::now();
    let ended = tokio::spawn(async move { second.process.terminate(PATIENCE).await });
    let took = rig.synced_after(start).await?;
    println!("after SIGTERM: {took:?}");
    ensure!(took <= AFTER_TERM, "the standby wrote {took:?} after SIGTERM");
    ensure!(ended.await?.is_some_and(|status| status.success()), "the leader ends well");

    // A stop of 30 seconds. Both are stopped while there is new work, so each write after the first goes on is its own.
    let fourth = rig.replica("fourth")?;
    fourth.until_it_stands_by().await?;
    third.process.pause();
    fourth.until_it_leads().await?;
    rig.synced_after(Instant::now()).await?;
    sleep(Duration::from_secs(25)).await;
    fourth.process.pause();
    let copy = rig.create_pod().await?;
    let start = time::OffsetDateTime::now_utc();
    third.process.resume();
    until("the former leader ends", async || Ok(third.process.exited().is_some())).await?;
    let (writes, copied) = (rig.writes_since(start)?, rig.host.get(&copy).await?);
    fourth.process.resume();
    ensure!(writes.is_empty(), "the former leader wrote {writes:#?}");
    ensure!(copied.is_none(), "the former leader created a pod");
    rig.host.until(&copy, "created by the new leader", Value::is_object).await?;
    ensure!(third.process.exited().is_some_and(|status| !status.success()), "it says that it has lost the lease");
    passed(rig.own.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_claims_nothing_before_it_holds_the_lease() -> Result<()> {
    let mut rig = Rig::start("lease-claim", "lease: { enabled: true }\n").await?;
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", rig.playground.namespace());
    let lease = format!("{leases}/vc-1-tenet-syncer");
    let held = |round: usize| {
        json!({"holderIdentity": "another", "leaseDurationSeconds": 4, "leaseTransitions": 0,
               "renewTime": format!("2027-01-15T08:00:{round:02}.000000Z")})
    };
    rig.host.create(&leases, json!({"metadata": {"name": "vc-1-tenet-syncer"}, "spec": held(0)})).await?;
    let start = time::OffsetDateTime::now_utc();
    let replica = rig.replica("first")?;
    for round in 1..10 {
        sleep(Duration::from_secs(1)).await;
        rig.host.patch(&lease, json!({"spec": held(round)})).await?;
    }
    let writes = rig.writes_since(start)?;
    ensure!(writes.is_empty(), "a replica that stands by wrote {writes:#?}");
    ensure!(rig.host.get(&rig.on_host("configmaps/tenet-claim-vc-1")).await?.is_none(), "it has claimed the host");
    replica.until_it_leads().await?;
    rig.synced_after(Instant::now()).await?;
    passed(rig.own.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_of_a_replica_that_stands_by_answers() -> Result<()> {
    // A lease that nobody takes over for the time of the test.
    let lease = "lease: { enabled: true, duration: 60s, renewDeadline: 50s, retryPeriod: 2s }\n";
    let mut rig = Rig::start("lease-kubelet", lease).await?;
    let first = rig.replica("first")?;
    first.until_it_leads().await?;
    rig.synced_after(Instant::now()).await?;
    let log = "/api/v1/namespaces/shop/pods/p1/log";
    let is_answered =
        async || Ok(rig.virt.client.request_text(http::Request::get(log).body(Vec::new())?).await.is_ok());
    until("logs of the leader", is_answered).await?;
    let second = rig.replica("second")?;
    second.until_it_stands_by().await?;
    // Both have one address here, so the kubelet of the second opens when the first is gone.
    first.process.kill();
    until("logs of the replica that stands by", is_answered).await?;
    ensure!(second.readyz().await.contains("standby: "), "it does not write: {}", second.readyz().await);
    let (_, metrics) = scrape(second.port, "/metrics").await?;
    ensure!(metrics.contains("tenet_lease_held 0"), "it does not hold the lease");
    passed(rig.own.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_syncers_without_a_lease_lose_nothing_and_write_nothing_at_rest() -> Result<()> {
    let mut rig = Rig::start("twins", "").await?;
    let first = rig.replica("first")?;
    rig.synced_after(Instant::now()).await?;
    let second = rig.replica("second")?;
    until("the second is ready", async || Ok(second.readyz().await.starts_with("ok"))).await?;
    for _ in 0..5 {
        rig.synced_after(Instant::now()).await?;
    }
    rig.virt.delete("/api/v1/namespaces/shop/pods/p2", json!({})).await?;
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    until("a Service", async || Ok(rig.virt.create("/api/v1/namespaces/shop/services", service.clone()).await.is_ok()))
        .await?;
    let pods = "/api/v1/namespaces/shop/pods";
    let is_running = |pod: &Value| pod["status"]["phase"] == "Running";
    rig.virt.until_list(pods, "running", |pods| pods.len() == 5 && pods.iter().all(is_running)).await?;
    // Registrations are looked at every 5 and 15 seconds, and the epoch of the claim follows the last write.
    sleep(Duration::from_secs(25)).await;
    let start = time::OffsetDateTime::now_utc();
    sleep(Duration::from_secs(35)).await;
    let writes = rig.writes_since(start)?;
    ensure!(writes.is_empty(), "two syncers write at rest: {writes:#?}");
    let copies = rig.host.list(&format!("/api/v1/namespaces/{}/pods", rig.playground.namespace())).await?;
    ensure!(copies.len() == 5, "{} pods on the host", copies.len());

    // The one that is registered ends; the other one registers itself.
    second.process.kill();
    let service = json!({"metadata": {"name": "other"}, "spec": {"ports": [{"port": 80}]}});
    until("a Service after the end of a syncer", async || {
        Ok(rig.virt.create("/api/v1/namespaces/shop/services", service.clone()).await.is_ok())
    })
    .await?;
    drop(first);
    passed(rig.own.playground).await
}

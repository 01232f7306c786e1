//! `kill -9` at any instant, then a restart: the same end state, and the same number of
//! creates and deletes, as in an undisturbed run.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{Command, Options};
use tokio::time::sleep;

use crate::cluster::{name, phase};
use crate::fault::{Moment, Plan, Proxy, Script, proxied_syncer};
use crate::harness::{Separate, in_folder, new_namespace, passed};

/// Playground whose syncer talks to both servers through proxies.
struct Rig {
    own: Separate,
    script: Arc<Script>,
    command: Command,
    _proxies: [Proxy; 2],
}

impl Deref for Rig {
    type Target = Separate;

    fn deref(&self) -> &Separate {
        &self.own
    }
}

/// Counts of successful creates and deletes in the host namespace, by kind and name. The parts of
/// names that differ from run to run are removed.
type Counts = BTreeMap<String, usize>;

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_write_changes_nothing() -> Result<()> {
    let rig = Rig::start().await?;
    let reference = rig.run("run-ref", None).await?;
    ensure!(reference.writes > 8, "the walk makes only {} writes", reference.writes);
    for write in 0..reference.writes {
        for moment in [Moment::Before, Moment::At, Moment::After] {
            let run = format!("run-{write}-{moment:?}").to_lowercase();
            let disturbed = rig.run(&run, Some(Plan { write, moment })).await.with_context(|| run.clone())?;
            ensure!(
                disturbed.counts == reference.counts,
                "{run}: creates and deletes differ.\nundisturbed: {:#?}\nkilled: {:#?}\nwrites: {:#?}",
                reference.counts,
                disturbed.counts,
                disturbed.seen,
            );
            ensure!(disturbed.state == reference.state, "{run}: {:#} is not {:#}", disturbed.state, reference.state);
        }
    }
    rig.rest().await?;
    passed(rig.own.playground).await
}

/// Result of a run.
struct Run {
    writes: usize,
    seen: Vec<String>,
    counts: Counts,
    state: Value,
}

impl Rig {
    async fn start() -> Result<Self> {
        let options = Options {
            nodes: 1,
            // With the webhook no Service is stored while the syncer is dead; admission.rs covers that case.
            syncer_settings: "webhook: { enabled: false }\n".to_owned(),
            ..in_folder("crash")
        };
        let (own, script) = (Separate::new(options).await?, Arc::new(Script::default()));
        let (command, proxies) = proxied_syncer(&own.playground, &script).await?;
        Ok(Self { own, script, command, _proxies: proxies })
    }

    /// Runs the walk once in a new namespace, killing the syncer as planned.
    async fn run(&self, run: &str, plan: Option<Plan>) -> Result<Run> {
        new_namespace(&self.virt, run).await?;
        let mut kill = self.script.arm(None);
        self.playground.start_syncer(&self.command).await?;
        // The syncer's own objects for the control plane are not part of the walk.
        sleep(Duration::from_millis(300)).await;
        drop(kill);
        kill = self.script.arm(plan);
        let killer = async {
            if kill.recv().await.is_some() {
                self.playground.kill_syncer();
                self.playground.start_syncer(&self.command).await?;
            }
            std::future::pending::<Result<Value>>().await
        };
        let state = tokio::select! {
            state = self.walk(run) => state?,
            failed = killer => failed?,
        };
        let seen = self.script.seen();
        Ok(Run {
            writes: seen.len(),
            seen: seen.iter().map(|seen| format!("{} {} {}", seen.side, seen.method, seen.path)).collect(),
            counts: self.counts(run)?,
            state,
        })
    }

    /// Creates one object of each kind, waits until the pod runs inside, deletes all, and waits until
    /// nothing is left. Returns the state that the tenant saw in the middle.
    async fn walk(&self, run: &str) -> Result<Value> {
        let at = |rest: &str| format!("/api/v1/namespaces/{run}/{rest}");
        self.virt.create(&at("configmaps"), json!({"metadata": {"name": "c"}, "data": {"k": "v"}})).await?;
        self.virt.create(&at("secrets"), json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}})).await?;
        let port = json!({"port": 80, "name": "http"});
        self.virt
            .create(
                &at("services"),
                json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [port]}}),
            )
            .await?;
        self.virt.create(&at("pods"), pod()).await?;
        let pod = self.virt.until(&at("pods/web"), "running inside", |pod| phase(pod) == "Running").await?;
        let mine = |objects: &[Value]| names(objects, run);
        let host = self.on_host("services");
        for (kind, count) in [("services", 1), ("configmaps", 2), ("secrets", 2)] {
            self.host.until_list(&self.on_host(kind), "complete", |found| mine(found).len() == count).await?;
        }
        let middle = json!({
            "node": pod["spec"]["nodeName"], "phase": pod["status"]["phase"],
            "pods": mine(&self.host.list(&self.on_host("pods")).await?),
            "services": mine(&self.host.list(&host).await?),
            "configmaps": mine(&self.host.list(&self.on_host("configmaps")).await?),
            "secrets": mine(&self.host.list(&self.on_host("secrets")).await?),
        });
        for object in ["pods/web", "services/web", "configmaps/c", "secrets/s"] {
            self.virt.delete(&at(object), json!({})).await?;
        }
        self.virt.until_gone(&at("pods/web")).await?;
        for kind in ["pods", "services", "configmaps", "secrets"] {
            self.host.until_list(&self.on_host(kind), "without the run", |found| mine(found).is_empty()).await?;
        }
        self.virt.until_list("/api/v1/nodes", "empty", <[Value]>::is_empty).await?;
        Ok(middle)
    }

    /// Checks that nothing is written at rest and after a restart.
    async fn rest(&self) -> Result<()> {
        // The epoch of the claim is raised up to ten seconds after the last write.
        sleep(Duration::from_secs(16)).await;
        drop(self.script.arm(None));
        sleep(Duration::from_secs(3)).await;
        self.playground.kill_syncer();
        self.playground.start_syncer(&self.command).await?;
        sleep(Duration::from_secs(3)).await;
        let seen = self.script.seen();
        ensure!(seen.is_empty(), "writes at rest: {seen:#?}");
        Ok(())
    }

    fn on_host(&self, kind: &str) -> String {
        format!("/api/v1/namespaces/{}/{kind}", self.playground.namespace())
    }

    /// Counts the syncer's own requests in the audit log of the host.
    fn counts(&self, run: &str) -> Result<Counts> {
        audited(&self.playground.host_plane().audit_log(), run)
    }
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "web", "image": "web",
                "envFrom": [{"configMapRef": {"name": "c"}}],
                "env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            }],
        },
    })
}

/// Returns the names of objects that belong to a run, with the run removed.
fn names(objects: &[Value], run: &str) -> Vec<String> {
    let infix = format!("-x-{run}-x-");
    objects.iter().map(name).filter(|name| name.contains(&infix)).map(|name| name.replace(run, "RUN")).collect()
}

fn audited(log: &Path, run: &str) -> Result<Counts> {
    let text = std::fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let mut counts = Counts::new();
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let verb = event["verb"].as_str().unwrap_or_default();
        let ok = event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300);
        let target = &event["objectRef"];
        let name = target["name"].as_str().unwrap_or_default();
        let is_ours = event["user"]["username"] == "tenet-syncer" && name.contains(&format!("-x-{run}-x-"));
        if event["stage"] == "ResponseComplete" && ok && is_ours && matches!(verb, "create" | "delete") {
            let kind = target["resource"].as_str().unwrap_or_default();
            *counts.entry(format!("{verb} {kind} {}", name.replace(run, "RUN"))).or_default() += 1;
        }
    }
    Ok(counts)
}

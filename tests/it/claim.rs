//! The claim: a syncer writes only between a host namespace and a virtual cluster that name each other.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{ControlPlane, Playground};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, phase};
use crate::harness::{Separate, configured, in_folder, new_namespace, passed};
use crate::operations::scrape;

/// Time in which a running syncer notices a change of its claim.
const NOTICED: Duration = Duration::from_secs(15);
/// Time in which a syncer with a wrong wiring ends.
const REFUSED: Duration = Duration::from_secs(30);
/// Time in which a write that nothing prevents would have been made.
const QUIET: Duration = Duration::from_secs(5);

struct Rig(Separate);

impl Deref for Rig {
    type Target = Separate;

    fn deref(&self) -> &Separate {
        &self.0
    }
}

impl Rig {
    async fn start(name: &str) -> Result<Self> {
        let rig = Self(Separate::start(in_folder(name)).await?);
        new_namespace(&rig.virt, "shop").await?;
        Ok(rig)
    }

    /// Creates a pod without a controller, and waits until it runs.
    async fn runs(&self, name: &str) -> Result<()> {
        self.virt.create("/api/v1/namespaces/shop/pods", pod(name)).await?;
        self.virt.until(&inside(name), "running", |pod| phase(pod) == "Running").await.map(drop)
    }

    fn copy(&self, name: &str) -> String {
        self.on_host(&format!("pods/{name}-x-shop-x-vc-1"))
    }

    /// Runs a second syncer to its end. It has all rights on both sides, so no missing right hides a mistake.
    async fn refused(&self, args: &[&str]) -> Result<String> {
        let output = timeout(REFUSED, self.command(args).output()).await.context("it does not end")??;
        let said = said(&output);
        ensure!(!output.status.success(), "it ended well:\n{said}");
        Ok(said)
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tenet-syncer"));
        command.args(["--admin-listen", "127.0.0.1:0"]).kill_on_drop(true);
        for (flag, file) in [
            ("--config", self.playground.syncer_config()),
            ("--host-kubeconfig", self.playground.host_kubeconfig()),
            ("--virtual-kubeconfig", self.playground.virtual_kubeconfig()),
        ] {
            if !args.contains(&flag) {
                command.arg(flag).arg(file);
            }
        }
        command.args(args);
        command
    }

    /// Runs `tenet-syncer claim ...`. Returns true if it succeeds, and what it prints.
    async fn claim(&self, args: &[&str]) -> Result<(bool, String)> {
        let output = self.command(&[&["claim"], args].concat()).output().await?;
        Ok((output.status.success(), said(&output)))
    }

    /// Waits until `/readyz` answers 503 with these words.
    async fn until_suspended(&self, words: &str) -> Result<()> {
        let end = Instant::now() + NOTICED;
        loop {
            let (code, body) = scrape(self.playground.admin_port(), "/readyz").await.unwrap_or_default();
            if code == 503 && body.contains("claim: ") && body.contains(words) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "/readyz does not say `{words}`: {code} {body}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for the event that reports a restored store. It is the one write of a suspended syncer.
    async fn until_reported(&self) -> Result<()> {
        let end = Instant::now() + NOTICED;
        loop {
            let events = self.virt.list("/api/v1/events").await?;
            if events.iter().any(|event| event["reason"] == "SyncSuspended") {
                return Ok(());
            }
            ensure!(Instant::now() < end, "no event tells of the suspension: {events:#?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until `/readyz` answers 200.
    async fn until_ready(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(40);
        loop {
            let (code, body) = scrape(self.playground.admin_port(), "/readyz").await.unwrap_or_default();
            if code == 200 {
                return Ok(());
            }
            ensure!(Instant::now() < end, "/readyz: {code} {body}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn has_metric(&self, series: &str) -> Result<bool> {
        Ok(scrape(self.playground.admin_port(), "/metrics").await?.1.lines().any(|line| line == series))
    }

    /// Waits until both halves are bound at one epoch above `before`. Returns it.
    async fn until_epoch_above(&self, before: u64) -> Result<u64> {
        let end = Instant::now() + Duration::from_secs(40);
        let epoch = |half: &Value| half["data"]["epoch"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        loop {
            let host = self.host.get(&self.on_host("configmaps/tenet-claim-vc-1")).await?.unwrap_or_default();
            let virt = self.virt.get(VIRTUAL_HALF).await?.unwrap_or_default();
            if host["data"]["state"] == "bound" && epoch(&host) == epoch(&virt) && epoch(&host) > before {
                return Ok(epoch(&host));
            }
            ensure!(Instant::now() < end, "the epoch is not above {before}: {host} {virt}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The versions of all objects that a syncer may write, on both sides, but for the halves of the claim.
    async fn versions(&self) -> Result<BTreeMap<String, String>> {
        let mut versions = BTreeMap::new();
        let kinds = ["pods", "services", "configmaps", "secrets", "events"];
        let on_host = kinds.map(|kind| (&self.host, self.on_host(kind)));
        let inside = kinds.iter().chain(&["nodes"]).map(|kind| (&self.virt, format!("/api/v1/{kind}")));
        let registered = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
            .map(|kind| (&self.virt, format!("/apis/admissionregistration.k8s.io/v1/{kind}")));
        for (side, path) in on_host.into_iter().chain(inside).chain(registered) {
            for object in side.list(&path).await? {
                let metadata = &object["metadata"];
                let object = format!("{} {path} {}/{}", side.name, metadata["namespace"], metadata["name"]);
                versions.insert(object, metadata["resourceVersion"].to_string());
            }
        }
        versions.retain(|object, _| !object.contains("tenet-claim"));
        Ok(versions)
    }

    /// Checks that nothing is written for some time.
    async fn is_quiet(&self) -> Result<()> {
        let before = self.versions().await?;
        sleep(QUIET).await;
        let after = self.versions().await?;
        let written: Vec<_> =
            before.keys().chain(after.keys()).filter(|&object| before.get(object) != after.get(object)).collect();
        ensure!(written.is_empty(), "something was written: {written:#?}");
        Ok(())
    }
}

const VIRTUAL_HALF: &str = "/api/v1/namespaces/kube-system/configmaps/tenet-claim";

fn pod(name: &str) -> Value {
    let main = json!({"name": "main", "image": "nginx"});
    json!({"metadata": {"name": name}, "spec": {"containers": [main], "terminationGracePeriodSeconds": 1}})
}

fn inside(name: &str) -> String {
    format!("/api/v1/namespaces/shop/pods/{name}")
}

async fn uid(cluster: &Cluster, path: &str) -> Result<String> {
    let object = cluster.get(path).await?.with_context(|| format!("no {path}"))?;
    Ok(object["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Writes in the audit log of a control plane by a syncer other than the first one.
fn foreign_writes(plane: &ControlPlane) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(plane.audit_log())?;
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_write = |event: &Value| {
        let agent = event["userAgent"].as_str().unwrap_or_default();
        let verb = event["verb"].as_str().unwrap_or_default();
        agent.starts_with("tenet-syncer/")
            && event["user"]["username"] != "tenet-syncer"
            && !matches!(verb, "get" | "list" | "watch")
    };
    Ok(events.filter(is_write).map(|event| format!("{} {}", event["verb"], event["requestURI"])).collect())
}

/// A second syncer whose host namespace was another one deleted all bare pods of the tenant within 20 seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_syncer_with_a_wrong_wiring_writes_nothing_and_says_what_differs() -> Result<()> {
    let rig = Rig::start("claim-wiring").await?;
    rig.runs("bare").await?;
    let bare = uid(&rig.virt, &inside("bare")).await?;
    for namespace in ["other", "fresh"] {
        rig.host.create("/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await?;
    }
    let (host, virt) = (rig.playground.host_kubeconfig(), rig.playground.virtual_kubeconfig());
    let (host, virt) = (host.to_str().context("a path")?, virt.to_str().context("a path")?);
    let vcluster = rig.playground.dir().join("vcluster-names.yaml");
    let text = std::fs::read_to_string(rig.playground.syncer_config())?;
    std::fs::write(&vcluster, format!("{text}names: vcluster\n"))?;
    let vcluster = vcluster.to_str().context("a path")?;
    let swapped = ["--host-kubeconfig", virt, "--virtual-kubeconfig", host];

    let wirings: [(&str, &[&str], &[&str]); 7] = [
        (
            "another host namespace",
            &["--host-namespace", "other"],
            &["the virtual half of the claim is for the host namespace", "and this is other", "claim adopt"],
        ),
        ("a host namespace that does not exist", &["--host-namespace", "none"], &["does not exist"]),
        ("host and virtual swapped", &swapped, &["host.namespace", "look swapped"]),
        (
            "a real cluster as virtual, beside the claim",
            &["--virtual-kubeconfig", host],
            &["the host half of the claim is for the virtual cluster with the UID", "claim release"],
        ),
        (
            "a real cluster as virtual, with a fresh host namespace",
            &["--virtual-kubeconfig", host, "--host-namespace", "fresh"],
            &["the node node-", "which is not ours", "real cluster", "claim adopt"],
        ),
        (
            "a renamed virtual cluster",
            &["--name", "vc-9"],
            &["the virtual half of the claim is for the virtual cluster named vc-1, and this is vc-9"],
        ),
        ("another naming scheme", &["--config", vcluster], &["the naming scheme tenet/1, and this is vcluster/1"]),
    ];
    for (what, args, told) in wirings {
        let said = rig.refused(args).await.with_context(|| what.to_owned())?;
        for word in told.iter().chain(&["nothing was written"]) {
            ensure!(said.contains(word), "{what}: `{word}` is not in:\n{said}");
        }
    }
    // A namespace of the same name inside hides nothing.
    let namespace = rig.playground.namespace();
    rig.virt.create("/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await?;
    let said = rig.refused(&swapped).await?;
    ensure!(said.contains("which is not ours") && said.contains("look swapped"), "{said}");

    for plane in [rig.playground.host_plane(), rig.playground.virtual_plane()] {
        assert_eq!(foreign_writes(plane)?, Vec::<String>::new());
    }
    assert_eq!(uid(&rig.virt, &inside("bare")).await?, bare, "the tenant's pod is the same");
    assert_eq!(scrape(rig.playground.admin_port(), "/readyz").await?.0, 200, "the first syncer goes on");
    passed(rig.0.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_half_suspends_all_writes_until_a_person_decides() -> Result<()> {
    let rig = Rig::start("claim-half").await?;
    rig.runs("before").await?;
    let (ok, said) = rig.claim(&["show"]).await?;
    ensure!(ok && said.contains("the claim agrees") && said.contains("tenet-claim-vc-1"), "{said}");
    ensure!(rig.has_metric("tenet_claim_agrees 1").await?, "the metric");

    rig.host.delete(&rig.on_host("configmaps/tenet-claim-vc-1"), json!({})).await?;
    rig.until_suspended("the host half of the claim is missing").await?;
    ensure!(rig.has_metric("tenet_claim_agrees 0").await?, "the metric");
    rig.virt.create("/api/v1/namespaces/shop/pods", pod("waiting")).await?;
    let settings = json!({"metadata": {"name": "settings"}, "data": {"a": "1"}});
    rig.virt.create("/api/v1/namespaces/shop/configmaps", settings).await?;
    rig.host.delete(&rig.copy("before"), json!({"gracePeriodSeconds": 0})).await?;
    rig.host.until_gone(&rig.copy("before")).await?;
    rig.is_quiet().await?;
    ensure!(rig.virt.get(&inside("before")).await?.is_some(), "without a claim an absence proves nothing");

    let (ok, said) = rig.claim(&["adopt"]).await?;
    ensure!(!ok && said.contains("the host half of the claim is missing") && said.contains("add --yes"), "{said}");
    let (ok, said) = rig.claim(&["adopt", "--yes"]).await?;
    ensure!(ok && said.contains("adopted"), "{said}");
    rig.until_ready().await?;
    rig.virt.until(&inside("waiting"), "running", |pod| phase(pod) == "Running").await?;
    rig.virt.until_gone(&inside("before")).await?;

    // Without a claim and with traces of a syncer it is no first start.
    let (ok, said) = rig.claim(&["release", "--yes"]).await?;
    ensure!(ok && said.contains("released"), "{said}");
    rig.until_suspended("both halves of the claim are missing").await?;
    rig.is_quiet().await?;
    rig.playground.stop_syncer().await;
    let said = rig.refused(&[]).await?;
    ensure!(said.contains("both halves of the claim are missing") && said.contains("claim adopt"), "{said}");
    ensure!(rig.virt.get(VIRTUAL_HALF).await?.is_none(), "it was not claimed again");
    rig.claim(&["adopt", "--yes"]).await?;
    rig.playground.start_syncer(&configured(&rig.playground)).await?;
    ensure!(phase(&rig.virt.get(&inside("waiting")).await?.unwrap_or_default()) == "Running", "nothing was lost");
    passed(rig.0.playground).await
}

/// Folder of the store of the virtual cluster.
fn store(playground: &Playground) -> PathBuf {
    playground.dir().join("virtual").join("etcd")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(copied.success(), "cp {} {}", from.display(), to.display());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_virtual_store_is_noticed_and_what_is_newer_is_kept_until_a_person_decides() -> Result<()> {
    let rig = Rig::start("claim-restore").await?;
    rig.runs("old").await?;
    let before = rig.until_epoch_above(1).await?;
    let plane = rig.playground.virtual_plane();
    let (live, backup) = (store(&rig.playground), rig.playground.dir().join("backup"));
    plane.stop();
    copy(&live, &backup)?;
    plane.start_again().await?;
    rig.until_ready().await?;

    rig.runs("new").await?;
    rig.until_epoch_above(before).await?;
    let newer = uid(&rig.host, &rig.copy("new")).await?;
    plane.stop();
    std::fs::remove_dir_all(&live)?;
    copy(&backup, &live)?;
    plane.start_again().await?;
    ensure!(rig.virt.get(&inside("new")).await?.is_none(), "the restore worked");
    rig.until_suspended("the virtual store looks restored from a backup").await?;
    rig.until_reported().await?;
    ensure!(rig.has_metric("tenet_store_restored_total{side=\"virtual\"} 1").await?, "the metric");
    rig.is_quiet().await?;
    assert_eq!(uid(&rig.host, &rig.copy("new")).await?, newer, "what is newer than the backup is kept");

    // A restart changes nothing.
    let said = rig.refused(&[]).await?;
    ensure!(said.contains("looks restored from a backup") && said.contains("claim show"), "{said}");
    let (ok, said) = rig.claim(&["show"]).await?;
    ensure!(ok && said.contains("1 copies on the host have no original"), "{said}");
    ensure!(said.contains("Pod new-x-shop-x-vc-1, the copy of shop/new"), "{said}");
    let (ok, said) = rig.claim(&["adopt", "--yes"]).await?;
    ensure!(ok, "{said}");
    rig.until_ready().await?;
    rig.host.until_gone(&rig.copy("new")).await?;
    ensure!(phase(&rig.virt.get(&inside("old")).await?.unwrap_or_default()) == "Running", "what is older runs on");
    rig.runs("after").await?;
    passed(rig.0.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_virtual_cluster_takes_over_nothing_of_the_old_one() -> Result<()> {
    let rig = Rig::start("claim-recreated").await?;
    rig.runs("old").await?;
    let old = uid(&rig.host, &rig.copy("old")).await?;
    let plane = rig.playground.virtual_plane();
    plane.stop();
    std::fs::remove_dir_all(store(&rig.playground))?;
    plane.start_again().await?;
    rig.until_suspended("the host half of the claim is for the virtual cluster with the UID").await?;
    sleep(QUIET).await;
    assert_eq!(uid(&rig.host, &rig.copy("old")).await?, old, "the pods of the old cluster run on");
    ensure!(rig.virt.get(VIRTUAL_HALF).await?.is_none(), "the new one is not claimed");

    rig.playground.stop_syncer().await;
    let said = rig.refused(&[]).await?;
    ensure!(said.contains("the host half of the claim is for the virtual cluster"), "{said}");
    ensure!(said.contains("claim release"), "{said}");
    let (ok, said) = rig.claim(&["release", "--yes"]).await?;
    ensure!(ok, "{said}");
    rig.playground.start_syncer(&configured(&rig.playground)).await?;
    new_namespace(&rig.virt, "shop").await?;
    rig.virt.create("/api/v1/namespaces/shop/pods", pod("new")).await?;
    sleep(QUIET).await;
    assert_eq!(uid(&rig.host, &rig.copy("old")).await?, old, "what is left of the old one is foreign");
    // The command of the documentation about the leftovers.
    for kind in ["pods", "services", "configmaps", "secrets"] {
        rig.host.delete(&rig.on_host(&format!("{kind}?labelSelector=tenet.sh/managed-by=vc-1")), json!({})).await?;
    }
    rig.virt.until(&inside("new"), "running", |pod| phase(pod) == "Running").await?;
    passed(rig.0.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_namespace_that_is_deleted_and_created_again_takes_no_virtual_pod_with_it() -> Result<()> {
    let rig = Rig::start("claim-namespace").await?;
    // The Role goes with the namespace.
    let all_rights = configured(&rig.playground);
    let all_rights = all_rights.arg("--host-kubeconfig").arg(rig.playground.host_kubeconfig());
    rig.playground.start_syncer(&all_rights).await?;
    rig.runs("bare").await?;
    let bare = uid(&rig.virt, &inside("bare")).await?;

    let namespace = format!("/api/v1/namespaces/{}", rig.playground.namespace());
    rig.host.delete(&namespace, json!({})).await?;
    rig.host.until_gone(&namespace).await?;
    rig.until_suspended("the host namespace").await?;
    rig.host.create("/api/v1/namespaces", json!({"metadata": {"name": rig.playground.namespace()}})).await?;
    rig.until_suspended("the virtual half of the claim is for the host namespace with the UID").await?;
    rig.is_quiet().await?;
    assert_eq!(uid(&rig.virt, &inside("bare")).await?, bare, "an empty namespace proves nothing");

    let (ok, said) = rig.claim(&["adopt", "--yes"]).await?;
    ensure!(ok, "{said}");
    // The running process still has the names and records of the old one.
    let end = Instant::now() + NOTICED;
    while rig.playground.syncer_died().is_none() {
        ensure!(Instant::now() < end, "the syncer goes on with another cluster");
        sleep(Duration::from_millis(100)).await;
    }
    rig.playground.start_syncer(&all_rights).await?;
    rig.runs("after").await?;
    passed(rig.0.playground).await
}

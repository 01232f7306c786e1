//! Each party dies at each step: nothing is left over, and nothing in use is removed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use tenet_playground::Component;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, at, insist, service};
use crate::cluster::name;
use crate::fault::{Moment, Plan};
use crate::harness::passed;

/// Time limit for a planned write.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_at_whatever_step_nothing_is_left_over_and_nothing_in_use_is_removed() -> Result<()> {
    let lab = Lab::start("admission-faults", "Fail").await?;
    syncer_dies(&lab).await?;
    for side in ["virtual", "host"] {
        api_server_dies(&lab, side).await.with_context(|| format!("the API server of the {side} side dies"))?;
    }
    at_rest(&lab).await?;
    passed(lab.own.playground).await
}

/// Kills the syncer at each of its writes: before, at and after it.
async fn syncer_dies(lab: &Lab) -> Result<()> {
    let writes = walk(lab, "undisturbed", None).await?;
    ensure!(writes >= 5, "the walk makes only {writes} writes");
    for write in 0..writes {
        for moment in [Moment::Before, Moment::At, Moment::After] {
            let run = format!("run-{write}-{moment:?}").to_lowercase();
            walk(lab, &run, Some(Plan { write, moment })).await.context(run)?;
        }
    }
    for moment in [Moment::Before, Moment::At, Moment::After] {
        abandon(lab, moment).await.with_context(|| format!("abandoned, {moment:?}"))?;
    }
    Ok(())
}

/// Kills the syncer at the first write for a create that nobody repeats: either the Service is
/// stored and complete, or the host has nothing.
async fn abandon(lab: &Lab, moment: Moment) -> Result<()> {
    let name = format!("abandoned-{moment:?}").to_lowercase();
    let mut kill = lab.script.arm(Some(Plan { write: 0, moment }));
    let created = async {
        let created = lab.virt.create(&at(""), service(&name, &json!({}))).await;
        ensure!(created.is_err() || moment == Moment::After, "{created:?}");
        anyhow::Ok(())
    };
    let killed = async {
        timeout(PATIENCE, kill.recv()).await.context("the write never came")?;
        revive(lab).await
    };
    tokio::try_join!(created, killed)?;
    lab.until_equal().await?;
    lab.virt.delete(&at(&format!("/{name}")), json!({})).await?;
    lab.until_equal().await
}

/// Creates a Service, changes its type and deletes it, each with retries. Returns the number of
/// writes that the syncer made.
async fn walk(lab: &Lab, run: &str, plan: Option<Plan>) -> Result<usize> {
    let mut kill = lab.script.arm(plan);
    let over = CancellationToken::new();
    // A step that is over must not end a restart that has begun. A run may also have more writes
    // than the first, because a conflict adds one.
    let killer = async {
        let killed = tokio::select! {
            biased;
            killed = kill.recv() => killed.is_some(),
            () = over.cancelled() => false,
        };
        if killed { revive(lab).await } else { Ok(()) }
    };
    let steps = async {
        let made = insist(async || lab.virt.apply(&at(&format!("/{run}")), applied(run, "ClusterIP")).await).await?;
        lab.until_equal().await?;
        let changed = insist(async || lab.virt.apply(&at(&format!("/{run}")), applied(run, "NodePort")).await).await?;
        ensure!(changed["spec"]["clusterIP"] == made["spec"]["clusterIP"], "{made:#} {changed:#}");
        lab.until_equal().await?;
        lab.virt.delete(&at(&format!("/{run}")), json!({})).await?;
        lab.until_equal().await?;
        over.cancel();
        Ok(())
    };
    tokio::try_join!(steps, killer)?;
    Ok(lab.script.seen().len())
}

async fn revive(lab: &Lab) -> Result<()> {
    lab.playground.kill_syncer();
    lab.restart().await
}

fn applied(name: &str, kind: &str) -> Value {
    let mut service = service(name, &json!({"type": kind}));
    service["apiVersion"] = json!("v1");
    service["kind"] = json!("Service");
    service
}

/// Kills an API server while many clients create, change and delete.
async fn api_server_dies(lab: &Lab, side: &str) -> Result<()> {
    let plane = if side == "host" { lab.playground.host_plane() } else { lab.playground.virtual_plane() };
    let kept = service("kept", &json!({}));
    insist(async || lab.virt.create(&at(""), kept.clone()).await).await?;
    lab.until_equal().await?;
    let before = uids(lab, "kept").await?;
    let clients = (0..8).map(|client| async move {
        for number in 0..12 {
            let name = format!("{side}-{client}-{number}");
            // A client may give up on a create without knowing whether it succeeded.
            let _ = lab.virt.create(&at(""), service(&name, &json!({"type": "NodePort"}))).await;
            sleep(Duration::from_millis(30)).await;
        }
    });
    let outage = async {
        for pause in [137, 411] {
            sleep(Duration::from_millis(pause)).await;
            plane.kill(Component::ApiServer);
            sleep(Duration::from_millis(150)).await;
            plane.restart(Component::ApiServer).await?;
        }
        anyhow::Ok(())
    };
    let (_, ended) = tokio::join!(join_all(clients), outage);
    ended?;
    crate::harness::until_asked(&lab.virt).await?;
    lab.until_equal().await?;
    ensure!(uids(lab, "kept").await? == before, "what was in use was made anew");
    let all = lab.virt.list(&at("")).await?;
    for service in all.iter().filter(|service| name(service) != "kubernetes") {
        lab.virt.delete(&at(&format!("/{}", name(service))), json!({})).await?;
    }
    lab.until_equal().await
}

async fn uids(lab: &Lab, name: &str) -> Result<BTreeMap<&'static str, Value>> {
    let uid = |object: Option<Value>| object.unwrap_or_default()["metadata"]["uid"].clone();
    let (inside, outside) = (lab.virt.get(&at(&format!("/{name}"))).await?, lab.host.get(&lab.twin(name)).await?);
    Ok(BTreeMap::from([("inside", uid(inside)), ("on the host", uid(outside))]))
}

/// Checks that nothing is written at rest and after a restart.
async fn at_rest(lab: &Lab) -> Result<()> {
    sleep(Duration::from_secs(2)).await;
    drop(lab.script.arm(None));
    lab.restart().await?;
    sleep(Duration::from_secs(3)).await;
    let seen = lab.script.seen();
    ensure!(seen.is_empty(), "writes at rest: {seen:#?}");
    Ok(())
}

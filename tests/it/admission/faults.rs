//! Each party dies at each step: nothing is left over, and nothing in use is taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use tenet_playground::Component;
use tokio::time::sleep;

use super::lab::{Lab, service};
use crate::cluster::name;
use crate::fault::{Moment, Plan};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_at_whatever_step_nothing_is_left_over_and_nothing_in_use_is_removed() -> Result<()> {
    let lab = Lab::start("admission-faults", "Fail").await?;
    syncer_dies(&lab).await?;
    for side in ["virtual", "host"] {
        api_server_dies(&lab, side).await.with_context(|| format!("the API server of the {side} side dies"))?;
    }
    at_rest(&lab).await
}

/// The syncer, at each of its writes: before, at and after it.
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

/// The syncer dies at the first write for a create, and nobody tries again: if the Service is
/// there it is whole, and if not, the host has nothing.
async fn abandon(lab: &Lab, moment: Moment) -> Result<()> {
    let name = format!("abandoned-{moment:?}").to_lowercase();
    let mut kill = lab.script.arm(Some(Plan { write: 0, moment }));
    let created = async {
        let created = lab.virt.create(&lab.at(""), service(&name, json!({}))).await;
        ensure!(created.is_err() || moment == Moment::After, "{created:?}");
        anyhow::Ok(())
    };
    let killed = async {
        kill.recv().await.context("nobody is killed")?;
        lab.playground.kill_syncer();
        lab.restart().await
    };
    tokio::try_join!(created, killed)?;
    lab.until_equal().await?;
    lab.virt.delete(&lab.at(&format!("/{name}")), json!({})).await?;
    lab.until_equal().await
}

/// Creates a Service, changes its type and deletes it, as often as it takes; answers with how
/// many writes the syncer made.
async fn walk(lab: &Lab, run: &str, plan: Option<Plan>) -> Result<usize> {
    let mut kill = lab.script.arm(plan);
    let killer = async {
        if kill.recv().await.is_some() {
            lab.playground.kill_syncer();
            lab.restart().await?;
        }
        std::future::pending::<Result<()>>().await
    };
    let steps = async {
        let made =
            lab.insist(async || lab.virt.apply(&lab.at(&format!("/{run}")), applied(run, "ClusterIP")).await).await?;
        lab.until_equal().await?;
        let changed =
            lab.insist(async || lab.virt.apply(&lab.at(&format!("/{run}")), applied(run, "NodePort")).await).await?;
        ensure!(changed["spec"]["clusterIP"] == made["spec"]["clusterIP"], "{made:#} {changed:#}");
        lab.until_equal().await?;
        lab.virt.delete(&lab.at(&format!("/{run}")), json!({})).await?;
        lab.until_equal().await
    };
    tokio::select! {
        done = steps => done?,
        failed = killer => failed?,
    }
    Ok(lab.script.seen().len())
}

fn applied(name: &str, kind: &str) -> Value {
    let mut service = service(name, json!({"type": kind}));
    service["apiVersion"] = json!("v1");
    service["kind"] = json!("Service");
    service
}

/// An API server, while many clients create, change and delete.
async fn api_server_dies(lab: &Lab, side: &str) -> Result<()> {
    let plane = if side == "host" { lab.playground.host_plane() } else { lab.playground.virtual_plane() };
    let kept = service("kept", json!({}));
    lab.insist(async || lab.virt.create(&lab.at(""), kept.clone()).await).await?;
    lab.until_equal().await?;
    let before = uids(lab, "kept").await?;
    let clients = (0..8).map(|client| async move {
        for number in 0..12 {
            let name = format!("{side}-{client}-{number}");
            // Who creates may give up, and may not know whether it is there.
            let _ = lab.virt.create(&lab.at(""), service(&name, json!({"type": "NodePort"}))).await;
            sleep(Duration::from_millis(30)).await;
        }
    });
    let killer = async {
        for pause in [137, 411] {
            sleep(Duration::from_millis(pause)).await;
            plane.kill(Component::ApiServer);
            sleep(Duration::from_millis(150)).await;
            plane.restart(Component::ApiServer).await?;
        }
        anyhow::Ok(())
    };
    let (_, killed) = tokio::join!(join_all(clients), killer);
    killed?;
    crate::harness::until_asked(&lab.virt).await?;
    lab.until_equal().await?;
    ensure!(uids(lab, "kept").await? == before, "what was in use was made anew");
    let all = lab.virt.list(&lab.at("")).await?;
    for service in all.iter().filter(|service| name(service) != "kubernetes") {
        lab.virt.delete(&lab.at(&format!("/{}", name(service))), json!({})).await?;
    }
    lab.until_equal().await
}

async fn uids(lab: &Lab, name: &str) -> Result<BTreeMap<&'static str, Value>> {
    let uid = |object: Option<Value>| object.unwrap_or_default()["metadata"]["uid"].clone();
    let (inside, outside) = (lab.virt.get(&lab.at(&format!("/{name}"))).await?, lab.host.get(&lab.twin(name)).await?);
    Ok(BTreeMap::from([("inside", uid(inside)), ("on the host", uid(outside))]))
}

/// At rest, and after a restart, nothing is written.
async fn at_rest(lab: &Lab) -> Result<()> {
    sleep(Duration::from_secs(2)).await;
    drop(lab.script.arm(None));
    lab.restart().await?;
    sleep(Duration::from_secs(3)).await;
    let seen = lab.script.seen();
    ensure!(seen.is_empty(), "writes at rest: {seen:#?}");
    Ok(())
}

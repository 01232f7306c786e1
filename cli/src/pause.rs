//! `tenet pause` and `tenet resume`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tenet_translate::keys::MANAGED_BY;
use tokio::time::sleep;

use crate::create::{stateful_set, text, until_ready};
use crate::host::{Host, HostArgs};
use crate::steps::Steps;

/// Stop the control plane of a virtual cluster and its pods on the host.
///
/// The objects inside are kept. Pods of Deployments and other controllers come back; a pod without a controller is
/// deleted, as if its node had failed.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
}

/// Start a paused virtual cluster again.
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
}

const LIMIT: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub(crate) async fn pause(args: &PauseArgs) -> Result<()> {
    let host = args.host.connect().await?;
    stateful_set(&host, &args.name).await?;
    let mut steps = Steps::new();
    steps.say("stopping the control plane");
    scale(&host, &args.name, 0).await?;
    let pods = format!("/api/v1/namespaces/{}/pods", host.namespace);
    let own = format!("{pods}?labelSelector={}%3D{}", tenet_translate::keys::CONTROL_PLANE, args.name);
    until_none(&host, &own, &mut steps).await?;
    // The syncer is gone, so nobody takes the end of the pods for a wish of the host.
    steps.say("deleting the pods of the tenant on the host");
    let of_tenant = format!("{pods}?labelSelector={MANAGED_BY}%3D{}", args.name);
    for pod in host.api.list(&of_tenant).await? {
        let metadata = &pod["metadata"];
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": metadata["uid"]}});
        match host.api.delete(&format!("{pods}/{}", text(&metadata["name"])), &options).await {
            Err(error) if error.code() == Some(409) => {}
            other => drop(other.context("cannot delete a pod of the tenant")?),
        }
    }
    until_none(&host, &of_tenant, &mut steps).await?;
    steps.say(&format!("virtual cluster {} is paused", args.name));
    Ok(())
}

pub(crate) async fn resume(args: &ResumeArgs) -> Result<()> {
    let host = args.host.connect().await?;
    stateful_set(&host, &args.name).await?;
    let mut steps = Steps::new();
    steps.say("starting the control plane");
    scale(&host, &args.name, 1).await?;
    until_ready(&host, &args.name, LIMIT, &mut steps).await?;
    steps.say(&format!("virtual cluster {} runs", args.name));
    Ok(())
}

async fn scale(host: &Host, name: &str, replicas: u32) -> Result<()> {
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets/{name}", host.namespace);
    let change = json!({"spec": {"replicas": replicas}});
    host.api.merge(&path, &change).await.map(drop).context("cannot scale the control plane")
}

async fn until_none(host: &Host, path: &str, steps: &mut Steps) -> Result<()> {
    let end = steps.elapsed() + LIMIT;
    loop {
        let left = host.api.list(path).await?;
        let Some(first) = left.first() else { return Ok(()) };
        let name = text(&first["metadata"]["name"]);
        steps.say(&format!("waiting for the end of {} pod(s), such as {name}", left.len()));
        if steps.elapsed() > end {
            bail!("pod {name} has not ended after {} s: repeat the command to go on", LIMIT.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}

//! `tenet pause` and `tenet resume`.

mod bare_pods;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tenet_translate::keys::{CONTROL_PLANE, MANAGED_BY, PAUSED_PODS};
use tokio::time::sleep;

use crate::create::{stateful_set, text, until_ready};
use crate::host::{Host, HostArgs};
use crate::inside::Inside;
use crate::steps::Steps;
use crate::workloads::Namespaces;

/// Stop the control plane of a virtual cluster and its pods on the host.
///
/// The objects inside are kept. At `resume`, controllers make their pods again, and pods without a controller are
/// created again with the same name and spec.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Pause even if pods without a controller cannot be kept.
    #[arg(long)]
    force: bool,
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
    let set = stateful_set(&host, &args.name).await?;
    let namespaces = Namespaces::of(host, &args.name).await?;
    let host = &namespaces.control_plane;
    let mut steps = Steps::new();
    if set["spec"]["replicas"] != 0 {
        if is_paused(&set) && !args.force {
            bail!(
                "a resume was interrupted: finish it with tenet resume {}, or its pods are lost (--force)",
                args.name
            );
        }
        steps.say("keeping the pods that have no controller");
        if !is_paused(&set) {
            // Those of a run that was interrupted before the pause: their pods run, or were deleted since.
            bare_pods::forget(host, &args.name).await?;
        }
        let kept = async {
            let inside = Inside::connect(host, &args.name).await?;
            bare_pods::keep(host, &args.name, &inside.api).await
        };
        match kept.await {
            Ok(count) => steps.say(&format!("{count} pod(s) without a controller are created again by tenet resume")),
            Err(error) if args.force => steps.say(&format!("pods without a controller are lost: {error:#}")),
            Err(error) => {
                return Err(error.context("pods without a controller would be lost; --force pauses all the same"));
            }
        }
    }
    steps.say("stopping the control plane");
    // One write says that the kept pods end from now on.
    scale(host, &args.name, 0, Some("true")).await?;
    end_pods(&namespaces, &args.name, &mut steps).await?;
    steps.say(&format!("virtual cluster {} is paused", args.name));
    Ok(())
}

/// Waits for the end of the control plane, and deletes the pods of the tenant on the host.
async fn end_pods(namespaces: &Namespaces, name: &str, steps: &mut Steps) -> Result<()> {
    let Namespaces { control_plane, workloads: host } = namespaces;
    let own = format!("/api/v1/namespaces/{}/pods?labelSelector={CONTROL_PLANE}%3D{name}", control_plane.namespace);
    until_none(control_plane, &own, steps).await?;
    let pods = format!("/api/v1/namespaces/{}/pods", host.namespace);
    // The syncer has ended, so it does not delete the pods inside as pods that the host has ended.
    steps.say("deleting the pods of the tenant on the host");
    let of_tenant = format!("{pods}?labelSelector={MANAGED_BY}%3D{name}");
    for pod in host.api.list(&of_tenant).await? {
        let metadata = &pod["metadata"];
        match host.api.delete_one(&format!("{pods}/{}", text(&metadata["name"])), &metadata["uid"]).await {
            Err(error) if error.code() == Some(409) => {}
            other => drop(other.context("cannot delete a pod of the tenant")?),
        }
    }
    until_none(host, &of_tenant, steps).await
}

pub(crate) async fn resume(args: &ResumeArgs) -> Result<()> {
    let host = args.host.connect().await?;
    let set = stateful_set(&host, &args.name).await?;
    let namespaces = Namespaces::of(host, &args.name).await?;
    let host = &namespaces.control_plane;
    let mut steps = Steps::new();
    if set["spec"]["replicas"] == 0 {
        // A pause that was interrupted may have left pods on the host, which would be created a second time.
        end_pods(&namespaces, &args.name, &mut steps).await?;
        steps.say("starting the control plane");
        scale(host, &args.name, 1, None).await?;
    }
    until_ready(host, &args.name, LIMIT, &mut steps).await?;
    if is_paused(&set) {
        let inside = Inside::connect(host, &args.name).await?;
        let restored = bare_pods::restore(host, &args.name, &inside.api).await?;
        if restored > 0 {
            steps.say(&format!("{restored} pod(s) without a controller were created again"));
        }
        let done = json!({"metadata": {"annotations": {PAUSED_PODS: null}}});
        host.api.merge(&path(host, &args.name), &done).await.context("cannot end the pause")?;
    }
    steps.say(&format!("virtual cluster {} runs", args.name));
    Ok(())
}

/// Returns true from the write that stops the control plane until a resume has created the kept pods again.
fn is_paused(set: &Value) -> bool {
    !set["metadata"]["annotations"][PAUSED_PODS].is_null()
}

fn path(host: &Host, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{}/statefulsets/{name}", host.namespace)
}

/// Sets the number of control planes, and the annotation of a pause if there is a value for it.
async fn scale(host: &Host, name: &str, replicas: u32, paused: Option<&str>) -> Result<()> {
    let mut change = json!({"spec": {"replicas": replicas}});
    if let Some(paused) = paused {
        change["metadata"] = json!({"annotations": {PAUSED_PODS: paused}});
    }
    host.api.merge(&path(host, name), &change).await.map(drop).context("cannot scale the control plane")
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

//! The syncer is killed while it holds the pods, and started again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{AFTERMATH, Pods, seconds};
use crate::admin::Admin;
use crate::args::Args;
use crate::lab::{self, Lab};
use crate::pods;
use crate::results::Restart;
use crate::subject::command;
use crate::usage;

const LIMIT: Duration = Duration::from_secs(120);

/// Two starts: one is left alone, one finds a new pod.
pub async fn restart(args: &Args, lab: &Lab) -> Result<Restart> {
    let command = command(args, lab);
    lab.playground.kill_syncer();
    let (mark, start) = (lab.mark()?, Instant::now());
    lab.playground.launch_syncer(&command)?;
    Admin(lab.playground.admin_port()).until_converged(LIMIT).await?;
    let converged_seconds = seconds(start);
    let cpu_millis = usage::cpu_millis(lab.playground.syncer_pid().context("there is no syncer")?);
    sleep(AFTERMATH).await;
    let calls = lab.calls(&mark)?;

    lab.playground.kill_syncer();
    let probe = Pods::of_batch(lab, "probe", 1).await?;
    lab::create_one(&lab.virt, pods::NAMESPACE, "probe", pods::name("probe", 0)).await?;
    let start = Instant::now();
    lab.playground.launch_syncer(&command)?;
    probe.outside.until("until the next pod is on the host", |now| now.added == 1).await?;
    let next_pod_seconds = seconds(start);
    probe.until_running().await?;
    Ok(Restart { converged_seconds, cpu_millis, calls, next_pod_seconds })
}

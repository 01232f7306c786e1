//! Nothing changes.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::args::Args;
use crate::lab::Lab;
use crate::results::Rest;
use crate::usage::{self, Memory};

/// Looks at what the syncer does when there is nothing to do.
pub async fn rest(args: &Args, lab: &Lab) -> Result<Rest> {
    let pid = lab.playground.syncer_pid().context("there is no syncer")?;
    let (mark, cpu) = (lab.mark()?, usage::cpu_millis(pid));
    sleep(Duration::from_secs(args.rest_seconds)).await;
    Ok(Rest {
        seconds: args.rest_seconds,
        calls: lab.calls(&mark)?,
        cpu_millis: usage::cpu_millis(pid) - cpu,
        memory: Memory::of(pid),
    })
}

//! Memory of idle streams.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::sleep;

use crate::admin::Admin;
use crate::args::Args;
use crate::job;
use crate::lab::Lab;
use crate::link::Link;
use crate::spot::Way;
use crate::usage::Memory;

/// Pause after which allocators have returned most of the free memory.
const SETTLE: Duration = Duration::from_secs(12);
/// Number of streams for the warm-up.
const WARM_UP: usize = 10;

/// Memory of the syncer.
pub struct Idle {
    /// Number of idle streams.
    pub streams: usize,
    /// Memory without streams.
    pub before: Memory,
    /// Memory with all streams.
    pub with: Memory,
    /// Memory after the streams have ended.
    pub after: Memory,
}

/// Opens streams that have carried one byte each way, and measures the memory of a new syncer.
pub async fn measure(args: &Args, lab: &Lab) -> Result<Idle> {
    eprintln!("memory: {} idle streams", args.idle);
    lab.restart_syncer().await?;
    hold(lab, WARM_UP).await?;
    let weigh = || Memory::of(lab.playground.syncer_pid().unwrap_or(0));
    sleep(SETTLE).await;
    let before = weigh();
    let held = hold(lab, args.idle).await?;
    sleep(SETTLE).await;
    let with = weigh();
    drop(held);
    sleep(SETTLE).await;
    until_gone(lab).await?;
    Ok(Idle { streams: args.idle, before, with, after: weigh() })
}

async fn hold(lab: &Lab, count: usize) -> Result<Vec<impl Sized>> {
    let spot = lab.spot(Way::Through);
    let mut held = Vec::new();
    for _ in 0..count {
        let (mut writer, mut reader, data) = job::forward(Link::open(spot).await?, spot).await?;
        writer.write(data, b"x", false).await?;
        ensure!(reader.read(data).await?.as_ref() == b"x", "unexpected answer of the echo server");
        held.push((writer, reader));
    }
    Ok(held)
}

async fn until_gone(lab: &Lab) -> Result<()> {
    for _ in 0..100 {
        if Admin(lab.playground.admin_port()).open().await? == 0.0 {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("streams are still open after their clients have ended")
}

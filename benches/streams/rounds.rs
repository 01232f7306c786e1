//! Rounds: every stream each way in turns, so that disturbances affect all of them.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::admin::Admin;
use crate::args::Args;
use crate::job::Job;
use crate::lab::Lab;
use crate::link::Link;
use crate::samples::Samples;
use crate::spot::Way;
use crate::usage;

/// Processes that a stream passes.
pub const PROCESSES: [&str; 4] = ["syncer", "virtual API server", "host API server", "kwok"];
/// Number of streams for the warm-up.
const WARM_UP: usize = 5;

/// First bytes of one job, in milliseconds.
pub struct First {
    /// Job.
    pub job: Job,
    /// Samples in the order of [`Way::ALL`].
    pub ways: [Samples; 3],
    /// Average time that the syncer reports for opening one.
    pub inside: f64,
}

/// Throughput of one job.
pub struct Bulk {
    /// Job.
    pub job: Job,
    /// MB per second, in the order of [`Way::ALL`].
    pub ways: [Samples; 3],
    /// CPU seconds per GB, of the [`PROCESSES`].
    pub cpu: [[Samples; 4]; 3],
}

/// All first bytes, and the duration of the handshake of an API server with the node.
pub struct Firsts {
    /// First bytes of each job.
    pub jobs: Vec<First>,
    /// TCP and TLS handshake with the node, in milliseconds.
    pub handshake: Samples,
}

/// Measures first bytes.
pub async fn first_bytes(args: &Args, lab: &Lab) -> Result<Firsts> {
    let mut jobs = Vec::new();
    for job in Job::FIRST.into_iter().filter(|job| args.measures(job.name())) {
        eprintln!("first byte: {}", job.name());
        jobs.push(first_byte(args, lab, job).await.context(job.name())?);
    }
    let mut handshake = Samples::default();
    for _ in 0..args.rounds {
        let start = Instant::now();
        Link::open(lab.spot(Way::Node)).await?;
        handshake.0.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(Firsts { jobs, handshake })
}

async fn first_byte(args: &Args, lab: &Lab, job: Job) -> Result<First> {
    let admin = Admin(lab.playground.admin_port());
    let mut ways: [Samples; 3] = Default::default();
    let mut before = None;
    for round in 0..args.rounds + WARM_UP {
        if round == WARM_UP {
            before = Some(admin.opened(job.endpoint()).await?);
        }
        for way in Way::ALL {
            let took = job.first_byte(lab.spot(way)).await.with_context(|| format!("{way:?}"))?;
            if round >= WARM_UP {
                ways[way as usize].0.push(took.as_secs_f64() * 1000.0);
            }
        }
    }
    let (after, before) = (admin.opened(job.endpoint()).await?, before.unwrap_or_default());
    let inside = (after.seconds - before.seconds) * 1000.0 / (after.count - before.count);
    Ok(First { job, ways, inside })
}

/// Measures throughput.
pub async fn bulk(args: &Args, lab: &Lab) -> Result<Vec<Bulk>> {
    let mut all = Vec::new();
    for job in Job::BULK.into_iter().filter(|job| args.measures(job.name())) {
        eprintln!("throughput: {}", job.name());
        let mut bulk = Bulk { job, ways: Default::default(), cpu: Default::default() };
        for _ in 0..args.bulk_rounds {
            for way in Way::ALL {
                one_bulk(args, lab, way, &mut bulk).await.with_context(|| format!("{}: {way:?}", job.name()))?;
            }
        }
        all.push(bulk);
    }
    Ok(all)
}

#[allow(clippy::cast_precision_loss)] // A precision of 52 bits is enough for a report.
async fn one_bulk(args: &Args, lab: &Lab, way: Way, bulk: &mut Bulk) -> Result<()> {
    let pids = lab.pids();
    let before = pids.map(usage::cpu_millis);
    let took = bulk.job.bulk(lab.spot(way), args.bytes()).await?;
    bulk.ways[way as usize].0.push(args.megabytes as f64 / took.as_secs_f64());
    for (index, pid) in pids.into_iter().enumerate() {
        let used = usage::cpu_millis(pid).saturating_sub(before[index]);
        bulk.cpu[way as usize][index].0.push(used as f64 / args.megabytes as f64);
    }
    Ok(())
}

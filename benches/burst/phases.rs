//! The phases of a measurement: burst, trickle, rest, restart, delete.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::admin::Admin;
use crate::api::Api;
use crate::args::Args;
use crate::lab::{self, Lab};
use crate::meter::Meter;
use crate::pods;
use crate::quantiles::Quantiles;
use crate::results::{Burst, Churn, Delete, Lags, Rest, Restart, Trickle};
use crate::subject::command;
use crate::timeline::Timeline;
use crate::usage::{self, Memory};

/// Pods of one batch: where they are created, and the timelines of the sides on which they appear.
pub struct Pods {
    api: Api,
    namespace: String,
    batch: &'static str,
    count: usize,
    inside: Option<Timeline>,
    outside: Timeline,
}

impl Pods {
    /// Creates the batch directly on the host.
    pub async fn on_host(lab: &Lab, count: usize) -> Result<Self> {
        let outside = lab.outside("main").await?;
        let namespace = lab.namespace().to_owned();
        Ok(Self { api: lab.host.clone(), namespace, batch: "main", count, inside: None, outside })
    }

    /// Creates the batch in the virtual cluster.
    pub async fn inside(lab: &Lab, count: usize) -> Result<Self> {
        Self::of_batch(lab, "main", count).await
    }

    async fn of_batch(lab: &Lab, batch: &'static str, count: usize) -> Result<Self> {
        let (inside, outside) = tokio::try_join!(lab.inside(batch), lab.outside(batch))?;
        let namespace = pods::NAMESPACE.to_owned();
        Ok(Self { api: lab.virt.clone(), namespace, batch, count, inside: Some(inside), outside })
    }

    /// Waits until all are Running on the side where they were created.
    async fn until_running(&self) -> Result<()> {
        let timeline = self.inside.as_ref().unwrap_or(&self.outside);
        timeline.until("until all pods are Running", |now| now.running >= self.count).await
    }

    /// Waits until both sides are empty.
    async fn until_gone(&self) -> Result<()> {
        for timeline in self.inside.iter().chain([&self.outside]) {
            timeline.until("until all pods are gone", |now| now.gone >= self.count).await?;
        }
        Ok(())
    }

    /// Returns the lags of the pods, from the answer to the create or the watch event, whichever came first.
    fn lags(&self, created: &[(String, Instant)]) -> Option<Lags> {
        let inside = self.inside.as_ref()?;
        let (mut down, mut up) = (Vec::new(), Vec::new());
        for (name, answered) in created {
            let (virt, host) = (inside.of(name), self.outside.of(name));
            let seen = virt.added.map_or(*answered, |added| added.min(*answered));
            down.extend(host.added.map(|there| there.saturating_duration_since(seen)));
            up.extend(virt.running.zip(host.running).map(|(here, there)| here.saturating_duration_since(there)));
        }
        Some(Lags { down: Quantiles::of(down), up: Quantiles::of(up) })
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// Time in which late calls still count for the phase.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Creates the pods and waits until all are Running.
pub async fn burst(lab: &Lab, pods: &Pods) -> Result<Burst> {
    let closed = lab.closed_watches().await?;
    let (mark, meter, start) = (lab.mark()?, Meter::start(&lab.playground), Instant::now());
    let answers = lab::create(&pods.api, &pods.namespace, pods.batch, pods.count).await?;
    let created_seconds = seconds(start);
    pods.until_running().await?;
    let seconds = seconds(start);
    sleep(AFTERMATH).await;
    let now = lab.closed_watches().await?;
    Ok(Burst {
        seconds,
        created_seconds,
        lags: pods.lags(&answers),
        calls: lab.calls(&mark)?,
        cpu: meter.read(),
        closed_watches: [now[0] - closed[0], now[1] - closed[1]],
        others_percent: meter.others_percent()?,
    })
}

/// Deletes the pods and waits until no side has any.
pub async fn delete(lab: &Lab, pods: &Pods) -> Result<Delete> {
    let (mark, meter, start) = (lab.mark()?, Meter::start(&lab.playground), Instant::now());
    lab::delete(&pods.api, &pods.namespace, pods.batch, pods.count).await?;
    pods.until_gone().await?;
    let seconds = seconds(start);
    sleep(AFTERMATH).await;
    Ok(Delete { seconds, calls: lab.calls(&mark)?, cpu: meter.read() })
}

/// Time after which a syncer has given back the memory of objects that are gone: it compacts its tables every 30
/// seconds.
const COMPACTED: Duration = Duration::from_secs(75);

/// Lets pods come and go in waves.
pub async fn churn(args: &Args, lab: &Lab) -> Result<Churn> {
    let pid = lab.playground.syncer_pid().context("there is no syncer")?;
    let (start, idle, mut waves, mut pods) = (Instant::now(), Memory::of(pid), Vec::new(), 0);
    while pods < args.churn_pods {
        let wave = Pods::of_batch(lab, "churn", args.pods).await?;
        lab::create(&wave.api, &wave.namespace, wave.batch, wave.count).await?;
        wave.until_running().await?;
        lab::delete(&wave.api, &wave.namespace, wave.batch, wave.count).await?;
        wave.until_gone().await?;
        pods += wave.count;
        let memory = Memory::of(pid);
        eprintln!("{pods} pods came and went: {} KiB", memory.resident);
        waves.push(memory);
    }
    let seconds = seconds(start);
    sleep(COMPACTED).await;
    Ok(Churn { pods, seconds, idle, waves, settled: Memory::of(pid) })
}

/// Measures what the syncer does while nothing changes.
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

/// Time limit for a restarted syncer to converge.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures two starts: one without changes, one with a new pod.
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

/// Creates a pod at every tick, independent of the previous one.
pub async fn trickle(args: &Args, lab: &Lab) -> Result<Trickle> {
    let pods = Pods::of_batch(lab, "trickle", args.trickle_pods).await?;
    let meter = Meter::start(&lab.playground);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / args.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut creates = JoinSet::new();
    for number in 0..pods.count {
        ticks.tick().await;
        let (api, name) = (pods.api.clone(), pods::name(pods.batch, number));
        creates.spawn(async move { lab::create_one(&api, pods::NAMESPACE, "trickle", name).await });
    }
    let answers: Vec<_> = creates.join_all().await.into_iter().collect::<Result<_>>()?;
    pods.until_running().await?;
    let cpu = meter.read();
    let lags = pods.lags(&answers).unwrap_or(Lags { down: None, up: None });
    Ok(Trickle { pods: pods.count, lags, cpu })
}

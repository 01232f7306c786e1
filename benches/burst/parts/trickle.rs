//! Pods at a steady rate.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Pods;
use crate::args::Args;
use crate::lab::{self, Lab};
use crate::meter::Meter;
use crate::pods;
use crate::results::Trickle;

/// Creates a pod at every tick, whatever became of the last one.
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
    let lags = pods.lags(&answers).unwrap_or(crate::results::Lags { down: None, up: None });
    Ok(Trickle { pods: pods.count, lags, cpu })
}

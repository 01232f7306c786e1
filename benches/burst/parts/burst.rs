//! All pods at once.

use std::time::Instant;

use anyhow::Result;
use tokio::time::sleep;

use super::{AFTERMATH, Pods, seconds};
use crate::lab::{self, Lab};
use crate::meter::Meter;
use crate::results::Burst;

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

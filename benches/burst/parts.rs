//! The parts of a measurement.

mod burst;
mod delete;
mod rest;
mod restart;
mod trickle;

use std::time::{Duration, Instant};

use anyhow::Result;

pub use burst::burst;
pub use delete::delete;
pub use rest::rest;
pub use restart::restart;
pub use trickle::trickle;

use crate::api::Api;
use crate::lab::Lab;
use crate::pods;
use crate::quantiles::Quantiles;
use crate::results::Lags;
use crate::timeline::Timeline;

/// Pods of one batch: where they are created, and the timelines of the sides on which they come to be.
pub struct Pods {
    api: Api,
    namespace: String,
    batch: &'static str,
    count: usize,
    inside: Option<Timeline>,
    outside: Timeline,
}

impl Pods {
    /// Created straight on the host.
    pub async fn on_host(lab: &Lab, count: usize) -> Result<Self> {
        let outside = lab.outside("main").await?;
        let namespace = lab.namespace().to_owned();
        Ok(Self { api: lab.host.clone(), namespace, batch: "main", count, inside: None, outside })
    }

    /// Created in the virtual cluster.
    pub async fn inside(lab: &Lab, count: usize) -> Result<Self> {
        Self::of_batch(lab, "main", count).await
    }

    async fn of_batch(lab: &Lab, batch: &'static str, count: usize) -> Result<Self> {
        let (inside, outside) = tokio::try_join!(lab.inside(batch), lab.outside(batch))?;
        let namespace = pods::NAMESPACE.to_owned();
        Ok(Self { api: lab.virt.clone(), namespace, batch, count, inside: Some(inside), outside })
    }

    /// Waits until all are Running where they were created.
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

    /// The way of each pod, from the answer to its create or the watcher's word, whichever came first.
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

/// Late calls belong to a part as well.
const AFTERMATH: Duration = Duration::from_secs(2);

//! Rest of a world: waits for it, deletes everything, and shows that nothing is left.

use std::time::Duration;

use tenet_syncer::embed::Sizes;
use tokio::time::{Instant, sleep};

use super::World;
use crate::network::Clusters;
use crate::oracle::Promise;
use crate::script::{Act, Fault};

/// Time without any change after which a world is at rest: longer than a patrol, and than the backoff of a failure that
/// passes.
const REST: Duration = Duration::from_secs(85);
/// The same where an event may be lost, which only an audit finds, or where a request may hang, which only a deadline ends.
const REST_AFTER_SILENCE: Duration = Duration::from_secs(140);
/// The same where the host has rejected something: the backoff of a rejection is longer.
const LONG_REST: Duration = Duration::from_secs(420);
/// Time in which a world must come to rest.
const LONGEST: Duration = Duration::from_secs(2_400);
/// Time without any change after the teardown: what is left of the objects is freed in it.
const SHORT_REST: Duration = Duration::from_secs(60);
/// Time without any change after a restart, which reconciles every key at once.
const RESTART: Duration = Duration::from_secs(20);

impl World {
    /// Time without any change after which the world is at rest.
    pub(super) fn rest(&self) -> Duration {
        let rejects = |act: &Act| matches!(act, Act::Foreign(_) | Act::Damage(..));
        if self.script.steps.iter().any(|step| rejects(&step.act)) {
            LONG_REST
        } else if self.script.has(is_silent) {
            REST_AFTER_SILENCE
        } else {
            REST
        }
    }

    /// Waits until nothing has changed for a time. Returns false if that does not happen.
    pub(super) async fn settle(&mut self, rest: Duration) -> anyhow::Result<bool> {
        let versions = |clusters: &Clusters| (clusters.virt.version(), clusters.host.version());
        let (start, mut seen, mut since) = (Instant::now(), versions(&self.clusters), Instant::now());
        while since.elapsed() < rest {
            sleep(Duration::from_secs(2)).await;
            self.tenant.lock().act();
            // A syncer that ends by itself is started again, as a kubelet does.
            self.syncer.start()?;
            let now = versions(&self.clusters);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if start.elapsed() > LONGEST {
                let mut oracle = self.oracle.lock();
                let last = oracle.last_write().map_or_else(|| "none".to_owned(), |(_, line)| line);
                oracle.fail(Promise::Rest, format!("the world does not come to rest; last write: {last}"));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes everything, and checks that nothing is left: on the host, in the memory of the syncer.
    pub(super) async fn tear_down(&mut self) -> anyhow::Result<()> {
        self.oracle.lock().note(format!("{:?} the tenant deletes everything", self.clock.elapsed()));
        self.user.clear();
        self.tenant.lock().clear();
        if !self.settle(SHORT_REST).await? {
            return Ok(());
        }
        self.oracle.lock().check_end(&self.clusters);
        let before = self.calm_sizes().await;
        self.syncer.kill();
        let entries = self.writes();
        self.syncer.start()?;
        if !self.settle(RESTART).await? {
            return Ok(());
        }
        let after = self.calm_sizes().await;
        let mut oracle = self.oracle.lock();
        if self.writes() != entries {
            let last = oracle.last_write().map_or_else(String::new, |(_, line)| line);
            oracle.fail(Promise::Rest, format!("a restart at rest wrote: {last}"));
        }
        if before != after {
            oracle.fail(Promise::Memory, format!("the syncer keeps {before:?}, and {after:?} after a restart"));
        }
        Ok(())
    }

    /// Returns what the syncer keeps in memory while no patrol is at work.
    async fn calm_sizes(&self) -> Option<Sizes> {
        let mut calm: Option<Sizes> = None;
        for _ in 0..10 {
            let now = self.syncer.sizes();
            if calm.as_ref().is_none_or(|calm| now.as_ref().is_some_and(|now| now.queue < calm.queue)) {
                calm = now;
            }
            sleep(Duration::from_millis(700)).await;
        }
        calm
    }

    fn writes(&self) -> (u64, u64) {
        (self.clusters.virt.version(), self.clusters.host.version())
    }
}

/// Returns true for a fault that may leave a lost event or a request that hangs.
fn is_silent(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Hang(..)
            | Fault::HangAnswer(..)
            | Fault::Late(..)
            | Fault::Silence(_)
            | Fault::Swallow(..)
            | Fault::Stale(..)
    )
}

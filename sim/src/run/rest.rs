//! Rest of a world: waits for it, deletes everything, and shows that nothing is left.

use std::time::Duration;

use tenet_syncer::embed::Sizes;
use tokio::time::{Instant, sleep};

use super::World;
use crate::oracle::Promise;
use crate::script::{Act, Fault};
use crate::world::LEASE;

/// Time without any change after which a world is at rest: longer than a patrol, and than the backoff of a failure that
/// passes.
const REST: Duration = Duration::from_secs(85);
/// The same where an event may be lost, which only an audit finds, or where a request may hang, which only a deadline
/// ends.
const REST_AFTER_SILENCE: Duration = Duration::from_secs(140);
/// The same where the host may reject something: the backoff of a rejection is longer.
const LONG_REST: Duration = Duration::from_secs(420);
/// Time in which a world must come to rest.
const LONGEST: Duration = Duration::from_secs(2_400);
/// Time in which the host begins to end what the tenant has deleted.
const PROMPT: Duration = Duration::from_secs(20);
/// Time without any change after the teardown: what is left of the objects is freed in it.
const SHORT_REST: Duration = Duration::from_secs(45);
/// Time without any change after a restart, which reconciles every key at once.
const RESTART: Duration = Duration::from_secs(20);
/// Time after which nothing is on its way any more.
const CALM: Duration = Duration::from_secs(15);
/// The same where a list may hang: it ends by its deadline, and until the next one only an audit sees what is new.
const CALM_AFTER_HANGING: Duration = Duration::from_secs(80);

impl World {
    /// Waits until the world is at rest and both sides agree. Returns false if that does not happen.
    pub(super) async fn come_to_rest(&mut self) -> anyhow::Result<bool> {
        let rest = if self.script.has(is_silent) { REST_AFTER_SILENCE } else { REST };
        if !self.settle(rest).await? {
            return Ok(false);
        }
        // Where a person has to decide, the end is not judged, so no backoff has to pass before it.
        let may_heal = self.rejects() && !self.script.needs_person();
        if may_heal && (self.script.is_deep() || !self.oracle.lock().agrees(&self.clusters)) {
            return self.settle(LONG_REST).await;
        }
        Ok(true)
    }

    /// Returns true if the host may reject something.
    fn rejects(&self) -> bool {
        self.script.steps.iter().any(|step| matches!(step.act, Act::Foreign(_) | Act::Damage(..)))
    }

    /// Waits until nothing has changed for a time. Returns false if that does not happen.
    pub(super) async fn settle(&mut self, rest: Duration) -> anyhow::Result<bool> {
        let (start, mut seen, mut since) = (Instant::now(), self.writes(), Instant::now());
        let (mut calm, mut drift) = (None, None);
        let may_hang = rest > CALM_AFTER_HANGING && self.script.has(hangs);
        let known = if may_hang { CALM_AFTER_HANGING } else { CALM };
        while since.elapsed() < rest {
            sleep(Duration::from_secs(2)).await;
            self.tenant.lock().act();
            // A syncer that ends by itself is started again, as a kubelet does.
            self.syncer.start()?;
            let now = self.writes();
            if now != seen {
                (seen, since, calm) = (now, Instant::now(), None);
            }
            if calm.is_none() && since.elapsed() >= CALM {
                calm = Some(self.oracle.lock().requests());
            }
            if since.elapsed() >= known {
                drift = drift.or_else(|| self.syncer.drift());
            }
            if start.elapsed() > LONGEST {
                let mut oracle = self.oracle.lock();
                let last = oracle.last_write().unwrap_or_else(|| "none".to_owned());
                oracle.fail(Promise::Rest, format!("the world does not come to rest; last write: {last}"));
                return Ok(false);
            }
        }
        if let Some(requests) = calm.filter(|_| !self.rejects()) {
            self.check_calm(requests, drift);
        }
        Ok(true)
    }

    /// Checks that a world at rest had no requests that write nothing, and that nothing was found besides the watches.
    fn check_calm(&self, requests: u64, drift: Option<u64>) {
        let mut oracle = self.oracle.lock();
        let more = oracle.requests() - requests;
        if more > 0 {
            oracle.fail(Promise::Rest, format!("{more} requests at rest that write nothing"));
        }
        let now = self.syncer.drift();
        if drift.is_some() && now > drift && !self.script.has(loses_events) {
            oracle.fail(
                Promise::Drift,
                format!("{drift:?} differences were found before the rest, and {now:?} after it"),
            );
        }
    }

    /// Deletes everything, and checks that nothing is left: on the host, in the memory of the syncer.
    pub(super) async fn tear_down(&mut self) -> anyhow::Result<()> {
        self.oracle.lock().note(format!("{:?} the tenant deletes everything", self.clock.elapsed()));
        self.user.clear();
        self.tenant.lock().clear();
        sleep(PROMPT).await;
        self.oracle.lock().check_prompt(&self.clusters);
        if !self.settle(SHORT_REST).await? {
            return Ok(());
        }
        self.oracle.lock().check_end(&self.clusters);
        let before = self.calm_sizes().await;
        self.syncer.kill();
        let (versions, requests) = (self.writes(), self.oracle.lock().requests());
        self.syncer.start()?;
        if !self.settle(RESTART).await? {
            return Ok(());
        }
        let after = self.calm_sizes().await;
        let mut oracle = self.oracle.lock();
        if self.writes() != versions || oracle.requests() != requests {
            let last = oracle.last_write().unwrap_or_default();
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

    /// Returns the versions of both clusters. A lease is renewed all the time.
    fn writes(&self) -> [u64; 2] {
        [&self.clusters.virt, &self.clusters.host].map(|cluster| cluster.version_besides(LEASE))
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

/// Returns true for a fault that may leave a request that hangs.
fn hangs(fault: &Fault) -> bool {
    matches!(fault, Fault::Hang(..) | Fault::HangAnswer(..))
}

/// Returns true for a fault after which only an audit finds what a watch has not told.
fn loses_events(fault: &Fault) -> bool {
    matches!(fault, Fault::Swallow(..) | Fault::Stale(..))
}

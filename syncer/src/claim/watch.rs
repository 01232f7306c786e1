//! Watch over the claim of a running syncer, and its epoch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tenet_mapper::{Side, kinds};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::age::Age;
use super::decide::{Difference, Found, Verdict, decide};
use super::half::{Half, Progress};
use super::read::Pair;
use super::{Claim, State};
use crate::api::ApiError;
use crate::engine::Engine;
use crate::patrol;
use crate::queue::Lane;

/// Interval of the checks. With the reads that confirm a change, a restored store is noticed within 15 s.
const LOOK: Duration = Duration::from_secs(5);
/// Delay of the read that confirms a change. Another syncer of this claim may be raising the epoch.
const CONFIRMATION: Duration = Duration::from_millis(300);
/// Number of reads after which a look ends without a result.
const READS: usize = 4;
/// Least interval between two raises of the epoch.
const RAISE: Duration = Duration::from_secs(10);

const SIDES: [Side; 2] = [Side::Host, Side::Virtual];

/// Result of one read of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Judgement {
    verdict: Verdict,
    /// The sides whose store went back, and whose halves do not say so yet.
    went_back: Vec<Side>,
}

impl Judgement {
    fn is_quiet(&self) -> bool {
        self.verdict == Verdict::Agrees && self.went_back.is_empty()
    }
}

impl Claim {
    /// Watches the claim until it is told to stop: suspends writes while it does not agree, lets the caches of a
    /// restored store start anew, and raises the epoch beside the writes of the gate.
    pub async fn watch(self: Arc<Self>, engine: Arc<Engine>, stop: CancellationToken) {
        let mut raised: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.hint.notified() => {}
                () = sleep(LOOK) => {}
            }
            let Some(pair) = self.look(&engine).await else { continue };
            let is_due = raised.is_none_or(|raised| raised.elapsed() >= RAISE);
            let _raising = self.raising.lock().await;
            if is_due && engine.may_write() && self.has_written.swap(false, Ordering::Relaxed) {
                raised = Some(Instant::now());
                if let Err(error) = self.raise(&pair).await {
                    self.note_write();
                    tracing::debug!(%error, "cannot raise the epoch of the claim: trying again");
                }
            }
        }
    }

    /// Raises the epoch for what was written since the last time, before this process ends: the next one then notices
    /// also a store that was restored to a state a few seconds before.
    pub async fn close(&self, engine: &Engine) {
        let _raising = self.raising.lock().await;
        if !engine.may_write() || !self.has_written.swap(false, Ordering::Relaxed) {
            return;
        }
        let raised = match self.read_both().await {
            Ok(pair) if self.judge(&pair).is_quiet() => self.raise(&pair).await.map_err(|error| error.to_string()),
            Ok(_) => return,
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = raised {
            tracing::warn!(error, "cannot raise the epoch of the claim at the end");
        }
    }

    /// Reads both sides until they agree, or until two reads in a row show the same difference. Returns what was read
    /// if the claim agrees.
    async fn look(&self, engine: &Arc<Engine>) -> Option<Pair> {
        let mut last = None;
        for side in SIDES {
            let seen = engine.caches.get(side, kinds::CONFIG_MAP).map_or(0, |cache| cache.newest());
            self.learn_revision(side, seen);
        }
        for _ in 0..READS {
            let pair = match self.read_both().await {
                Ok(pair) => pair,
                // Writes to that side fail, too, and nothing is proved; so nothing is suspended.
                Err(error) => {
                    tracing::debug!(%error, "cannot read the claim");
                    return None;
                }
            };
            let judgement = self.judge(&pair);
            if judgement.is_quiet() || last.as_ref() == Some(&judgement) {
                return self.conclude(engine, judgement, pair).await;
            }
            last = Some(judgement);
            sleep(CONFIRMATION).await;
        }
        None
    }

    fn judge(&self, pair: &Pair) -> Judgement {
        Judgement {
            verdict: decide(&self.wiring, &pair.host.seen, &pair.virt.seen, None),
            went_back: SIDES.into_iter().filter(|side| self.age(*side) != Age::Current).collect(),
        }
    }

    async fn conclude(&self, engine: &Arc<Engine>, judgement: Judgement, pair: Pair) -> Option<Pair> {
        let Judgement { verdict, went_back } = judgement;
        for side in went_back.iter().copied().filter(|side| self.age(*side) == Age::WentBack) {
            self.publish(State::Suspended(format!("the {side} store was restored: the caches start anew").into()));
            tracing::error!(%side, "store went back in time: it was restored; the caches start anew");
            engine.metrics.claim.restored(side);
            engine.start_anew(side);
            self.relearn(side, pair.of(side));
            self.set_age(side, Age::Unrecorded);
        }
        match (&verdict, went_back.as_slice()) {
            (Verdict::Agrees, [side]) => {
                self.record(engine, *side, &pair).await;
                return None;
            }
            // Stores that went back together belong together, and the halves show any difference.
            (Verdict::Agrees | Verdict::Differs(_), _) => {
                for side in &went_back {
                    self.set_age(*side, Age::Current);
                }
            }
            _ => {}
        }
        match verdict {
            Verdict::Agrees => {
                let identity = pair.identity();
                if identity != *self.identity.lock() {
                    let reason = "another cluster was adopted: this process ends, and the next one starts with it";
                    self.suspend_for(engine, reason);
                    self.replaced.cancel();
                    return None;
                }
                self.learn(Side::Host, &pair.host);
                self.learn(Side::Virtual, &pair.virt);
                self.resume(engine).await;
                Some(pair)
            }
            Verdict::Differs(difference) => {
                self.suspend(engine, &difference).await;
                None
            }
            // Without a look inside there is no first start.
            Verdict::First(_) | Verdict::Unfinished(_) => None,
        }
    }

    /// Records in the claim that one store went back although its epoch did not: raises the epoch of the other half.
    /// The halves then differ for every syncer, and after a restart, until a person decides.
    async fn record(&self, engine: &Engine, restored: Side, pair: &Pair) {
        let (Found::There(host), Found::There(virt)) = (&pair.host.seen.half, &pair.virt.seen.half) else { return };
        let (side, half) = if restored == Side::Host { (Side::Virtual, virt) } else { (Side::Host, host) };
        // One more could be an epoch that is being raised.
        let epoch = host.epoch.max(virt.epoch) + 2;
        let [host, virt] = if side == Side::Host { [epoch, virt.epoch] } else { [host.epoch, epoch] };
        self.suspend(engine, &Difference::Restored { side: restored, host, virt }).await;
        if !engine.may_write() {
            return;
        }
        match self.put(side, &Half { epoch, ..half.clone() }, &pair.of(side).version).await {
            Ok(_) => self.set_age(restored, Age::Current),
            Err(error) => tracing::warn!(%side, %error, "cannot record the restored store in the claim: trying again"),
        }
    }

    async fn suspend(&self, engine: &Engine, difference: &Difference) {
        if self.suspend_for(engine, &format!("{difference}. To resolve it: {}", difference.remedy())) {
            self.report(engine, difference).await;
        }
    }

    /// Suspends all writes. Returns true if they were not suspended for this reason before.
    fn suspend_for(&self, engine: &Engine, reason: &str) -> bool {
        let state = State::Suspended(reason.into());
        let is_new = *self.state.borrow() != state;
        if is_new {
            tracing::error!(reason, "claim does not agree: writes are suspended");
        }
        engine.metrics.claim.agrees(false);
        self.publish(state);
        is_new
    }

    async fn resume(&self, engine: &Engine) {
        engine.metrics.claim.agrees(true);
        if *self.state.borrow() == State::Agrees {
            return;
        }
        tracing::info!("claim agrees: writes are resumed");
        self.publish(State::Agrees);
        patrol::enqueue_all(engine, Lane::Change).await;
    }

    /// Raises the epoch of both halves. The host half is pending until the virtual one is raised, so that a crash in
    /// between does not look like a restored store.
    async fn raise(&self, pair: &Pair) -> Result<(), ApiError> {
        let (Found::There(host), Found::There(virt)) = (&pair.host.seen.half, &pair.virt.seen.half) else {
            return Ok(());
        };
        // A raise that a crash has cut short is completed.
        let epoch = if host.epoch > virt.epoch { host.epoch } else { host.epoch + 1 };
        let pending = Half { epoch, progress: Progress::Pending, ..host.clone() };
        let version = if pending == *host {
            pair.host.version.clone()
        } else {
            self.put(Side::Host, &pending, &pair.host.version).await?
        };
        self.put(Side::Virtual, &Half { epoch, ..virt.clone() }, &pair.virt.version).await?;
        self.put(Side::Host, &Half { progress: Progress::Bound, ..pending }, &version).await.map(drop)
    }
}

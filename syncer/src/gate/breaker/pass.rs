//! Writes that depend on an absence pass the breaker here: which of them count, who is told, and who releases a kind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tenet_mapper::plan::Proof;
use tenet_mapper::{EventReason, HostKey, Kind, MapError, Object, ObjectRef, Side};
use tokio::time::Instant;

use super::{Alarm, Ask, Breaker, State, Tripped, Verdict};
use crate::gate::Gate;

/// The breaker, and the kinds that a person has released from it.
#[derive(Default)]
pub(in crate::gate) struct Breakers {
    state: Mutex<Breaker>,
    released: ArcSwap<BTreeSet<String>>,
}

/// Time until a stopped delete is asked for again.
const STOPPED: Duration = Duration::from_secs(30);

/// State in logs, metrics and events.
fn word(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Pacing => "paced",
        State::Stopped => "stopped",
    }
}

impl Gate {
    /// Returns true if more is known than an absence: the object itself is being deleted, it is a reservation of the
    /// syncer, or the API server has reported the delete of its twin.
    pub(in crate::gate) fn is_known_to_end(&self, object: &Object, proof: &Proof) -> bool {
        if object.is_deleting() {
            return true;
        }
        let (twin, uid) = match proof {
            Proof::Absent { twin, uid } => (twin, uid.as_str()),
            Proof::NoCopy { copy } => (copy, ""),
            Proof::Known { .. } => return false,
        };
        let was_deleted =
            |uid: &str| self.parts.caches.get(twin.side, twin.kind).is_some_and(|cache| cache.is_deleted(uid));
        match (twin.side, uid.is_empty()) {
            (Side::Virtual, is_reservation) => is_reservation || was_deleted(uid),
            (Side::Host, _) => {
                let last = self.parts.router.last_states().get(twin.kind, &HostKey::new(&*twin.namespace, &*twin.name));
                last.is_some_and(|last| was_deleted(last.uid()))
            }
        }
    }

    /// Asks the breaker about a write to this incarnation of an object, and raises its alarm. What shows an object as
    /// gone and the delete behind it count once.
    pub(in crate::gate) async fn pass_breaker(
        &self,
        target: &ObjectRef,
        uid: &str,
        ask: impl Fn(&mut Breaker, &Ask<'_>, Instant) -> (Verdict, Option<Alarm>),
    ) -> Result<(), MapError> {
        let ObjectRef { side, kind, .. } = target;
        let (verdict, alarm) = {
            let request = Ask {
                subject: (*side, *kind),
                uid,
                population: self.parts.caches.get(*side, *kind).map_or(0, |cache| cache.len()),
                trusted: self.parts.claim.check().is_ok() || self.breaker.released.load().contains(&kind.to_string()),
            };
            ask(&mut self.breaker.state.lock(), &request, Instant::now())
        };
        if let Some(alarm) = alarm {
            self.raise(*side, *kind, alarm).await;
        }
        match verdict {
            Verdict::Go => Ok(()),
            Verdict::Wait(delay) => Err(MapError::Transient {
                reason: format!("deletes of {kind} are paced by the breaker"),
                after: Some(delay),
            }),
            Verdict::Stop => Err(MapError::Transient {
                reason: format!("deletes of {kind} are stopped by the breaker until a person releases the kind"),
                after: Some(STOPPED),
            }),
        }
    }

    async fn raise(&self, side: Side, kind: Kind, alarm: Alarm) {
        let Alarm { state, limit, population } = alarm;
        tracing::error!(%side, %kind, state = word(state), limit, population, "breaker tripped: too many deletes for absence");
        self.parts.metrics.breaker.tripped(side, kind, word(state));
        let advice = if state == State::Stopped { ", until the operator releases the kind" } else { "" };
        let message = format!(
            "deletes of {kind} in the {side} cluster are {}{advice}: more than {limit} of {population} objects have lost \
             their counterpart within a minute",
            word(state),
        );
        self.tell_cluster(EventReason::Paused, message).await;
    }

    /// Sets the kinds that the configuration releases from the breaker.
    pub fn release(&self, kinds: &[String]) {
        self.breaker.released.store(Arc::new(kinds.iter().cloned().collect()));
    }

    /// Returns the lines that `/readyz` shows about the breaker.
    pub fn breaker_report(&self) -> Vec<String> {
        let tripped = self.breaker.state.lock().tripped(Instant::now());
        let line = |Tripped { subject: (side, kind), state, waiting }| {
            format!("breaker: deletes of {kind} in the {side} cluster are {}: {waiting} wait", word(state))
        };
        tripped.into_iter().map(line).collect()
    }

    pub(in crate::gate) fn report_breaker(&self) {
        self.parts.metrics.breaker.show(&self.breaker.state.lock().tripped(Instant::now()));
    }
}

//! Metrics of the breaker of deletes.

use prometheus::{IntCounterVec, IntGaugeVec};
use tenet_mapper::{Kind, Side};

use super::{MetricsError, Registry, gauge, name};
use crate::gate::breaker::{State, Tripped};

/// Metrics of the breaker of deletes.
pub struct Breaker {
    state: IntGaugeVec,
    waiting: IntGaugeVec,
    tripped: IntCounterVec,
}

impl Breaker {
    pub(super) fn new(make: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            state: make.gauge(
                "tenet_breaker_state",
                "1 while deletes for absence of a kind are paced, 2 while they are stopped, else absent.",
                &["side", "kind"],
            )?,
            waiting: make.gauge("tenet_breaker_waiting", "Deletes that the breaker holds back.", &["side", "kind"])?,
            tripped: make.counter(
                "tenet_breaker_tripped_total",
                "How often deletes of a kind were paced or stopped.",
                &["side", "kind", "state"],
            )?,
        })
    }

    /// Counts an alarm.
    pub fn tripped(&self, side: Side, kind: Kind, state: &str) {
        self.tripped.with_label_values(&[name(side), kind.group_kind().label(), state]).inc();
    }

    /// Shows what is paced or stopped now.
    pub fn show(&self, tripped: &[Tripped]) {
        self.state.reset();
        self.waiting.reset();
        for Tripped { subject: (side, kind), state, waiting } in tripped {
            let labels = [name(*side), kind.group_kind().label()];
            self.state.with_label_values(&labels).set(if *state == State::Stopped { 2 } else { 1 });
            self.waiting.with_label_values(&labels).set(gauge(*waiting));
        }
    }
}

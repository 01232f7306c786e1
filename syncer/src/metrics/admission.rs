//! Metrics of reservations: host objects that exist before their originals.

use prometheus::IntCounterVec;
use tenet_mapper::Kind;

use super::{MetricsError, Registry};

/// Metrics of reservations.
pub struct Admission {
    reservations: IntCounterVec,
    repaired: IntCounterVec,
}

impl Admission {
    pub(super) fn new(make: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            reservations: make.counter(
                "tenet_admission_reservations_total",
                "Host objects for requests: created, extended, adopted by what was stored, removed.",
                &["kind", "event"],
            )?,
            repaired: make.counter(
                "tenet_admission_repaired_total",
                "Objects that were stored without what the host had to give, and have it now.",
                &["kind"],
            )?,
        })
    }

    /// Counts an event of a reservation: `created`, `extended`, `adopted` or `removed`.
    pub fn reserved(&self, kind: Kind, event: &str) {
        self.reservations.with_label_values(&[kind.group_kind().label(), event]).inc();
    }

    /// Counts an object that was stored without the webhook.
    pub fn repaired(&self, kind: Kind) {
        self.repaired.with_label_values(&[kind.group_kind().label()]).inc();
    }
}

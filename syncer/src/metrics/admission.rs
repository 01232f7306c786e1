//! What Prometheus sees of the admission of objects.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec};
use tenet_mapper::Kind;

use super::{Maker, MetricsError};

/// The metrics of the admission of objects.
pub struct Admission {
    reviews: HistogramVec,
    reservations: IntCounterVec,
    denials: IntCounterVec,
    repaired: IntCounterVec,
}

impl Admission {
    pub(super) fn new(make: &Maker) -> Result<Self, MetricsError> {
        Ok(Self {
            reviews: make.histogram(
                "tenet_admission_duration_seconds",
                "Answered reviews of the virtual API server.",
                &["kind", "operation", "result"],
            )?,
            reservations: make.counter(
                "tenet_admission_reservations_total",
                "Host objects for requests: created, extended, adopted by what was stored, removed.",
                &["kind", "event"],
            )?,
            denials: make.counter("tenet_admission_denials_total", "Denied requests, by why.", &["kind", "reason"])?,
            repaired: make.counter(
                "tenet_admission_repaired_total",
                "Objects that were stored without what the host had to give, and have it now.",
                &["kind"],
            )?,
        })
    }

    /// A review was answered.
    pub fn reviewed(&self, kind: Kind, operation: &str, result: &str, took: Duration) {
        self.reviews.with_label_values(&[kind.kind, operation, result]).observe(took.as_secs_f64());
    }

    /// Something became of a reservation.
    pub fn reserved(&self, kind: Kind, event: &str) {
        self.reservations.with_label_values(&[kind.kind, event]).inc();
    }

    /// A request was denied.
    pub fn denied(&self, kind: Kind, reason: &str) {
        self.denials.with_label_values(&[kind.kind, reason]).inc();
    }

    /// An object slipped past.
    pub fn repaired(&self, kind: Kind) {
        self.repaired.with_label_values(&[kind.kind]).inc();
    }
}

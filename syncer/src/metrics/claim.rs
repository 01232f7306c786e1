//! Metrics of the claim.

use prometheus::{IntCounterVec, IntGaugeVec};
use tenet_mapper::Side;

use super::{MetricsError, Registry, name};

/// Metrics of the claim.
pub struct Claim {
    agrees: IntGaugeVec,
    restored: IntCounterVec,
}

impl Claim {
    /// Registers the metrics.
    pub fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let restored = registry.counter(
            "tenet_store_restored_total",
            "Times that the store of a side was found restored to an earlier state.",
            &["side"],
        )?;
        for side in [Side::Virtual, Side::Host] {
            restored.with_label_values(&[name(side)]).inc_by(0);
        }
        let agrees = registry.gauge(
            "tenet_claim_agrees",
            "1 while the claim of both sides agrees; 0 while writes are suspended.",
            &[],
        )?;
        Ok(Self { agrees, restored })
    }

    /// Sets the gauge of the claim.
    pub fn agrees(&self, agrees: bool) {
        self.agrees.with_label_values(&[] as &[&str]).set(i64::from(agrees));
    }

    /// Counts a restored store.
    pub fn restored(&self, side: Side) {
        self.restored.with_label_values(&[name(side)]).inc();
    }
}

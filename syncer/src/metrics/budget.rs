//! Metrics of the budgets of a virtual cluster.

use prometheus::{IntCounterVec, IntGaugeVec};
use tenet_mapper::Kind;

use super::{MetricsError, Registry};

/// Metrics of the budgets.
pub struct Budget {
    bytes: IntGaugeVec,
    waits: IntCounterVec,
}

impl Budget {
    pub(super) fn new(make: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            bytes: make.gauge(
                "tenet_host_content_bytes",
                "Content of ConfigMaps and Secrets on the host.",
                &["kind"],
            )?,
            waits: make.counter("tenet_budget_waits_total", "Writes that a budget has made wait.", &["budget"])?,
        })
    }

    /// Sets what the objects of a kind use.
    pub fn used(&self, kind: Kind, bytes: u64) {
        self.bytes.with_label_values(&[kind.group_kind().label()]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts a write that waits.
    pub fn waited(&self, budget: &str) {
        self.waits.with_label_values(&[budget]).inc();
    }
}

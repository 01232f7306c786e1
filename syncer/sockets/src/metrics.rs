//! Metrics of the sockets.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use tenet_mapper::Kind;
use tenet_syncer::{MetricsError, Registry};

/// Metrics of the sockets.
pub struct Metrics {
    requests: IntCounterVec,
    opened: HistogramVec,
    open: IntGaugeVec,
    ended: IntCounterVec,
    bytes: IntCounterVec,
    reviews: HistogramVec,
    denials: IntCounterVec,
}

impl Metrics {
    /// Adds the metrics to a registry, which takes them once.
    pub fn new(registry: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            requests: registry.counter(
                "tenet_kubelet_requests_total",
                "Requests to the kubelets of virtual nodes, by endpoint and status.",
                &["endpoint", "code"],
            )?,
            opened: registry.histogram(
                "tenet_stream_open_seconds",
                "From a request for a stream to its first byte of answer.",
                &["endpoint"],
            )?,
            open: registry.gauge("tenet_streams_open", "Open streams to pods.", &["endpoint"])?,
            ended: registry.counter(
                "tenet_streams_ended_total",
                "Streams that have ended, by reason.",
                &["endpoint", "reason"],
            )?,
            bytes: registry.counter(
                "tenet_stream_bytes_total",
                "Bytes of streams: down to the pod, up from it.",
                &["endpoint", "direction"],
            )?,
            reviews: registry.histogram(
                "tenet_admission_duration_seconds",
                "Answered reviews of the virtual API server.",
                &["kind", "operation", "result"],
            )?,
            denials: registry.counter(
                "tenet_admission_denials_total",
                "Denied requests, by reason.",
                &["kind", "reason"],
            )?,
        })
    }

    /// Counts an answered request.
    pub fn answered(&self, endpoint: &str, code: u16) {
        self.requests.with_label_values(&[endpoint, &code.to_string()]).inc();
    }

    /// Records the time that a stream took to open.
    pub fn opened(&self, endpoint: &str, took: Duration) {
        self.opened.with_label_values(&[endpoint]).observe(took.as_secs_f64());
    }

    /// Adds to the number of open streams, or takes from it.
    pub fn open(&self, endpoint: &str, more: i64) {
        self.open.with_label_values(&[endpoint]).add(more);
    }

    /// Counts a stream that has ended.
    pub fn ended(&self, endpoint: &str, reason: &str) {
        self.ended.with_label_values(&[endpoint, reason]).inc();
    }

    /// Counts bytes that have passed.
    pub fn passed(&self, endpoint: &str, down: u64, up: u64) {
        self.bytes.with_label_values(&[endpoint, "down"]).inc_by(down);
        self.bytes.with_label_values(&[endpoint, "up"]).inc_by(up);
    }

    /// Records an answered review.
    pub fn reviewed(&self, kind: Kind, operation: &str, result: &str, took: Duration) {
        self.reviews.with_label_values(&[kind.group_kind().label(), operation, result]).observe(took.as_secs_f64());
    }

    /// Counts a denied request.
    pub fn denied(&self, kind: Kind, reason: &str) {
        self.denials.with_label_values(&[kind.group_kind().label(), reason]).inc();
    }
}

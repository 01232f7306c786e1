//! What Prometheus sees of the sockets.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::{Maker, MetricsError};

/// The metrics of the sockets.
pub struct Sockets {
    requests: IntCounterVec,
    opened: HistogramVec,
    open: IntGaugeVec,
    ended: IntCounterVec,
    bytes: IntCounterVec,
}

impl Sockets {
    pub(super) fn new(make: &Maker) -> Result<Self, MetricsError> {
        Ok(Self {
            requests: make.counter(
                "tenet_kubelet_requests_total",
                "Requests to the kubelets of virtual nodes, by endpoint and status.",
                &["endpoint", "code"],
            )?,
            opened: make.histogram(
                "tenet_stream_open_seconds",
                "From a request for a stream to its first byte of answer.",
                &["endpoint"],
            )?,
            open: make.gauge("tenet_streams_open", "Open streams to pods.", &["endpoint"])?,
            ended: make.counter(
                "tenet_streams_ended_total",
                "Streams that have ended, by why.",
                &["endpoint", "reason"],
            )?,
            bytes: make.counter(
                "tenet_stream_bytes_total",
                "Bytes of streams: down to the pod, up from it.",
                &["endpoint", "direction"],
            )?,
        })
    }

    /// A request was answered.
    pub fn answered(&self, endpoint: &str, code: u16) {
        self.requests.with_label_values(&[endpoint, &code.to_string()]).inc();
    }

    /// A stream was asked for and is open.
    pub fn opened(&self, endpoint: &str, took: Duration) {
        self.opened.with_label_values(&[endpoint]).observe(took.as_secs_f64());
    }

    /// There are more or fewer streams.
    pub fn open(&self, endpoint: &str, more: i64) {
        self.open.with_label_values(&[endpoint]).add(more);
    }

    /// A stream has ended.
    pub fn ended(&self, endpoint: &str, reason: &str) {
        self.ended.with_label_values(&[endpoint, reason]).inc();
    }

    /// Bytes have passed.
    pub fn passed(&self, endpoint: &str, down: u64, up: u64) {
        self.bytes.with_label_values(&[endpoint, "down"]).inc_by(down);
        self.bytes.with_label_values(&[endpoint, "up"]).inc_by(up);
    }
}

//! How many streams there are, and how many there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tenet_config::Live;

use super::failure::Failure;
use super::place::Place;
use crate::metrics::Metrics;

/// The open streams.
pub struct Streams {
    live: Live,
    metrics: Arc<Metrics>,
    total: AtomicU32,
    pods: DashMap<String, u32>,
}

/// An open stream; it counts until it is dropped.
pub struct Open {
    streams: Arc<Streams>,
    pod: String,
    endpoint: &'static str,
}

impl Streams {
    /// None is open.
    pub fn new(live: Live, metrics: Arc<Metrics>) -> Self {
        Self { live, metrics, total: AtomicU32::new(0), pods: DashMap::new() }
    }

    /// Opens one more, if the bounds allow it.
    pub fn open(self: &Arc<Self>, place: &Place, endpoint: &'static str) -> Result<Open, Failure> {
        let bounds = self.live.get().kubelet.streams.clone();
        let more = |total: u32| (total < bounds.total).then_some(total + 1);
        if self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(Failure::too_many("this cluster"));
        }
        let pod = place.host_uid.clone();
        let mut count = self.pods.entry(pod.clone()).or_insert(0);
        if *count >= bounds.per_pod {
            drop(count);
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::too_many(&format!("pod {}/{}", place.pod.namespace, place.pod.name)));
        }
        *count += 1;
        drop(count);
        self.metrics.open(endpoint, 1);
        Ok(Open { streams: Arc::clone(self), pod, endpoint })
    }

    /// How long a stream may be silent.
    pub fn idle(&self) -> std::time::Duration {
        *self.live.get().kubelet.streams.idle_timeout
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Open {
    /// Counts what has passed, and why it has ended.
    pub fn ended(&self, reason: &str, down: u64, up: u64) {
        self.streams.metrics.ended(self.endpoint, reason);
        self.streams.metrics.passed(self.endpoint, down, up);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.streams.total.fetch_sub(1, Ordering::Relaxed);
        self.streams.metrics.open(self.endpoint, -1);
        if let Entry::Occupied(mut entry) = self.streams.pods.entry(self.pod.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

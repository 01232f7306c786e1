//! Prometheus metrics.

mod admission;
mod breaker;
mod budget;
mod claim;

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder,
};
use tenet_mapper::{Kind, Side};

use crate::queue::LANES;

pub use admission::Admission;
pub use breaker::Breaker;
pub use budget::Budget;
pub use claim::Claim;

const LAG_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// All metrics of one syncer, in a registry of its own.
pub struct Metrics {
    registry: Registry,
    lag: HistogramVec,
    effects: IntCounterVec,
    reconciles: IntCounterVec,
    drift: IntCounterVec,
    requests: HistogramVec,
    throttled: IntCounterVec,
    panics: IntCounterVec,
    damaged: IntCounterVec,
    task_panics: IntCounterVec,
    watch_failures: IntCounterVec,
    tokens: IntCounterVec,
    queue_depth: IntGaugeVec,
    queue_age: GaugeVec,
    running: IntGaugeVec,
    parts: IntGaugeVec,
    failing: IntGaugeVec,
    cache_objects: IntGaugeVec,
    cache_bytes: IntGaugeVec,
    in_flight_limit: IntGaugeVec,
    patrol_seconds: Gauge,
    lease: IntGaugeVec,
    /// Metrics of the admission of objects.
    pub admission: Admission,
    /// Metrics of the breaker of deletes.
    pub breaker: Breaker,
    /// Metrics of the budgets.
    pub budget: Budget,
    /// Metrics of the claim.
    pub claim: Claim,
}

/// Error of a metric that cannot be registered: two have one name.
pub type MetricsError = prometheus::Error;

/// The registry behind `/metrics`, to which each part of the syncer adds its own.
pub struct Registry(prometheus::Registry);

impl Default for Registry {
    fn default() -> Self {
        Self(prometheus::Registry::new())
    }
}

impl Registry {
    /// Adds a family of counters.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
        let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// Adds a family of gauges.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
        let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// Adds a family of gauges of seconds.
    pub fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, MetricsError> {
        let metric = GaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// Adds a family of histograms of seconds.
    pub fn histogram(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, MetricsError> {
        let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(LAG_BUCKETS.to_vec()), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Result<Self, MetricsError> {
        let make = Registry::default();
        let patrol_seconds =
            Gauge::new("tenet_patrol_duration_seconds", "Time in which the last patrol enqueued every key.")?;
        make.0.register(Box::new(patrol_seconds.clone()))?;
        #[cfg(target_os = "linux")]
        make.0.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            lag: make.histogram(
                "tenet_sync_lag_seconds",
                "From the change on one side to the answered write on the other.",
                &["kind", "direction"],
            )?,
            effects: make.counter(
                "tenet_effects_total",
                "Writes that mappers asked for. Result `unchanged` was dropped because it changes nothing.",
                &["kind", "side", "effect", "result"],
            )?,
            reconciles: make.counter("tenet_reconciles_total", "Reconciles by result.", &["kind", "result"])?,
            drift: make.counter(
                "tenet_drift_total",
                "Differences that only the patrol or the audit found. Must stay 0.",
                &["kind"],
            )?,
            requests: make.histogram(
                "tenet_api_request_duration_seconds",
                "Duration of API requests; the code is `none` without an answer.",
                &["side", "verb", "code"],
            )?,
            throttled: make.counter(
                "tenet_throttled_total",
                "Throttled answers: 429, or 503 with Retry-After.",
                &["side"],
            )?,
            panics: make.counter(
                "tenet_mapper_panics_total",
                "Keys quarantined because a mapper panicked.",
                &["kind"],
            )?,
            damaged: make.counter(
                "tenet_owner_records_changed_total",
                "Events of host objects whose owner record somebody has changed. They are not written or deleted.",
                &["kind"],
            )?,
            task_panics: make.counter(
                "tenet_task_panics_total",
                "Panics outside of a mapper's reconcile. Each costs one object, or starts the task again.",
                &["task"],
            )?,
            watch_failures: make.counter(
                "tenet_watch_failures_total",
                "Lists and watches that failed.",
                &["side", "kind"],
            )?,
            tokens: make.counter("tenet_tokens_minted_total", "ServiceAccount tokens minted.", &["reason"])?,
            queue_depth: make.gauge("tenet_queue_depth", "Keys that are ready.", &["kind", "lane"])?,
            queue_age: make.seconds("tenet_queue_age_seconds", "The age of the oldest ready key.", &["kind"])?,
            parts: make.gauge(
                "tenet_part_running",
                "1 while a part beside the mappers runs; 0 while a right that it needs is missing.",
                &["part"],
            )?,
            running: make.gauge(
                "tenet_mapper_running",
                "1 while the mapper of a kind runs; 0 while an API or a right is missing.",
                &["kind"],
            )?,
            failing: make.gauge("tenet_failing_objects", "Keys that wait after a failure.", &["kind"])?,
            cache_objects: make.gauge("tenet_cache_objects", "Cached objects.", &["side", "kind"])?,
            cache_bytes: make.gauge("tenet_cache_bytes", "Bytes of the cached objects.", &["side", "kind"])?,
            in_flight_limit: make.gauge(
                "tenet_in_flight_limit",
                "Requests that may be in flight at once.",
                &["side"],
            )?,
            patrol_seconds,
            lease: make.gauge("tenet_lease_held", "1 while this replica may write; absent without a lease.", &[])?,
            admission: Admission::new(&make)?,
            breaker: Breaker::new(&make)?,
            budget: Budget::new(&make)?,
            claim: Claim::new(&make)?,
            registry: make,
        })
    }

    /// Returns the registry in which other parts of the syncer register their metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the text that Prometheus scrapes.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.0.gather(), &mut text) {
            tracing::error!(%error, "cannot encode the metrics");
        }
        text
    }

    /// Records the lag of a change that has reached the other side.
    pub fn synced(&self, kind: &str, direction: &str, lag: Duration) {
        self.lag.with_label_values(&[kind, direction]).observe(lag.as_secs_f64());
    }

    /// Counts an effect by its result.
    pub fn effect(&self, kind: Kind, side: Side, effect: &str, result: &str) {
        self.effects.with_label_values(&[kind.group_kind().label(), name(side), effect, result]).inc();
    }

    /// Counts a reconcile by its result.
    pub fn reconciled(&self, kind: &str, result: &str) {
        self.reconciles.with_label_values(&[kind, result]).inc();
    }

    /// Returns the number of differences that only the patrol or the audit has found.
    pub fn drift(&self, kind: &str) -> u64 {
        self.drift.with_label_values(&[kind]).get()
    }

    /// Counts differences that only the patrol or the audit has found.
    pub fn drifted(&self, kind: &str, writes: usize) {
        self.drift.with_label_values(&[kind]).inc_by(writes as u64);
    }

    /// Records a request that was answered, or had no answer.
    pub fn requested(&self, side: Side, verb: &str, code: &str, took: Duration) {
        self.requests.with_label_values(&[name(side), verb, code]).observe(took.as_secs_f64());
    }

    /// Counts an answer with which a server throttles.
    pub fn throttle(&self, side: Side) {
        self.throttled.with_label_values(&[name(side)]).inc();
    }

    /// Sets the gauge of a mapper that was started or stopped.
    pub fn running(&self, kind: &str, is_running: bool) {
        self.running.with_label_values(&[kind]).set(i64::from(is_running));
    }

    /// Sets the gauge of a part beside the mappers.
    pub fn part_running(&self, part: &str, is_running: bool) {
        self.parts.with_label_values(&[part]).set(i64::from(is_running));
    }

    /// Counts a panic of a mapper.
    pub fn panicked(&self, kind: &str) {
        self.panics.with_label_values(&[kind]).inc();
    }

    /// Counts a panic of a task.
    pub fn task_panicked(&self, task: &str) {
        self.task_panics.with_label_values(&[task]).inc();
    }

    /// Counts an event of a host object whose owner record was changed.
    pub fn damaged(&self, kind: Kind) {
        self.damaged.with_label_values(&[kind.group_kind().label()]).inc();
    }

    /// Counts a list or watch that failed.
    pub fn watch_failed(&self, side: Side, kind: Kind) {
        self.watch_failures.with_label_values(&[name(side), kind.group_kind().label()]).inc();
    }

    /// Counts an issued token.
    pub fn minted(&self, reason: &str) {
        self.tokens.with_label_values(&[reason]).inc();
    }

    /// Sets the number of ready keys of a mapper.
    pub fn queue(&self, kind: &str, lane: &str, depth: usize) {
        self.queue_depth.with_label_values(&[kind, lane]).set(gauge(depth));
    }

    /// Records the time for which the oldest key of a mapper has been ready.
    pub fn age(&self, kind: &str, age: Duration) {
        self.queue_age.with_label_values(&[kind]).set(age.as_secs_f64());
    }

    /// Records the number of keys of a mapper that fail.
    pub fn fail(&self, kind: &str, count: usize) {
        self.failing.with_label_values(&[kind]).set(gauge(count));
    }

    /// Removes the gauges of the queue of a mapper that does not run. Its counters stay.
    pub fn withdraw(&self, kind: &str) {
        // A series that does not exist is as good as removed.
        for (_, lane) in LANES {
            drop(self.queue_depth.remove_label_values(&[kind, lane]));
        }
        drop(self.queue_age.remove_label_values(&[kind]));
        drop(self.failing.remove_label_values(&[kind]));
    }

    /// Sets the size of a cache.
    pub fn cache(&self, side: Side, kind: Kind, objects: usize, bytes: u64) {
        self.cache_objects.with_label_values(&[name(side), kind.group_kind().label()]).set(gauge(objects));
        self.cache_bytes
            .with_label_values(&[name(side), kind.group_kind().label()])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Sets the limit of requests in flight of a side.
    pub fn limit(&self, side: Side, limit: usize) {
        self.in_flight_limit.with_label_values(&[name(side)]).set(gauge(limit));
    }

    /// Records whether this replica holds the lease.
    pub fn lease_held(&self, is_held: bool) {
        self.lease.with_label_values::<&str>(&[]).set(i64::from(is_held));
    }

    /// Records the time in which a patrol enqueued every key.
    pub fn patrolled(&self, took: Duration) {
        self.patrol_seconds.set(took.as_secs_f64());
    }

    /// Makes a series of every kind visible before anything happens.
    pub fn announce(&self, kind: &str) {
        self.drift.with_label_values(&[kind]).inc_by(0);
        self.panics.with_label_values(&[kind]).inc_by(0);
        self.reconciles.with_label_values(&[kind, "ok"]).inc_by(0);
        for direction in ["down", "up"] {
            drop(self.lag.with_label_values(&[kind, direction]));
        }
        for side in [Side::Virtual, Side::Host] {
            self.throttled.with_label_values(&[name(side)]).inc_by(0);
        }
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Virtual => "virtual",
        Side::Host => "host",
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauges_of_a_mapper_that_is_off_are_removed_and_its_counters_stay() {
        let metrics = Metrics::new().unwrap();
        for kind in ["Pod", "Secret"] {
            metrics.queue(kind, "urgent", 3);
            metrics.fail(kind, 2);
            metrics.reconciled(kind, "ok");
        }
        metrics.withdraw("Secret");
        metrics.withdraw("Secret");
        let text = String::from_utf8(metrics.text()).unwrap();
        let of = |kind: &str, name: &str| text.contains(&format!("{name}{{kind=\"{kind}\""));
        assert!(of("Pod", "tenet_queue_depth") && of("Pod", "tenet_failing_objects"));
        assert!(!of("Secret", "tenet_queue_depth") && !of("Secret", "tenet_failing_objects"));
        assert!(of("Secret", "tenet_reconciles_total"));
    }
}

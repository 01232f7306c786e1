//! What was measured.

use serde::{Serialize, Serializer};

use crate::audit::Calls;
use crate::quantiles::Quantiles;
use crate::usage::Memory;

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Pods of the burst.
    pub pods: usize,
    /// Pods per second of the trickle.
    pub rate: f64,
    /// Cores of the machine.
    pub cores: usize,
    /// Its load before anything was started.
    pub load: f64,
    /// In the order in which they were measured.
    pub subjects: Vec<Subject>,
}

/// Everything of one subject.
#[derive(Debug, Default, Serialize)]
pub struct Subject {
    /// `direct`, `ideal`, `tenet`.
    pub name: &'static str,
    /// All pods at once.
    pub burst: Option<Burst>,
    /// The memory of the syncer.
    pub memory: Option<Footprint>,
    /// Nothing changes.
    pub rest: Option<Rest>,
    /// Killed and started again.
    pub restart: Option<Restart>,
    /// All pods deleted.
    pub delete: Option<Delete>,
    /// Pods at a steady rate.
    pub trickle: Option<Trickle>,
    /// Why the rest is missing.
    pub trouble: Option<String>,
}

/// The time from one side to the other.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Lags {
    /// From the virtual create to the host create.
    pub down: Option<Quantiles>,
    /// From Running on the host to Running inside.
    pub up: Option<Quantiles>,
}

/// CPU time of one process during a part.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// The process.
    pub process: String,
    /// In milliseconds.
    pub millis: u64,
}

/// All pods at once.
#[derive(Debug, Serialize)]
pub struct Burst {
    /// Until all are Running, where they were created.
    pub seconds: f64,
    /// Until all creates are answered.
    pub created_seconds: f64,
    /// The way of each pod.
    pub lags: Option<Lags>,
    /// Until a few seconds after the last pod.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// As long.
    pub cpu: Vec<Cpu>,
    /// Watches of anybody that the API servers closed as too slow: inside, on the host.
    pub closed_watches: [f64; 2],
    /// The part of the machine that processes of others took meanwhile, in percent.
    pub others_percent: f64,
}

/// The memory of the syncer.
#[derive(Debug, Serialize)]
pub struct Footprint {
    /// Before the first pod.
    pub idle: Memory,
    /// With all pods, a few seconds after the last.
    pub settled: Memory,
    /// What its caches took in between.
    pub cached_bytes: u64,
}

/// Nothing changes.
#[derive(Debug, Serialize)]
pub struct Rest {
    /// For so long.
    pub seconds: u64,
    /// What the syncer asked for.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// The CPU time of the syncer.
    pub cpu_millis: u64,
    /// Its memory at the end.
    pub memory: Memory,
}

/// Killed and started again.
#[derive(Debug, Serialize)]
pub struct Restart {
    /// Until it is ready and has nothing left to look at.
    pub converged_seconds: f64,
    /// The CPU time for that.
    pub cpu_millis: u64,
    /// What that start asked for.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// From another start to the host create of a pod that was created just before.
    pub next_pod_seconds: f64,
}

/// All pods deleted.
#[derive(Debug, Serialize)]
pub struct Delete {
    /// Until both sides are empty.
    pub seconds: f64,
    /// What the syncer asked for.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// Until both sides are empty.
    pub cpu: Vec<Cpu>,
}

/// Pods at a steady rate.
#[derive(Debug, Serialize)]
pub struct Trickle {
    /// So many.
    pub pods: usize,
    /// The way of each pod.
    pub lags: Lags,
    /// Until the last is Running.
    pub cpu: Vec<Cpu>,
}

/// JSON has no maps with such keys.
fn list<S: Serializer>(calls: &Calls, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'c> {
        #[serde(flatten)]
        sort: &'c crate::audit::Sort,
        count: usize,
    }
    serializer.collect_seq(calls.iter().map(|(sort, count)| Entry { sort, count: *count }))
}

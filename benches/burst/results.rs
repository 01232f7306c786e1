//! Results of a run.

use serde::{Serialize, Serializer};

use crate::audit::Calls;
use crate::quantiles::Quantiles;
use crate::usage::Memory;

/// Results of one run.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Pods of the burst.
    pub pods: usize,
    /// Pods per second of the trickle.
    pub rate: f64,
    /// Cores of the machine.
    pub cores: usize,
    /// Load of the machine before the start.
    pub load: f64,
    /// Subjects in the order in which they were measured.
    pub subjects: Vec<Subject>,
}

/// Results of one subject.
#[derive(Debug, Default, Serialize)]
pub struct Subject {
    /// `direct`, `ideal`, `tenet`.
    pub name: &'static str,
    /// All pods created at once.
    pub burst: Option<Burst>,
    /// Memory of the syncer.
    pub memory: Option<Footprint>,
    /// Activity while nothing changes.
    pub rest: Option<Rest>,
    /// Cost of a restart after SIGKILL.
    pub restart: Option<Restart>,
    /// All pods deleted.
    pub delete: Option<Delete>,
    /// Pods created at a steady rate.
    pub trickle: Option<Trickle>,
    /// Memory after pods that came and went.
    pub churn: Option<Churn>,
    /// Error that ended the measurement of this subject.
    pub trouble: Option<String>,
}

/// Lags from one side to the other.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Lags {
    /// From the virtual create to the host create.
    pub down: Option<Quantiles>,
    /// From Running on the host to Running inside.
    pub up: Option<Quantiles>,
}

/// CPU time of one process during a phase.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// Name of the process.
    pub process: String,
    /// CPU time in milliseconds.
    pub millis: u64,
}

/// Results of the burst.
#[derive(Debug, Serialize)]
pub struct Burst {
    /// Time until all are Running where they were created.
    pub seconds: f64,
    /// Time until all creates are answered.
    pub created_seconds: f64,
    /// Lags of the pods.
    pub lags: Option<Lags>,
    /// Requests until a few seconds after the last pod.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// CPU time in the same period.
    pub cpu: Vec<Cpu>,
    /// Watches of all clients that the API servers closed as too slow: inside, on the host.
    pub closed_watches: [f64; 2],
    /// Share of the machine that foreign processes used meanwhile, in percent.
    pub others_percent: f64,
}

/// Memory of the syncer.
#[derive(Debug, Serialize)]
pub struct Footprint {
    /// Before the first pod.
    pub idle: Memory,
    /// With all pods, a few seconds after the last.
    pub settled: Memory,
    /// Bytes that its caches gained in between.
    pub cached_bytes: u64,
}

/// Results of the rest phase, in which nothing changes.
#[derive(Debug, Serialize)]
pub struct Rest {
    /// Duration in seconds.
    pub seconds: u64,
    /// Requests of the syncer.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// CPU time of the syncer.
    pub cpu_millis: u64,
    /// Memory of the syncer at the end.
    pub memory: Memory,
}

/// Results of the restart phase.
#[derive(Debug, Serialize)]
pub struct Restart {
    /// Time until the syncer is ready and its queue is empty.
    pub converged_seconds: f64,
    /// CPU time of that start.
    pub cpu_millis: u64,
    /// Requests of that start.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// Time from a second start to the host create of a pod that was created just before.
    pub next_pod_seconds: f64,
}

/// Results of the delete phase.
#[derive(Debug, Serialize)]
pub struct Delete {
    /// Time until both sides are empty.
    pub seconds: f64,
    /// Requests of the syncer.
    #[serde(serialize_with = "list")]
    pub calls: Calls,
    /// CPU time until both sides are empty.
    pub cpu: Vec<Cpu>,
}

/// Results of the churn phase.
#[derive(Debug, Serialize)]
pub struct Churn {
    /// Pods that came and went.
    pub pods: usize,
    /// Time in seconds.
    pub seconds: f64,
    /// Memory of the syncer before the first pod.
    pub idle: Memory,
    /// Memory after each wave, as soon as its last pod is gone.
    pub waves: Vec<Memory>,
    /// Memory after the last wave, when freed memory is returned.
    pub settled: Memory,
}

/// Results of the trickle phase.
#[derive(Debug, Serialize)]
pub struct Trickle {
    /// Number of pods.
    pub pods: usize,
    /// Lags of the pods.
    pub lags: Lags,
    /// CPU time until the last pod is Running.
    pub cpu: Vec<Cpu>,
}

/// Serializes as a list, because JSON has no maps with such keys.
fn list<S: Serializer>(calls: &Calls, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'c> {
        #[serde(flatten)]
        sort: &'c crate::audit::Sort,
        count: usize,
    }
    serializer.collect_seq(calls.iter().map(|(sort, count)| Entry { sort, count: *count }))
}

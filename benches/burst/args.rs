//! Command-line arguments.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the speed and the cost of running pods of a virtual cluster on a host cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "burst")]
pub struct Args {
    /// Pods of the burst.
    #[arg(long, default_value_t = 1000)]
    pub pods: usize,
    /// Pods per second of the trickle.
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// Pods of the trickle.
    #[arg(long, default_value_t = 300)]
    pub trickle_pods: usize,
    /// Seconds to watch for writes while nothing changes.
    #[arg(long, default_value_t = 60)]
    pub rest_seconds: u64,
    /// Pods that come and go in the churn, in waves of `pods`.
    #[arg(long, default_value_t = 10_000)]
    pub churn_pods: usize,
    /// Nodes of the host; each takes 10,000 pods.
    #[arg(long, default_value_t = 2)]
    pub nodes: usize,
    /// Only these subjects and phases, instead of all of them.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Word>,
    /// File for the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Syncer to measure.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tenet-syncer"))]
    pub syncer: PathBuf,
    /// Folder for logs, audit logs and data; one subfolder for each subject.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Flag that cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Subject, or phase of its measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Word {
    /// The same pods, created on the host.
    Direct,
    /// Replayer of the calls that a perfect syncer has to make.
    Ideal,
    /// Tenet's syncer.
    Tenet,
    /// All pods are created at once.
    Burst,
    /// Nothing changes.
    Rest,
    /// The syncer is killed and started again.
    Restart,
    /// All pods are deleted.
    Delete,
    /// Pods are created at a steady rate.
    Trickle,
    /// Pods come and go in waves, and the memory afterwards is compared with that before. Only when it is named.
    Churn,
}

const SUBJECTS: [Word; 3] = [Word::Direct, Word::Ideal, Word::Tenet];

impl Args {
    /// Returns true if the subject is named on the command line, or none is.
    pub fn measures(&self, subject: Word) -> bool {
        self.only.contains(&subject) || !self.only.iter().any(|word| SUBJECTS.contains(word))
    }

    /// Returns true if the phase is named on the command line, or none is.
    pub fn includes(&self, part: Word) -> bool {
        self.only.contains(&part) || self.only.iter().all(|word| SUBJECTS.contains(word))
    }

    /// Returns true if there is a churn.
    pub fn churns(&self) -> bool {
        self.only.contains(&Word::Churn)
    }

    /// Returns true if there is a burst. Phases that need its pods imply it.
    pub fn bursts(&self) -> bool {
        [Word::Burst, Word::Rest, Word::Restart, Word::Delete].into_iter().any(|part| self.includes(part))
    }
}

//! What is asked for on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures how fast, and at which price, pods of a virtual cluster run on a host cluster.
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
    /// How long to watch for writes when nothing changes.
    #[arg(long, default_value_t = 60)]
    pub rest_seconds: u64,
    /// Nodes of the host; each takes 10,000 pods.
    #[arg(long, default_value_t = 2)]
    pub nodes: usize,
    /// Only these subjects and phases, instead of all of them.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Word>,
    /// Keep the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The syncer to measure.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tenet-syncer"))]
    pub syncer: PathBuf,
    /// Keep logs, audit logs and data here; one folder for each subject.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A subject, or a part of what is measured of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Word {
    /// The same pods, created on the host.
    Direct,
    /// A replayer of the calls that a perfect syncer has to make.
    Ideal,
    /// The real syncer.
    Tenet,
    /// All pods at once.
    Burst,
    /// Nothing changes.
    Rest,
    /// The syncer is killed and started again.
    Restart,
    /// All pods are deleted.
    Delete,
    /// Pods at a steady rate.
    Trickle,
}

const SUBJECTS: [Word; 3] = [Word::Direct, Word::Ideal, Word::Tenet];

impl Args {
    /// Whether a subject is measured: it is named, or none is.
    pub fn measures(&self, subject: Word) -> bool {
        self.only.contains(&subject) || !self.only.iter().any(|word| SUBJECTS.contains(word))
    }

    /// Whether a part is measured: it is named, or none is.
    pub fn includes(&self, part: Word) -> bool {
        self.only.contains(&part) || self.only.iter().all(|word| SUBJECTS.contains(word))
    }

    /// Whether there is a burst: also the phases that need its pods make one.
    pub fn bursts(&self) -> bool {
        [Word::Burst, Word::Rest, Word::Restart, Word::Delete].into_iter().any(|part| self.includes(part))
    }
}

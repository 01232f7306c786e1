//! What is asked for on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures what a stream to a pod costs through Tenet.
#[derive(Clone, Debug, Parser)]
#[command(name = "streams")]
pub struct Args {
    /// Rounds of first bytes; in each, every stream is opened once each way.
    #[arg(long, default_value_t = 200)]
    pub rounds: usize,
    /// Rounds of throughput.
    #[arg(long, default_value_t = 5)]
    pub bulk_rounds: usize,
    /// MB that each stream of a throughput round carries.
    #[arg(long, default_value_t = 256)]
    pub megabytes: u64,
    /// Idle streams whose memory is measured.
    #[arg(long, default_value_t = 500)]
    pub idle: usize,
    /// A smoke run: a few rounds, and figures that mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only jobs whose name has one of these in it.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// The syncer to measure.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tenet-syncer"))]
    pub syncer: PathBuf,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    /// As given, or a smoke run.
    pub fn read() -> Self {
        let args = Self::parse();
        if args.quick { Self { rounds: 3, bulk_rounds: 1, megabytes: 16, idle: 20, ..args } } else { args }
    }

    /// The bytes of a throughput stream.
    pub fn bytes(&self) -> u64 {
        self.megabytes * 1_000_000
    }

    /// Whether a job is measured: it is named, or none is.
    pub fn measures(&self, job: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| job.contains(word.as_str()))
    }
}

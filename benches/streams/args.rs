//! Command-line arguments.

use std::path::PathBuf;

use clap::Parser;

/// Measures the cost of a stream to a pod through Tenet.
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
    /// Smoke run: a few rounds, whose figures mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only jobs whose name contains one of these texts.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Syncer to measure.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tenet-syncer"))]
    pub syncer: PathBuf,
    /// Flag that cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    /// Parses the command line.
    pub fn read() -> Self {
        let args = Self::parse();
        if args.quick { Self { rounds: 3, bulk_rounds: 1, megabytes: 16, idle: 20, ..args } } else { args }
    }

    /// Returns the bytes of a throughput stream.
    pub fn bytes(&self) -> u64 {
        self.megabytes * 1_000_000
    }

    /// Returns true if the job is named on the command line, or none is.
    pub fn measures(&self, job: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| job.contains(word.as_str()))
    }
}

//! Runs the syncer between two real control planes under faults, and compares both sides at the end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use tenet_playground::build_syncer;
use tenet_sim::faults::{Options, run};

/// Runs the syncer between two real control planes under faults.
#[derive(Parser)]
struct Args {
    /// Minutes during which faults come.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Seed of the faults and the changes; a random one by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Keeps logs and stores in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Binary of the syncer; built in release mode by default.
    #[arg(long)]
    syncer: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Child processes end with this one.
    tokio::select! {
        passed = check(args) => match passed {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("faults: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}

/// Runs, prints the report, and returns true if every promise was kept.
async fn check(args: Args) -> anyhow::Result<bool> {
    let syncer = match args.syncer {
        Some(syncer) => std::path::absolute(syncer)?,
        None => build_syncer()?,
    };
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}, {} minutes", args.minutes);
    let length = Duration::from_secs(args.minutes * 60);
    let report =
        run(&Options { syncer, length, seed, dir: args.keep }).await.with_context(|| format!("seed {seed}"))?;
    print!("{report}");
    Ok(report.findings.is_empty())
}

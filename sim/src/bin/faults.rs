//! Runs the syncer between two real control planes under faults, and compares both sides at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
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
        None => build()?,
    };
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}, {} minutes", args.minutes);
    let length = Duration::from_secs(args.minutes * 60);
    let report =
        run(&Options { syncer, length, seed, dir: args.keep }).await.with_context(|| format!("seed {seed}"))?;
    print!("{report}");
    Ok(report.findings.is_empty())
}

fn build() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = std::env::current_exe()?.parent().and_then(Path::parent).context("the target folder")?.to_owned();
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--bin", "tenet-syncer", "--target-dir"]).arg(&target);
    ensure!(command.current_dir(root).status()?.success(), "cannot build the syncer");
    Ok(target.join("release").join("tenet-syncer"))
}

//! Starts a syncer with the built-in mappers.

use std::process::ExitCode;

use tenet_syncer::Args;

/// More threads would only cost memory: the work is waiting for two API servers.
const THREADS: usize = 2;

/// Runs a syncer until it is told to stop. What went wrong is printed, all of it.
pub fn main(args: Args) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenet-syncer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    // A second provider in the process would make rustls panic; the first one stands.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(tenet_syncer::run(args, tenet_core_mappers::all()))
}

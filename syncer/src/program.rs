//! A syncer as a program: the command line, the runtime, the exit code.

use std::process::ExitCode;

use clap::Parser;
use tenet_mapper::Mapper;
use tokio::runtime::Builder;

use crate::{Args, run};

/// More threads would only cost memory: the work is waiting for two API servers.
const THREADS: usize = 2;

/// Runs a syncer with these mappers as a program. It reads the command line and ends with SIGTERM or SIGINT; an error
/// is printed to standard error.
///
/// ```no_run
/// # fn mapper() -> Box<dyn tenet_mapper::Mapper> { unimplemented!() }
/// fn main() -> std::process::ExitCode {
///     tenet_syncer::main(vec![mapper()])
/// }
/// ```
pub fn main(mappers: Vec<Box<dyn Mapper>>) -> ExitCode {
    main_with(Args::parse(), mappers)
}

/// [`main`] with a command line that the caller has read.
pub fn main_with(args: Args, mappers: Vec<Box<dyn Mapper>>) -> ExitCode {
    // A second provider in the process would make rustls panic; the first one stands.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let ended = runtime.map_err(anyhow::Error::new).and_then(|runtime| runtime.block_on(run(args, mappers)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenet-syncer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

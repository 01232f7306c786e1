//! A syncer as a program: the command line, the runtime, the exit code.

use std::process::ExitCode;

use clap::Parser;
use tenet_config::Config;
use tenet_mapper::Mapper;
use tokio::runtime::Builder;

use crate::args::Command;
use crate::claim;
use crate::settings::Settings;
use crate::supervisor::Clients;
use crate::{Args, Sockets, connect, role, run};

/// Number of threads. More would only cost memory, as the syncer mostly waits for two API servers.
const THREADS: usize = 2;

/// Runs a syncer with these mappers and sockets as a program. It reads the command line and ends with SIGTERM or
/// SIGINT; an error is printed to standard error.
///
/// ```no_run
/// # fn mapper() -> Box<dyn tenet_mapper::Mapper> { unimplemented!() }
/// fn main() -> std::process::ExitCode {
///     // With the sockets of the virtual API server: `tenet_sockets::Sockets`.
///     tenet_syncer::main(vec![mapper()], |_, _, _| async {})
/// }
/// ```
pub fn main(mappers: Vec<Box<dyn Mapper>>, sockets: impl Sockets) -> ExitCode {
    main_with(Args::parse(), mappers, sockets)
}

/// [`main`] with a command line that the caller has read.
pub fn main_with(args: Args, mappers: Vec<Box<dyn Mapper>>, sockets: impl Sockets) -> ExitCode {
    if args.print_role || args.print_cluster_role || args.print_virtual_role {
        return ended(role::print(&args, &mappers, &sockets).map(|text| print!("{text}")));
    }
    // rustls panics when two crypto providers are installed; keep the first one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(anyhow::Error::new);
    match args.command {
        Some(Command::Claim(action)) => {
            let printed = runtime.and_then(|runtime| runtime.block_on(act(&args, &mappers, action)));
            ended(printed.map(|text| print!("{text}")))
        }
        None => ended(runtime.and_then(|runtime| runtime.block_on(run(args, mappers, sockets)))),
    }
}

/// Performs a command on the claim of the configuration.
async fn act(args: &Args, mappers: &[Box<dyn Mapper>], action: claim::Action) -> anyhow::Result<String> {
    let settings = Settings::of(mappers)?;
    let config = Config::load_knowing(args.config.as_deref(), &args.overrides(), settings.known())?;
    let (host, virt) = (connect::host(&config).await?, connect::virt(&config).await?);
    claim::run_command(&config, Clients { virt, host }, action).await
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenet-syncer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

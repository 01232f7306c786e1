//! The syncer with the built-in mappers and the sockets of the virtual API server.

use std::process::ExitCode;

use tenet_syncer::Args;

/// Runs a syncer with the built-in mappers until it is told to stop.
pub fn main(args: Args) -> ExitCode {
    tenet_syncer::main_with(args, tenet_core_mappers::all(), tenet_sockets::Sockets)
}

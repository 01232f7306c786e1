//! `tenet`: the command-line tool.

use std::process::ExitCode;

use clap::Parser;
use tenet::syncer;
use tenet_syncer::Args;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tenet_cli::run(|args| syncer::main(Args::parse_from(args)))
}

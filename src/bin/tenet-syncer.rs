//! `tenet-syncer`: the daemon beside a virtual control plane.

use std::process::ExitCode;

use clap::Parser;
use tenet::syncer;
use tenet_syncer::Args;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    syncer::main(Args::parse())
}

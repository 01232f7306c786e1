//! `tenet-syncer`: the daemon beside a virtual control plane.

use std::process::ExitCode;

use tenet::syncer;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    syncer::main(std::env::args_os())
}

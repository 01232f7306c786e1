//! `tenet`: the command-line tool.

use std::process::ExitCode;

use tenet::syncer;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tenet_cli::run(tenet_cli::Engine { run_syncer: |args| syncer::main(args), rights_of: syncer::rights_of })
}

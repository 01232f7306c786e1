//! A syncer with the built-in mappers and the one of IngressClasses.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut mappers = tenet_core_mappers::all();
    mappers.push(ingress_class_mapper::mapper());
    tenet_syncer::main(mappers, tenet_sockets::Sockets)
}

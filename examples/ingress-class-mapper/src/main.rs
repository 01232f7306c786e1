//! A syncer with the built-in mappers, in which this one takes the place of that of IngressClasses.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut mappers = tenet_core_mappers::all();
    mappers.retain(|mapper| mapper.spec().kind != ingress_class_mapper::KIND);
    mappers.push(ingress_class_mapper::mapper());
    tenet_syncer::main(mappers, tenet_sockets::Sockets)
}

//! A syncer with the built-in mappers, in which this one takes the place of that of Ingresses.

use std::process::ExitCode;

fn main() -> Result<ExitCode, tenet_mapper::rules::TableError> {
    let mut mappers = tenet_core_mappers::all();
    mappers.retain(|mapper| mapper.spec().kind != ingress_mapper::KIND);
    mappers.push(ingress_mapper::mapper()?);
    Ok(tenet_syncer::main(mappers, tenet_sockets::Sockets))
}

//! A syncer with the built-in mappers, in which this one takes the place of the built-in mapper of its kind.

use std::process::ExitCode;

fn main() -> Result<ExitCode, tenet_mapper::rules::TableError> {
    let mut mappers = tenet_core_mappers::all();
    mappers.retain(|mapper| mapper.spec().kind != pod_disruption_budget_mapper::KIND);
    mappers.push(pod_disruption_budget_mapper::mapper()?);
    Ok(tenet_syncer::main(mappers, tenet_sockets::Sockets))
}

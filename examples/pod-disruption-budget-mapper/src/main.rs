//! A syncer with the built-in mappers and the one of PodDisruptionBudgets.

use std::process::ExitCode;

fn main() -> Result<ExitCode, tenet_mapper::rules::TableError> {
    let mut mappers = tenet_core_mappers::all();
    mappers.push(pod_disruption_budget_mapper::mapper()?);
    Ok(tenet_syncer::main(mappers, tenet_sockets::Sockets))
}

//! Carries `PodDisruptionBudget`s to the host, so that a drain of a host node respects what the tenant asked for.

use tenet_mapper::rules::{HEAD, Rule, SelectorForm, Table, TableError, copy, omit, selector};
use tenet_mapper::{CopyMapper, Kind, Mapper, MapperSpec};

/// PodDisruptionBudgets, as the API serves them.
pub const KIND: Kind = Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");

const RULES: &[Rule] = &[
    copy("spec.minAvailable").kept(),
    copy("spec.maxUnavailable").kept(),
    copy("spec.unhealthyPodEvictionPolicy").kept(),
    selector("spec.selector", SelectorForm::Labels).kept(),
    omit("status", "the controllers of each cluster count for themselves"),
];

/// The mapper, to be added to the list that a syncer starts with.
pub fn mapper() -> Result<Box<dyn Mapper>, TableError> {
    let table = Table::new(&[("", HEAD), ("", RULES)])?;
    Ok(Box::new(CopyMapper::of_table(MapperSpec::both_sides("pod-disruption-budget", KIND, table))))
}

#[cfg(test)]
mod tests;

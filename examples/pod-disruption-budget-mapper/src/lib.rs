//! Carries `PodDisruptionBudget`s to the host, so that a drain of a host node respects what the tenant asked for.
//!
//! A syncer with this mapper is a program of three lines:
//!
//! ```text
//! let mut mappers = tenet_core_mappers::all();
//! mappers.push(pod_disruption_budget_mapper::mapper()?);
//! tenet_syncer::run(args, mappers, tenet_sockets::run).await
//! ```

use tenet_mapper::rules::{Rule, SelectorForm, Table, TableError, copy, omit, selector, set};
use tenet_mapper::{CopyMapper, Kind, Mapper, MapperSpec};

/// The kind, as the API serves it.
pub const KIND: Kind = Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "carries the host's name and the owner record"),
    copy("spec.minAvailable").kept(),
    copy("spec.maxUnavailable").kept(),
    copy("spec.unhealthyPodEvictionPolicy").kept(),
    selector("spec.selector", SelectorForm::Labels).kept(),
    omit("status", "the controllers of each cluster count for themselves"),
];

/// The mapper, to be added to the list that a syncer starts with. It is nothing but its table: on the host the pods of
/// all virtual namespaces stand side by side, and the table narrows the selector to those of its own.
pub fn mapper() -> Result<Box<dyn Mapper>, TableError> {
    let spec = MapperSpec::both_sides("pod-disruption-budget", KIND, Table::new(&[("", RULES)])?);
    Ok(Box::new(CopyMapper::of_table(spec)))
}

#[cfg(test)]
mod tests;

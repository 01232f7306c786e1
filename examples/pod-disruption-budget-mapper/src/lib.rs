//! Carries `PodDisruptionBudget`s to the host, so that a drain of a host node respects what the tenant asked for.
//!
//! A syncer with this mapper is a program of three lines:
//!
//! ```text
//! let mut mappers = tenet_core_mappers::all();
//! mappers.push(pod_disruption_budget_mapper::mapper()?);
//! tenet_syncer::run(args, mappers, tenet_sockets::run).await
//! ```

use serde_json::{Value, json};
use tenet_mapper::rules::{Rule, Table, TableError, copy, omit, selector, set};
use tenet_mapper::keys::{MANAGED_BY, NAMESPACE};
use tenet_mapper::{Context, CopyMapper, Kind, MapError, Mapper, MapperSpec, Object, Translate};

/// The kind, as the API serves it.
pub const KIND: Kind = Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "carries the host's name and the owner record"),
    copy("spec.minAvailable").kept(),
    copy("spec.maxUnavailable").kept(),
    copy("spec.unhealthyPodEvictionPolicy").kept(),
    selector("spec.selector").kept(),
    omit("status", "the controllers of each cluster count for themselves"),
];

/// What a `PodDisruptionBudget` is on the host.
struct Budgets(MapperSpec);

/// The mapper, to be added to the list that a syncer starts with.
pub fn mapper() -> Result<Box<dyn Mapper>, TableError> {
    let spec = MapperSpec::both_sides("pod-disruption-budget", KIND, Table::new(&[("", RULES)])?);
    Ok(Box::new(CopyMapper::new(Budgets(spec))))
}

impl Translate for Budgets {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    /// On the host the pods of all virtual namespaces stand side by side: the selector is narrowed to its own.
    fn complete(
        &self,
        cx: &Context<'_>,
        virt: &Object,
        _: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        if let Some(selector) = virt.at("/spec/selector").filter(|selector| !selector.is_null()) {
            draft["spec"]["selector"] = selector.clone();
            draft["spec"]["selector"]["matchLabels"][MANAGED_BY] = json!(cx.facts().names.cluster);
            draft["spec"]["selector"]["matchLabels"][NAMESPACE] = json!(virt.namespace());
        }
        Ok(draft)
    }
}

#[cfg(test)]
mod tests;

//! `PodDisruptionBudget`s, so that a drain of a host node respects what the tenant asked for. The host cannot count as
//! the virtual cluster does, as the controllers of the pods are inside: it gets the number that was counted there.

use serde_json::{Value, json};
use tenet_mapper::rules::{Rule, SelectorForm, copy, omit, selector, set};
use tenet_mapper::{
    Context, CopyMapper, Effect, Event, EventReason, Kind, MapError, Mapper, MapperSpec, Object, Outcome, Translate,
    Unwanted,
};

/// `PodDisruptionBudget`s, as the API serves them.
const KIND: Kind = Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");

const RULES: &[Rule] = &[
    set("spec.minAvailable", "the number in status.desiredHealthy, which the virtual cluster has counted").kept(),
    omit("spec.maxUnavailable", "a part of status.desiredHealthy, which is minAvailable on the host"),
    selector("spec.selector", SelectorForm::Labels).kept(),
    copy("spec.unhealthyPodEvictionPolicy").kept(),
    omit("status", "the controllers of each cluster count for themselves"),
];

/// Translation of a `PodDisruptionBudget`.
struct Budgets(MapperSpec);

/// The mapper of `PodDisruptionBudget`s.
pub(crate) fn mapper() -> impl Mapper {
    let table = crate::table(&[("", RULES)]);
    CopyMapper::new(Budgets(MapperSpec::both_sides("pod-disruption-budget", KIND, table)))
}

/// Returns the reason why the virtual cluster cannot count. The numbers beside it are those of an earlier count, or zeros.
fn uncounted(virt: &Object) -> Option<&str> {
    let failed = |condition: &&Value| condition["type"] == "DisruptionAllowed" && condition["reason"] == "SyncFailed";
    virt.list_at("/status/conditions").iter().find(failed)?["message"].as_str()
}

/// Returns the number of pods that must stay; `None` until the virtual cluster has counted for the present spec.
fn desired_healthy(virt: &Object) -> Option<i64> {
    let is_counted = uncounted(virt).is_none()
        && virt.at("/status/observedGeneration").and_then(Value::as_i64)
            >= virt.at("/metadata/generation").and_then(Value::as_i64);
    virt.at("/status/desiredHealthy").and_then(Value::as_i64).filter(|_| is_counted)
}

impl Translate for Budgets {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn should_sync(&self, _: &Context<'_>, virt: &Object) -> bool {
        desired_healthy(virt).is_some()
    }

    fn unwanted(&self, _: &Context<'_>, _: &Object) -> Unwanted {
        Unwanted::Stays
    }

    fn complete(
        &self,
        _: &Context<'_>,
        virt: &Object,
        _: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        draft["spec"]["minAvailable"] = json!(desired_healthy(virt));
        Ok(draft)
    }

    /// Tells that no drain respects a budget which the virtual cluster cannot count.
    fn also(&self, _: &Context<'_>, virt: &Object, outcome: Outcome) -> Outcome {
        outcome.then_each(uncounted(virt).map(|why| {
            let message = format!("drains of the host do not respect it as it is now: {why}");
            Effect::Emit(Event::warning(KIND, virt, EventReason::Degraded, message))
        }))
    }
}

#[cfg(test)]
mod tests;

//! Policy inside that refuses what a tenant cannot have of a Node: a cordon, a taint, a label.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tenet_mapper::keys::CROSSED;
use tenet_mapper::{Context, Dependency, Effect, MapperSpec, kinds};

use crate::picture_policy::{self, either, variable};

const NAME: &str = "tenet-nodes";

const ASK: &str = "Ask the operator of the host, who can also permit it with nodes.tenantScheduling: true";

/// Adds what the policy needs to the mapper.
pub(super) fn declare(spec: MapperSpec) -> MapperSpec {
    picture_policy::declare(spec, "refuses changes of virtual nodes that the host would not follow")
}

/// Returns the effects that keep the policy, and the objects whose change may ask for more.
pub(super) fn keep(cx: &Context<'_>, tenant_scheduling: bool) -> (Vec<Effect>, Vec<Dependency>) {
    picture_policy::keep(cx, NAME, if tenant_scheduling { &OF_HOST } else { &ALL })
}

/// Nothing may change.
static ALL: LazyLock<Value> = LazyLock::new(|| {
    spec(
        &json!([
            variable("labels", &either("object", "metadata.labels", "{}")),
            variable("oldLabels", &either("oldObject", "metadata.labels", "{}")),
            variable("taints", &either("object", "spec.taints", "[]")),
            variable("oldTaints", &either("oldObject", "spec.taints", "[]")),
            variable("cordoned", &either("object", "spec.unschedulable", "false")),
            variable("oldCordoned", &either("oldObject", "spec.unschedulable", "false")),
        ]),
        &json!([
            rule(
                "variables.labels == variables.oldLabels",
                "labels of a Node are those of the host, whose scheduler sees no others",
            ),
            rule(
                "variables.taints == variables.oldTaints",
                "taints of a Node are those of the host, whose scheduler sees no others",
            ),
            rule(
                "variables.cordoned == variables.oldCordoned",
                "a Node is cordoned on the host, whose scheduler does not see a cordon from inside",
            ),
        ]),
    )
});

/// Settings of the host may not change; those that the tenant adds are honoured.
static OF_HOST: LazyLock<Value> = LazyLock::new(|| {
    let record = format!("metadata.annotations['{CROSSED}']");
    let has = format!("has(oldObject.metadata.annotations) && '{CROSSED}' in oldObject.metadata.annotations");
    spec(
        &json!([
            variable("host", &format!("{has} ? oldObject.{record}.split(',') : []")),
            variable("labels", &either("object", "metadata.labels", "{}")),
            variable("oldLabels", &either("oldObject", "metadata.labels", "{}")),
            variable("taints", &either("object", "spec.taints", "[]")),
            variable("oldTaints", &either("oldObject", "spec.taints", "[]")),
            variable("cordoned", &either("object", "spec.unschedulable", "false")),
        ]),
        &json!([
            rule(
                "variables.oldLabels.all(k, !(('l:' + k) in variables.host) || \
                 (k in variables.labels && variables.labels[k] == variables.oldLabels[k]))",
                "a label of the host stays as it is; labels of your own may be added",
            ),
            rule(
                "variables.oldTaints.all(t, !(('t:' + t.key + ':' + t.effect) in variables.host) || \
                 variables.taints.exists(n, n.key == t.key && n.effect == t.effect && \
                 (has(n.value) ? n.value : '') == (has(t.value) ? t.value : '')))",
                "a taint of the host stays as it is; taints of your own may be added",
            ),
            rule("!('u:' in variables.host) || variables.cordoned", "the Node is cordoned on the host"),
        ]),
    )
});

fn spec(variables: &Value, validations: &Value) -> Value {
    picture_policy::spec(kinds::NODE, variables, validations)
}

fn rule(expression: &str, why: &str) -> Value {
    picture_policy::rule(expression, &format!("{why}. {ASK}"))
}

//! Policy inside that refuses what a tenant cannot have of a Node. Without it the syncer would undo a cordon, a taint
//! or a label a moment after the API server said yes.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tenet_mapper::keys::{CROSSED, FIELD_MANAGER, MANAGED_BY};
use tenet_mapper::{
    ApplyVirtual, Context, Dependency, Effect, Input, KeysOf, Kind, MapperSpec, Projection, Right, Side, Verb,
    VirtualKey,
};

/// Policies that the API server evaluates itself.
pub(super) const POLICY: Kind = admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies");
/// Binding of such a policy, which says where it applies.
pub(super) const BINDING: Kind = admission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings");

const NAME: &str = "tenet-nodes";

/// Controllers of a control plane, which the policy exempts: the syncer undoes what they write.
const CONTROLLERS: [&str; 3] = [
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:cloud-node-controller",
    "system:serviceaccount:kube-system:node-controller",
];

const ASK: &str = "Ask the operator of the host, who can also permit it with nodes.tenantScheduling: true";

const fn admission(kind: &'static str, plural: &'static str) -> Kind {
    Kind::of("admissionregistration.k8s.io", "v1", kind, plural).cluster_scoped()
}

/// Adds what the policy needs to the mapper.
pub(super) fn declare(spec: MapperSpec) -> MapperSpec {
    [POLICY, BINDING].into_iter().fold(spec, |spec, kind| {
        let input = Input::new(Side::Virtual, kind, Projection::Whole, KeysOf::None).optional();
        let why = "refuses changes of virtual nodes that the host would not follow";
        spec.reads(input.selected(MANAGED_BY)).needs(Right::virt(kind, Verb::KEEP, why))
    })
}

/// Returns the effects that keep the policy, and the objects whose change may ask for more.
pub(super) fn keep(cx: &Context<'_>, tenant_scheduling: bool) -> (Vec<Effect>, Vec<Dependency>) {
    let key = VirtualKey::new("", NAME);
    let rules = if tenant_scheduling { &*OF_HOST } else { &*ALL };
    let parts = [(POLICY, rules), (BINDING, &*BOUND)].into_iter().filter(|(kind, _)| cx.can_read(Side::Virtual, *kind));
    let parts: Vec<_> = parts.collect();
    let is_kept = |kind: Kind, spec: &Value| cx.virt(kind, &key).is_some_and(|found| found.at("/spec") == Some(spec));
    let missing = parts.iter().filter(|(kind, spec)| !is_kept(*kind, spec)).map(|(kind, spec)| {
        let desired =
            json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": NAME}, "spec": spec});
        Effect::ApplyVirtual(ApplyVirtual { kind: *kind, key: key.clone(), desired, adopt: false })
    });
    (missing.collect(), parts.iter().map(|(kind, _)| Dependency::virt(*kind, &key)).collect())
}

static BOUND: LazyLock<Value> = LazyLock::new(|| json!({"policyName": NAME, "validationActions": ["Deny"]}));

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

/// Every field that the API server would fill in is written, so that what is stored equals what is wanted.
fn spec(variables: &Value, validations: &Value) -> Value {
    let controllers = CONTROLLERS.map(|name| format!("'{name}'")).join(", ");
    json!({
        "failurePolicy": "Ignore",
        "matchConstraints": {
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"], "scope": "*",
            }],
        },
        "matchConditions": [
            {
                "name": "of-a-node-of-the-host",
                "expression": format!("has(oldObject.metadata.labels) && '{MANAGED_BY}' in oldObject.metadata.labels"),
            },
            {
                "name": "not-by-the-syncer",
                "expression": format!(
                    "!(has(request.options) && has(request.options.fieldManager) && \
                     request.options.fieldManager == '{FIELD_MANAGER}')"
                ),
            },
            {"name": "not-by-a-controller", "expression": format!("!(request.userInfo.username in [{controllers}])")},
        ],
        "variables": variables,
        "validations": validations,
    })
}

fn variable(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

/// Returns the expression of a field that may be absent.
fn either(object: &str, field: &str, absent: &str) -> String {
    format!("has({object}.{field}) ? {object}.{field} : {absent}")
}

fn rule(expression: &str, why: &str) -> Value {
    json!({"expression": expression, "message": format!("{why}. {ASK}"), "reason": "Forbidden"})
}

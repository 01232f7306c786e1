//! Policies inside that refuse changes of what pictures something of the host. Without one the syncer would undo a
//! change a moment after the API server said yes.

use serde_json::{Value, json};
use tenet_mapper::keys::{FIELD_MANAGER, MANAGED_BY};
use tenet_mapper::{
    ApplyVirtual, Context, Dependency, Effect, Input, KeysOf, Kind, MapperSpec, Projection, Right, Side, Verb,
    VirtualKey,
};

/// Policies that the API server evaluates itself.
pub(crate) const POLICY: Kind = admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies");
/// Binding of such a policy, which says where it applies.
pub(crate) const BINDING: Kind = admission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings");

/// Controllers of a control plane, which a policy exempts: the syncer undoes what they write.
const CONTROLLERS: [&str; 3] = [
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:cloud-node-controller",
    "system:serviceaccount:kube-system:node-controller",
];

const fn admission(kind: &'static str, plural: &'static str) -> Kind {
    Kind::of("admissionregistration.k8s.io", "v1", kind, plural).cluster_scoped()
}

/// Adds what a policy needs to the mapper of the pictures.
pub(crate) fn declare(spec: MapperSpec, why: &'static str) -> MapperSpec {
    [POLICY, BINDING].into_iter().fold(spec, |spec, kind| {
        let input = Input::new(Side::Virtual, kind, Projection::Whole, KeysOf::None).optional();
        spec.reads(input.selected(MANAGED_BY)).needs(Right::virt(kind, Verb::KEEP, why))
    })
}

/// Returns the effects that keep a policy, and the objects whose change may ask for more.
pub(crate) fn keep(cx: &Context<'_>, name: &str, rules: &Value) -> (Vec<Effect>, Vec<Dependency>) {
    let key = VirtualKey::new("", name);
    let bound = json!({"policyName": name, "validationActions": ["Deny"]});
    let parts = [(POLICY, rules), (BINDING, &bound)].into_iter().filter(|(kind, _)| cx.can_read(Side::Virtual, *kind));
    let parts: Vec<_> = parts.collect();
    let is_kept = |kind: Kind, spec: &Value| cx.virt(kind, &key).is_some_and(|found| found.at("/spec") == Some(spec));
    let missing = parts.iter().filter(|(kind, spec)| !is_kept(*kind, spec)).map(|(kind, spec)| {
        let desired =
            json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": name}, "spec": spec});
        Effect::ApplyVirtual(ApplyVirtual { kind: *kind, key: key.clone(), desired, adopt: false })
    });
    (missing.collect(), parts.iter().map(|(kind, _)| Dependency::virt(*kind, &key)).collect())
}

/// Returns the policy for the pictures of a kind. Every field that the API server would fill in is written, so that what
/// is stored equals what is wanted.
pub(crate) fn spec(kind: Kind, variables: &Value, validations: &Value) -> Value {
    let controllers = CONTROLLERS.map(|name| format!("'{name}'")).join(", ");
    let mut spec = json!({
        "failurePolicy": "Ignore",
        "matchConstraints": {
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{
                "apiGroups": [kind.group], "apiVersions": [kind.version], "operations": ["UPDATE"],
                "resources": [kind.plural], "scope": "*",
            }],
        },
        "matchConditions": [
            {
                "name": format!("of-a-{}-of-the-host", kind.kind.to_lowercase()),
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
        "validations": validations,
    });
    if variables.as_array().is_some_and(|variables| !variables.is_empty()) {
        spec["variables"] = variables.clone();
    }
    spec
}

/// Returns a variable of a policy.
pub(crate) fn variable(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

/// Returns the expression of a field that may be absent.
pub(crate) fn either(object: &str, field: &str, absent: &str) -> String {
    format!("has({object}.{field}) ? {object}.{field} : {absent}")
}

/// Returns a validation that denies with this message.
pub(crate) fn rule(expression: &str, message: &str) -> Value {
    json!({"expression": expression, "message": message, "reason": "Forbidden"})
}

/// Returns a validation that denies a change of a field.
pub(crate) fn unchanged(field: &str, message: &str) -> Value {
    let is_same = format!(
        "has(object.{field}) == has(oldObject.{field}) && (!has(object.{field}) || object.{field} == oldObject.{field})"
    );
    rule(&is_same, message)
}

use serde_json::Value;

use super::{Scope, SelectorError, label_selector, pod_affinity, service_selector, spread_constraint};

/// The form of a field that selects pods by their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorForm {
    /// A map of labels, as in the spec of a Service. An empty one selects nothing.
    Map,
    /// A `metav1.LabelSelector`. An empty one selects every pod of the namespace.
    Labels,
    /// A `PodAffinity` or `PodAntiAffinity`.
    PodAffinity,
    /// A `TopologySpreadConstraint`.
    SpreadConstraint,
}

impl SelectorForm {
    /// The field as it crosses; `None` when it is not there. `labels` are those of the object that carries it.
    pub fn narrow(
        self,
        field: &Value,
        labels: Option<&Value>,
        scope: Scope<'_>,
    ) -> Result<Option<Value>, SelectorError> {
        if field.is_null() {
            return Ok(None);
        }
        match self {
            Self::Map => Ok(service_selector(Some(field), scope)?.map(Value::Object)),
            Self::Labels => label_selector(Some(field), scope),
            Self::PodAffinity => pod_affinity(field, labels, scope).map(Some),
            Self::SpreadConstraint => spread_constraint(field, labels, scope).map(Some),
        }
    }
}

//! Admission of a host that changes pods: labels, annotations, a sidecar, tolerations.

use std::sync::Arc;

use serde_json::{Value, json};
use tenet_mapper::kinds;

use crate::api::{Admission, Review, Verb};

/// Returns an admission that changes every pod when it is created.
pub fn admission() -> Admission {
    Arc::new(|review: &Review<'_>, object: &mut Value| {
        if review.kind != kinds::POD || review.verb != Verb::Create || !review.subresource.is_empty() {
            return Ok(());
        }
        object["metadata"]["labels"]["example.com/injected"] = json!("true");
        object["metadata"]["annotations"]["example.com/injected"] = json!("true");
        if let Some(containers) = object["spec"]["containers"].as_array_mut() {
            containers.push(json!({"name": "injected-sidecar", "image": "example.com/sidecar:1"}));
        }
        let tolerations = object["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        let added = json!({"key": "example.com/added", "operator": "Exists", "effect": "NoSchedule"});
        object["spec"]["tolerations"] = tolerations.into_iter().chain([added]).collect();
        Ok(())
    })
}

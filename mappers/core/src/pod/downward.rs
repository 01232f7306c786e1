//! Downward API: field paths are rewritten so that containers read virtual values.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenet_mapper::keys::{CROSSED, VALUE};
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::downward::{Downward, PodFields};
use tenet_mapper::{crossed, kinds, pointer};

use super::{Subject, containers, tokens};

/// All field paths of a pod, rewritten.
pub(super) struct Fields {
    turned: Vec<(String, String)>,
    annotations: BTreeMap<String, String>,
    /// Paths that cannot be rewritten.
    pub(super) refusals: Vec<Refusal>,
}

impl Fields {
    /// Rewrites all field paths of a virtual pod.
    pub(super) fn of(pod: &Subject<'_, '_>) -> Self {
        let mut downward = Downward::new(PodFields {
            labels: pod.virt.at("/metadata/labels"),
            annotations: pod.virt.at("/metadata/annotations"),
            service_account: tokens::account(pod.virt),
            allow: &pod.cx.facts().annotations,
            policy: &pod.cx.facts().labels,
        });
        let (mut turned, mut refusals) = (Vec::new(), Vec::new());
        for pointer in pointers(pod.virt.value()) {
            let Some(path) = pod.virt.at(&pointer).and_then(Value::as_str) else { continue };
            match downward.turn(path) {
                Ok(path) => turned.push((pointer, path)),
                Err(error) => refusals.push(Refusal { field: pointer::field(&pointer), why: error.to_string() }),
            }
        }
        Self { turned, annotations: downward.annotations(), refusals }
    }

    /// Writes the rewritten paths into a draft.
    pub(super) fn put(&self, draft: &mut Value) {
        for (pointer, path) in &self.turned {
            pointer::set(draft, pointer, json!(path));
        }
    }

    /// Returns the metadata of the host pod, with the values that the rewritten paths read.
    pub(super) fn metadata(&self, pod: &Subject<'_, '_>) -> Value {
        let mut metadata = pod.cx.metadata(kinds::POD, pod.virt, &pod.host_key);
        for key in EVICTION {
            if let Some(value) = word_on_eviction(pod, key) {
                crossed::add(&mut metadata, key, value);
            }
        }
        let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return metadata };
        let mut crossed = annotations.get(CROSSED).and_then(Value::as_str).unwrap_or_default().to_owned();
        for (key, value) in &self.annotations {
            annotations.insert(key.clone(), json!(value));
            // Remove the annotation of a value that the tenant has removed.
            if key.starts_with(VALUE) {
                crossed.push_str(if crossed.is_empty() { "a:" } else { ",a:" });
                crossed.push_str(key);
            }
        }
        annotations.insert(CROSSED.to_owned(), json!(crossed));
        metadata
    }
}

/// Annotation that says to the cluster autoscaler if it may evict a pod. It evicts pods that have a controller.
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Annotations that say to controllers of the host if they may evict a pod.
const EVICTION: [&str; 4] = [
    SAFE_TO_EVICT,
    "descheduler.alpha.kubernetes.io/evict",
    "descheduler.alpha.kubernetes.io/prefer-no-eviction",
    "karpenter.sh/do-not-disrupt",
];

/// Returns the tenant's word for a controller that evicts pods; for the cluster autoscaler also that nothing inside
/// would replace the pod.
fn word_on_eviction<'p>(pod: &'p Subject<'_, '_>, key: &str) -> Option<&'p str> {
    let is_bare = || !pod.virt.list_at("/metadata/ownerReferences").iter().any(|owner| owner["controller"] == true);
    pod.virt.annotation(key).or_else(|| (key == SAFE_TO_EVICT && is_bare()).then_some("false"))
}

/// The pointers of all field paths.
fn pointers(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for container in containers(pod) {
        let env = pointer::elements(pod, &format!("{container}/env"));
        found.extend(env.iter().map(|variable| format!("{variable}/valueFrom/fieldRef/fieldPath")));
    }
    for volume in pointer::elements(pod, "/spec/volumes") {
        let mut sources = pointer::elements(pod, &format!("{volume}/projected/sources"));
        sources.push(volume);
        let files = sources.iter().flat_map(|source| pointer::elements(pod, &format!("{source}/downwardAPI/items")));
        found.extend(files.map(|file| format!("{file}/fieldRef/fieldPath")));
    }
    found
}

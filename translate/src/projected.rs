//! Projected volumes with content that only the virtual cluster has: tokens, trust anchors and certificates. The host
//! must never give its own, so every such source becomes a `secret` source, at the same index: the order decides which
//! of two sources writes a file.

mod file;

pub use file::{FileError, ProjectedFile};

use serde_json::Value;

use crate::pointer;

/// Returns the sources of all projected volumes of a pod: the name of the volume, the index within it, and the source.
pub fn sources(pod_spec: &Value) -> impl Iterator<Item = (&str, usize, &Value)> {
    let volumes = pod_spec.get("volumes").and_then(Value::as_array).into_iter().flatten();
    volumes.flat_map(|volume| {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        let sources = pointer::get(volume, "/projected/sources").and_then(Value::as_array);
        sources.into_iter().flatten().enumerate().map(move |(index, source)| (name, index, source))
    })
}

/// Returns the key of a source in the Secret of the pod. The name of a volume has no dot, so keys differ.
pub fn data_key(volume: &str, source: usize) -> String {
    format!("{volume}.{source}")
}

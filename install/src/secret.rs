//! Secrets of one virtual cluster on the host.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::bootstrap::Request;
use crate::names;

/// Returns the Secret with these texts.
pub(crate) fn object(request: &Request, name: &str, texts: &Value) -> Value {
    let mut metadata = json!({"name": name, "namespace": request.namespace, "labels": names::labels(&request.name)});
    if let Some(workloads) = &request.workloads {
        metadata["annotations"] = json!({names::WORKLOAD_NAMESPACE: workloads.namespace});
    }
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": texts,
    })
}

/// Returns the text of a key; `None` if the Secret lacks it, or it is unreadable.
pub fn text(secret: &Value, key: &str) -> Option<String> {
    let bytes = STANDARD.decode(secret["data"][key].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

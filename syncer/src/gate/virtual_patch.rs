//! Parts of virtual objects that the host owns: status, addresses.

use serde_json::{Value, json};
use tenet_mapper::{MapError, Side, VirtualPatch, patch};

use super::{Done, Gate};
use crate::api::{PatchType, Target};

impl Gate {
    pub(super) async fn patch_virtual(&self, wanted: VirtualPatch) -> Result<Done, MapError> {
        let VirtualPatch { kind, key, uid, version, subresource, values } = wanted;
        let cached = self.cached(Side::Virtual, kind, key.namespace(), key.name()).filter(|cached| cached.uid() == uid);
        let Some(cached) = cached else {
            return Err(MapError::Conflict(format!("{kind} {key} is not what was seen")));
        };
        let mut body = json!({});
        for (pointer, value) in &values {
            if let Some(change) = patch::merge_diff(cached.at(pointer).unwrap_or(&Value::Null), value) {
                put(&mut body, pointer, change);
            }
        }
        if body == json!({}) {
            return Ok(Done::Unchanged);
        }
        // The server compares the UID: another incarnation answers with a conflict.
        body["metadata"]["uid"] = json!(uid);
        // Outside of a status the tenant writes too, and lists are replaced whole.
        if let Some(version) = version.or_else(|| subresource.is_none().then(|| cached.resource_version().to_owned())) {
            body["metadata"]["resourceVersion"] = json!(version);
        }
        let target = Target::new(kind, key.namespace(), key.name()).sub(subresource);
        let answer =
            self.call(Side::Virtual, "patch", |api, limit| api.patch(&target, PatchType::Merge, &body, limit)).await?;
        self.ingest(Side::Virtual, kind, answer);
        Ok(Done::Wrote)
    }
}

/// Puts a value at a pointer and makes the members on the way.
fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut at = body;
    for token in pointer.split('/').skip(1) {
        at = &mut at[token.replace("~1", "/").replace("~0", "~")];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_put_where_its_pointer_says() {
        let mut body = json!({});
        put(&mut body, "/spec/ports", json!([1]));
        put(&mut body, "/status", json!({"a": 1}));
        assert_eq!(body, json!({"spec": {"ports": [1]}, "status": {"a": 1}}));
    }
}

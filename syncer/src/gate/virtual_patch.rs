//! Parts of virtual objects that the host owns: status, addresses.

use serde_json::{Value, json};
use tenet_mapper::{MapError, Side, VirtualPatch, patch, pointer};

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
                pointer::set(&mut body, pointer, change);
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
        let target = Target::new(kind, key.namespace(), key.name()).subresource(subresource);
        let answer =
            self.call(Side::Virtual, "patch", |api, limit| api.patch(&target, PatchType::Merge, &body, limit)).await?;
        self.ingest(Side::Virtual, kind, answer);
        Ok(Done::Wrote)
    }
}

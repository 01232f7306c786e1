//! Virtual objects that picture something of the host.

use http::StatusCode;
use serde_json::{Value, json};
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::{ApplyVirtual, MapError, Object, Side, patch};

use super::{Done, Gate, errors};
use crate::api::{PatchType, Target};

impl Gate {
    pub(super) async fn apply_virtual(&self, mut apply: ApplyVirtual) -> Result<Done, MapError> {
        let cluster = self.parts.facts.load().names.cluster.clone();
        apply.desired["metadata"]["labels"][MANAGED_BY] = json!(cluster);
        match self.cached(Side::Virtual, apply.kind, apply.key.namespace(), apply.key.name()) {
            Some(cached) => {
                self.check_mark(&apply, cached.value())?;
                self.update_virtual(&apply, &cached).await
            }
            None => self.create_virtual(&apply).await,
        }
    }

    async fn create_virtual(&self, apply: &ApplyVirtual) -> Result<Done, MapError> {
        let target = Target::new(apply.kind, apply.key.namespace(), apply.key.name());
        match self.send(Side::Virtual, "create", |api, limit| api.create(&target, &apply.desired, limit)).await {
            Ok(created) => {
                self.ingest(Side::Virtual, apply.kind, created);
                Ok(Done::Wrote)
            }
            Err(error) if error.code() == Some(StatusCode::CONFLICT) => {
                let Some(found) = self.read(Side::Virtual, &target).await? else {
                    return Err(errors::classify(error));
                };
                self.check_mark(apply, &found)?;
                self.ingest(Side::Virtual, apply.kind, found.clone());
                self.update_virtual(apply, &Object::new(found)).await
            }
            Err(error) => Err(errors::classify(error)),
        }
    }

    async fn update_virtual(&self, apply: &ApplyVirtual, found: &Object) -> Result<Done, MapError> {
        let main = self.update_virtual_part(apply, found, None).await?;
        let status = match apply.desired.get("status") {
            Some(_) => self.update_virtual_part(apply, found, Some("status")).await?,
            None => Done::Unchanged,
        };
        Ok(if (main, status) == (Done::Unchanged, Done::Unchanged) { Done::Unchanged } else { Done::Wrote })
    }

    async fn update_virtual_part(
        &self,
        apply: &ApplyVirtual,
        found: &Object,
        subresource: Option<&'static str>,
    ) -> Result<Done, MapError> {
        let mut body = changes(&apply.desired, found.value(), subresource);
        if body == json!({}) {
            return Ok(Done::Unchanged);
        }
        body["metadata"]["uid"] = json!(found.uid());
        let target = Target::new(apply.kind, apply.key.namespace(), apply.key.name()).subresource(subresource);
        let answer =
            self.call(Side::Virtual, "patch", |api, limit| api.patch(&target, PatchType::Merge, &body, limit)).await?;
        self.ingest(Side::Virtual, apply.kind, answer);
        Ok(Done::Wrote)
    }

    fn check_mark(&self, apply: &ApplyVirtual, found: &Value) -> Result<(), MapError> {
        let mark = found.pointer("/metadata/labels").and_then(|labels| labels.get(MANAGED_BY)).and_then(Value::as_str);
        if apply.adopt || mark == Some(&self.parts.facts.load().names.cluster) {
            return Ok(());
        }
        Err(MapError::Foreign {
            place: format!("{} {} in the virtual cluster", apply.kind, apply.key),
            why: format!("it lacks the label {MANAGED_BY}"),
        })
    }
}

/// What has to change: of the metadata, labels and annotations that the picture has; of
/// the rest, everything that it has, either the status or all but the status.
fn changes(desired: &Value, found: &Value, subresource: Option<&str>) -> Value {
    let mut body = json!({});
    let Some(members) = desired.as_object() else { return body };
    for (name, wanted) in members {
        let found = found.get(name).unwrap_or(&Value::Null);
        let change = match name.as_str() {
            "metadata" if subresource.is_none() => metadata_changes(wanted, found),
            "apiVersion" | "kind" | "metadata" => None,
            _ if subresource.map_or(name == "status", |subresource| subresource != name) => None,
            _ => patch::merge_diff(found, wanted),
        };
        if let Some(change) = change {
            body[name] = change;
        }
    }
    body
}

fn metadata_changes(wanted: &Value, found: &Value) -> Option<Value> {
    let mut change = json!({});
    for map in ["labels", "annotations"] {
        for (key, value) in wanted.get(map).and_then(Value::as_object).into_iter().flatten() {
            if found.get(map).and_then(|map| map.get(key)) != Some(value) {
                change[map][key] = value.clone();
            }
        }
    }
    (change != json!({})).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_enforces_what_it_shows_and_leaves_the_rest() {
        let desired = json!({"kind": "Node", "metadata": {"name": "a", "labels": {"x": "1"}},
                             "spec": {"taints": []}, "status": {"phase": "on"}});
        let found = json!({"kind": "Node", "metadata": {"name": "a", "labels": {"x": "0", "theirs": "y"}},
                           "spec": {"taints": [{"key": "k"}], "podCIDR": "c"}, "status": {"phase": "off"}});
        assert_eq!(
            changes(&desired, &found, None),
            json!({"metadata": {"labels": {"x": "1"}}, "spec": {"taints": [], "podCIDR": null}})
        );
        assert_eq!(changes(&desired, &found, Some("status")), json!({"status": {"phase": "on"}}));
        assert_eq!(changes(&desired, &desired, None), json!({}));
    }
}

//! Registrations of the sockets at the virtual API server.

use http::StatusCode;
use serde_json::{Value, json};
use tenet_mapper::{Kind, MapError, Side, patch};

use super::limiter::Class;
use super::{Done, Gate, errors};
use crate::api::{PatchType, Target};

impl Gate {
    /// Keeps a cluster-scoped object of the virtual API server equal to `desired`: of the
    /// metadata only the labels, of the rest every field in `desired`. The sockets register as soon as the API server
    /// is back, which may be another one, so the claim is verified first.
    pub async fn register(&self, kind: Kind, desired: &Value) -> Result<Done, MapError> {
        let name = desired.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let namespace = desired.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let (target, class) = (Target::new(kind, namespace, name), Class::Kind(kind.group_kind()));
        let Some(found) = self.read(Side::Virtual, &target).await? else {
            self.parts.claim.verify(Side::Virtual).await?;
            return match self
                .send(Side::Virtual, class, "create", |api, limit| api.create(&target, desired, limit))
                .await
            {
                Ok(_) => Ok(Done::Wrote),
                Err(error) => Err(errors::classify(error)),
            };
        };
        let mut change = json!({});
        for (member, wanted) in desired.as_object().into_iter().flatten() {
            let wanted = if member == "metadata" { &json!({"labels": wanted["labels"]}) } else { wanted };
            if !covers(&found[member], wanted) {
                change[member] = wanted.clone();
            }
        }
        if change == json!({}) {
            return Ok(Done::Unchanged);
        }
        self.parts.claim.verify(Side::Virtual).await?;
        change["metadata"]["uid"] = found["metadata"]["uid"].clone();
        change["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
        self.call(Side::Virtual, class, "patch", |api, limit| api.patch(&target, PatchType::Merge, &change, limit))
            .await?;
        Ok(Done::Wrote)
    }

    /// Deletes a registration.
    pub async fn unregister(&self, kind: Kind, namespace: &str, name: &str) -> Result<Done, MapError> {
        let (target, class) = (Target::new(kind, namespace, name), Class::Kind(kind.group_kind()));
        let Some(found) = self.read(Side::Virtual, &target).await? else { return Ok(Done::Unchanged) };
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": found["metadata"]["uid"]},
        });
        match self.send(Side::Virtual, class, "delete", |api, limit| api.delete(&target, &options, limit)).await {
            Ok(_) => Ok(Done::Wrote),
            Err(error) if error.code() == Some(StatusCode::NOT_FOUND) => Ok(Done::Unchanged),
            Err(error) => Err(errors::classify(error)),
        }
    }
}

/// Returns true if `found` contains all of `wanted`; fields that the server adds are ignored.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| covers(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| covers(found, wanted))
        }
        _ => patch::same(found, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_adds_is_no_difference_and_everything_else_is() {
        let wanted = json!({"webhooks": [{"name": "a", "rules": [{"operations": ["CREATE"]}]}]});
        let mut found = json!({"webhooks": [{"name": "a", "rules": [{"operations": ["CREATE"], "scope": "*"}]}]});
        assert!(covers(&found, &wanted));
        found["webhooks"][0]["rules"][0]["operations"] = json!(["CREATE", "UPDATE"]);
        assert!(!covers(&found, &wanted));
        assert!(!covers(&json!({"webhooks": []}), &wanted));
    }
}

//! Host objects that are created or changed before the virtual API server stores their
//! originals.

use serde_json::{Value, json};
use tenet_mapper::keys::{PENDING, PENDING_OVER};
use tenet_mapper::{HostKey, Kind, Object, Reservation, Side, pointer};

use super::Gate;
use super::limiter::Class;
use crate::api::{ApiError, PatchType, Target};

/// The mark that makes a host object a reservation.
pub struct Mark<'m> {
    /// Start of the reservation, in unix seconds.
    pub since: i64,
    /// The stored virtual object, when the request changes one.
    pub over: Option<&'m Object>,
    /// True for a dry run.
    pub dry_run: bool,
}

impl Gate {
    /// Creates a host object for a request.
    pub async fn reserve(
        &self,
        kind: Kind,
        key: &HostKey,
        mut desired: Value,
        mark: &Mark<'_>,
    ) -> Result<Value, ApiError> {
        for (annotation, value) in mark.annotations() {
            desired["metadata"]["annotations"][annotation] = json!(value);
        }
        let target = Target::new(kind, key.namespace(), key.name()).dry(mark.dry_run);
        let created =
            self.send(Side::Host, Class::Spare, "create", |api, limit| api.create(&target, &desired, limit)).await?;
        self.learn(kind, &created, mark);
        if !mark.dry_run {
            self.parts.metrics.admission.reserved(kind, "created");
        }
        Ok(created)
    }

    /// Adds the values that a request needs to a host object and marks it, if it is unchanged since it was seen.
    pub async fn extend(
        &self,
        kind: Kind,
        host: &Object,
        values: &[(String, Value)],
        mark: &Mark<'_>,
    ) -> Result<Value, ApiError> {
        let mut ops = vec![
            json!({"op": "replace", "path": "/metadata/uid", "value": host.uid()}),
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": host.resource_version()}),
        ];
        for (annotation, value) in mark.annotations() {
            let path = format!("/metadata/annotations/{}", pointer::escape(annotation));
            ops.push(json!({"op": "add", "path": path, "value": value}));
        }
        ops.extend(values.iter().map(|(path, value)| json!({"op": "add", "path": path, "value": value})));
        let (target, ops) = (Target::new(kind, host.namespace(), host.name()).dry(mark.dry_run), Value::Array(ops));
        let changed = self
            .send(Side::Host, Class::Spare, "patch", |api, limit| api.patch(&target, PatchType::Json, &ops, limit))
            .await?;
        self.learn(kind, &changed, mark);
        if !mark.dry_run {
            self.parts.metrics.admission.reserved(kind, "extended");
        }
        Ok(changed)
    }

    fn learn(&self, kind: Kind, answer: &Value, mark: &Mark<'_>) {
        if !mark.dry_run {
            self.ingest(Side::Host, kind, answer.clone());
        }
    }
}

impl Mark<'_> {
    fn annotations(&self) -> Vec<(&'static str, String)> {
        let over = self.over.map(|old| (PENDING_OVER, Reservation::base(old)));
        std::iter::once((PENDING, self.since.to_string())).chain(over).collect()
    }
}

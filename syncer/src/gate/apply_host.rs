//! Host objects: created once, then kept up to date by the smallest patch.

use http::StatusCode;
use serde_json::{Value, json};
use tenet_mapper::keys::PENDING;
use tenet_mapper::{ApplyHost, Kind, MapError, Object, Projection, Side, kinds, patch};

use super::{Done, Gate, errors};
use crate::api::{PatchType, Target};

impl Gate {
    pub(super) async fn apply_host(&self, mut apply: ApplyHost) -> Result<Done, MapError> {
        let cached = self.cached(Side::Host, apply.kind, apply.key.namespace(), apply.key.name());
        if let Some(cached) = &cached {
            self.check_owner(apply.kind, cached.value(), &apply.owner)?;
        }
        let projection = self.projection(apply.kind);
        if let Some(table) = apply.table.clone() {
            for body in std::iter::once(&mut apply.desired).chain(&mut apply.fallback) {
                patch::note_applied(body, &table, &projection);
            }
        }
        match cached {
            Some(cached) => {
                let ops = patch::host_ops(&apply.desired, cached.value(), apply.table.as_deref(), &projection);
                self.update_host(&apply, &cached, ops).await
            }
            None => self.create_host(&apply).await,
        }
    }

    /// What the cache keeps of the host objects of a kind.
    fn projection(&self, kind: Kind) -> Projection {
        self.parts.caches.get(Side::Host, kind).map(|cache| cache.projection().clone()).unwrap_or_default()
    }

    /// Creates a host object.
    pub(super) async fn create_host(&self, apply: &ApplyHost) -> Result<Done, MapError> {
        let target = Target::new(apply.kind, apply.key.namespace(), apply.key.name());
        if apply.kind == kinds::POD {
            self.create_locks.free(&apply.key).await;
        }
        let mut result = self.send(Side::Host, "create", |api, limit| api.create(&target, &apply.desired, limit)).await;
        if let (Err(error), Some(fallback)) = (&result, &apply.fallback)
            && error.code() == Some(StatusCode::UNPROCESSABLE_ENTITY)
        {
            result = self.send(Side::Host, "create", |api, limit| api.create(&target, fallback, limit)).await;
        }
        match result {
            Ok(created) => {
                self.ingest(Side::Host, apply.kind, created);
                Ok(Done::Wrote)
            }
            // Our own create whose answer was lost, or somebody else's object.
            Err(error) if error.code() == Some(StatusCode::CONFLICT) => self.meet(apply, &target, error).await,
            // Namespaces and the like are missing on the host; nothing of ours is.
            Err(error) if error.code() == Some(StatusCode::NOT_FOUND) => Err(MapError::Rejected(error.to_string())),
            Err(error) => Err(errors::classify(error)),
        }
    }

    /// The name is taken: by ourselves, by an earlier incarnation, or by somebody else.
    async fn meet(
        &self,
        apply: &ApplyHost,
        target: &Target<'_>,
        error: crate::api::ApiError,
    ) -> Result<Done, MapError> {
        let Some(found) = self.read(Side::Host, target).await? else { return Err(errors::classify(error)) };
        self.check_owner(apply.kind, &found, &apply.owner)?;
        self.ingest(Side::Host, apply.kind, found);
        Ok(Done::Unchanged)
    }

    /// Changes what was seen of a host object.
    pub(super) async fn update_host(
        &self,
        apply: &ApplyHost,
        cached: &Object,
        mut ops: Vec<Value>,
    ) -> Result<Done, MapError> {
        if ops.is_empty() {
            return Ok(Done::Unchanged);
        }
        // Writing the UID and the version that were seen makes the server refuse with a
        // conflict when either is not true any more.
        ops.insert(0, json!({"op": "replace", "path": "/metadata/uid", "value": cached.uid()}));
        ops.insert(
            1,
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": cached.resource_version()}),
        );
        let target = Target::new(apply.kind, apply.key.namespace(), apply.key.name());
        let ops = Value::Array(ops);
        let answer =
            self.call(Side::Host, "patch", |api, limit| api.patch(&target, PatchType::Json, &ops, limit)).await?;
        self.ingest(Side::Host, apply.kind, answer);
        if cached.annotation(PENDING).is_some() {
            self.parts.metrics.admission.reserved(apply.kind, "adopted");
        }
        Ok(Done::Wrote)
    }
}

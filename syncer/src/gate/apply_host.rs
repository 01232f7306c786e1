//! Host objects: created once, then kept up to date by the smallest patch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use serde_json::{Map, Value, json};
use tenet_mapper::keys::{PENDING, TOKENS};
use tenet_mapper::{ApplyHost, Kind, MapError, Mint, Object, Side, VirtualKey, kinds, patch};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Done, Gate, errors};
use crate::api::{PatchType, Target};

/// The resource that mints tokens.
const SERVICE_ACCOUNT: Kind = Kind::core("ServiceAccount", "serviceaccounts");

impl Gate {
    pub(super) async fn apply_host(&self, mut apply: ApplyHost) -> Result<Done, MapError> {
        let cached = self.cached(Side::Host, apply.kind, apply.key.namespace(), apply.key.name());
        if let Some(cached) = &cached {
            self.check_owner(apply.kind, cached.value(), &apply.owner)?;
        }
        if !apply.mint.is_empty() {
            let reason = if cached.is_some() { "refresh" } else { "create" };
            self.mint(&mut apply, reason).await?;
        }
        match cached {
            Some(cached) => self.update(&apply, &cached).await,
            None => self.create(&apply).await,
        }
    }

    async fn create(&self, apply: &ApplyHost) -> Result<Done, MapError> {
        let target = Target::new(apply.kind, apply.key.namespace(), apply.key.name());
        if apply.kind == kinds::POD {
            self.held.free(&apply.key).await;
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

    async fn update(&self, apply: &ApplyHost, cached: &Object) -> Result<Done, MapError> {
        let cache = self.parts.caches.get(Side::Host, apply.kind);
        let projection = cache.map(|cache| cache.projection().clone()).unwrap_or_default();
        let mut ops = patch::host_ops(&apply.desired, cached.value(), apply.table.as_deref(), &projection);
        if !apply.mint.is_empty() {
            ops.push(json!({"op": "add", "path": "/data", "value": apply.desired["data"]}));
        }
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

    async fn mint(&self, apply: &mut ApplyHost, reason: &str) -> Result<(), MapError> {
        let (mut data, mut times) = (Map::new(), Map::new());
        for mint in &apply.mint {
            let (token, expires) = self.token(mint).await?;
            self.parts.metrics.minted(reason);
            let issued = OffsetDateTime::now_utc().unix_timestamp();
            data.insert(mint.data_key.clone(), Value::String(BASE64.encode(token)));
            times.insert(mint.data_key.clone(), json!([issued, expires]));
        }
        apply.desired["data"] = Value::Object(data);
        apply.desired["metadata"]["annotations"][TOKENS] = Value::String(Value::Object(times).to_string());
        Ok(())
    }

    /// A token of the virtual API server, bound to its pod, and when it expires.
    async fn token(&self, mint: &Mint) -> Result<(String, i64), MapError> {
        let namespace = mint.pod.namespace();
        let target = Target::new(SERVICE_ACCOUNT, namespace, &mint.service_account).sub(Some("token"));
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": mint.pod.name(), "uid": mint.pod_uid});
        let mut spec = json!({"expirationSeconds": mint.expiration_seconds, "boundObjectRef": bound, "audiences": []});
        if !mint.audiences.is_empty() {
            spec["audiences"] = json!(mint.audiences);
        }
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let answer = match self.send(Side::Virtual, "token", |api, limit| api.create(&target, &body, limit)).await {
            Ok(answer) => answer,
            Err(error) if error.is_object_absent() => {
                let account = VirtualKey::new(namespace, mint.service_account.as_str());
                return Err(MapError::Rejected(format!("ServiceAccount {account}: {error}")));
            }
            Err(error) => return Err(errors::classify(error)),
        };
        let text = |name: &str| answer.pointer(&format!("/status/{name}")).and_then(Value::as_str);
        let expires = text("expirationTimestamp").and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        match (text("token"), expires) {
            (Some(token), Some(expires)) => Ok((token.to_owned(), expires.unix_timestamp())),
            _ => {
                Err(MapError::Transient { reason: "the answer to a TokenRequest has no token".to_owned(), after: None })
            }
        }
    }
}

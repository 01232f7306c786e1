//! Tokens of the virtual API server, minted into a Secret of the host.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use tenet_mapper::keys::TOKENS;
use tenet_mapper::{ApplyHost, Kind, MapError, MintTokens, Side, TokenRequest, VirtualKey, kinds, patch};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Done, Gate, errors};
use crate::api::Target;

/// The resource that mints tokens.
const SERVICE_ACCOUNT: Kind = Kind::core("ServiceAccount", "serviceaccounts");

impl Gate {
    pub(super) async fn mint_tokens(&self, mint: MintTokens) -> Result<Done, MapError> {
        let MintTokens { key, owner, mut desired, tokens } = mint;
        let cached = self.cached(Side::Host, kinds::SECRET, key.namespace(), key.name());
        if let Some(cached) = &cached {
            self.check_owner(kinds::SECRET, cached.value(), &owner)?;
        }
        let (mut data, mut times) = (Map::new(), Map::new());
        for request in &tokens {
            let (token, expires) = self.token(request).await?;
            self.parts.metrics.minted(if cached.is_some() { "refresh" } else { "create" });
            let issued = self.parts.runtime.unix_seconds();
            data.insert(request.data_key.clone(), Value::String(BASE64.encode(token)));
            times.insert(request.data_key.clone(), json!([issued, expires]));
        }
        desired["data"] = Value::Object(data);
        desired["metadata"]["annotations"][TOKENS] = Value::String(Value::Object(times).to_string());
        let apply = ApplyHost { kind: kinds::SECRET, key, owner, desired, table: None, fallback: None };
        let Some(cached) = cached else { return self.create_host(&apply).await };
        let cache = self.parts.caches.get(Side::Host, kinds::SECRET);
        let projection = cache.map(|cache| cache.projection().clone()).unwrap_or_default();
        let mut ops = patch::host_ops(&apply.desired, cached.value(), None, &projection);
        ops.push(json!({"op": "add", "path": "/data", "value": apply.desired["data"]}));
        self.update_host(&apply, &cached, ops).await
    }

    /// A token of the virtual API server, bound to its pod, and when it expires.
    async fn token(&self, request: &TokenRequest) -> Result<(String, i64), MapError> {
        let namespace = request.pod.namespace();
        let target = Target::new(SERVICE_ACCOUNT, namespace, &request.service_account).subresource(Some("token"));
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": request.pod.name(), "uid": request.pod_uid});
        let mut spec =
            json!({"expirationSeconds": request.expiration_seconds, "boundObjectRef": bound, "audiences": []});
        if !request.audiences.is_empty() {
            spec["audiences"] = json!(request.audiences);
        }
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let answer = match self.send(Side::Virtual, "token", |api, limit| api.create(&target, &body, limit)).await {
            Ok(answer) => answer,
            Err(error) if error.is_object_absent() => {
                let account = VirtualKey::new(namespace, request.service_account.as_str());
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

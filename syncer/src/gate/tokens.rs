//! ServiceAccount tokens of the virtual API server, stored in a host Secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tenet_mapper::plan::{MintedToken, PlanContext};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{MapError, MintTokens, Object, Projection, Side, TokenRequest, VirtualKey, kinds};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::limiter::Class;
use super::{Gate, errors};
use crate::api::Target;

impl Gate {
    /// Requests the tokens of a Secret, unless the Secret is foreign.
    pub(super) async fn mint_tokens(
        &self,
        mint: &MintTokens,
        cached: Option<&Object>,
    ) -> Result<Vec<MintedToken>, MapError> {
        if let Some(cached) = cached {
            self.check_owner(&mint.owner, cached)?;
        }
        let mut minted = Vec::new();
        for request in &mint.tokens {
            let (token, expires) = self.token(request).await?;
            self.parts.metrics.minted(if cached.is_some() { "refresh" } else { "create" });
            let issued = self.parts.runtime.unix_seconds();
            minted.push(MintedToken { data: BASE64.encode(token), issued, expires });
        }
        Ok(minted)
    }

    /// Checks that a Secret belongs to exactly this virtual object.
    pub(super) fn check_owner(&self, owner: &OwnerRecord, secret: &Object) -> Result<(), MapError> {
        let facts = self.parts.facts.load();
        let cx = PlanContext { facts: &facts, projection: &Projection::Whole, minted: &[] };
        cx.check_owner(kinds::SECRET, secret, owner)
    }

    /// A token of the virtual API server, bound to its pod, and when it expires.
    async fn token(&self, request: &TokenRequest) -> Result<(String, i64), MapError> {
        let namespace = request.pod.namespace();
        let target =
            Target::new(kinds::SERVICE_ACCOUNT, namespace, &request.service_account).subresource(Some("token"));
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": request.pod.name(), "uid": request.pod_uid});
        let mut spec =
            json!({"expirationSeconds": request.expiration_seconds, "boundObjectRef": bound, "audiences": []});
        if !request.audiences.is_empty() {
            spec["audiences"] = json!(request.audiences);
        }
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let answer = match self
            .send(Side::Virtual, Class::Kind(kinds::SERVICE_ACCOUNT.group_kind()), "token", |api, limit| {
                api.create(&target, &body, limit)
            })
            .await
        {
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

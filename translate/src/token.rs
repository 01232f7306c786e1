//! ServiceAccount tokens of pods. The host must never issue a token for a tenant's pod, so every
//! `serviceAccountToken` source becomes a `secret` source: the virtual API server issues the token,
//! and a host Secret holds it until the host's kubelet writes it to the same file.

mod refresh;

pub use refresh::refresh_at;

use serde_json::Value;

use crate::projected;

/// Default lifetime of the API, in seconds.
const DEFAULT_EXPIRATION: i64 = 3600;

/// One `serviceAccountToken` source of a pod's projected volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// ServiceAccount in the namespace of the pod.
    pub service_account: String,
    /// Requested audiences; empty for the API server's own.
    pub audiences: Vec<String>,
    /// Requested lifetime in seconds, as in the pod.
    pub expiration_seconds: i64,
    /// Path of the file in the volume.
    pub path: String,
    /// Name of the volume.
    pub volume: String,
    /// Index of the source within the volume.
    pub source: usize,
}

impl TokenSpec {
    /// Reads one entry of `projected.sources`; `None` for a source other than a token.
    pub fn read(service_account: &str, volume: &str, index: usize, source: &Value) -> Option<Self> {
        let token = source.get("serviceAccountToken").filter(|token| token.is_object())?;
        let text = |field| token.get(field).and_then(Value::as_str).unwrap_or_default();
        // A pod that names no ServiceAccount runs as `default`.
        let account = if service_account.is_empty() { "default" } else { service_account };
        let audience = text("audience");
        let expiration = token.get("expirationSeconds").and_then(Value::as_i64);
        Some(Self {
            service_account: account.to_owned(),
            audiences: if audience.is_empty() { vec![] } else { vec![audience.to_owned()] },
            expiration_seconds: expiration.unwrap_or(DEFAULT_EXPIRATION),
            path: text("path").to_owned(),
            volume: volume.to_owned(),
            source: index,
        })
    }

    /// Returns all tokens that a pod requests, in the order of its volumes.
    pub fn of_pod(pod_spec: &Value) -> Vec<Self> {
        let account = pod_spec.get("serviceAccountName").and_then(Value::as_str).unwrap_or_default();
        projected::sources(pod_spec)
            .filter_map(|(volume, index, source)| Self::read(account, volume, index, source))
            .collect()
    }

    /// Returns the key in the Secret of the pod.
    pub fn data_key(&self) -> String {
        projected::data_key(&self.volume, self.source)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(extra: &Value) -> Value {
        let mut spec = json!({
            "serviceAccountName": "robot",
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": "kube-api-access-x", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt"}},
                    {"serviceAccountToken": {"audience": "vault", "path": "vault/token"}}
                ]}},
                {"name": "other", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
                {"name": "empty", "projected": {"sources": null}}
            ]
        });
        for (field, value) in extra.as_object().unwrap() {
            spec[field] = value.clone();
        }
        spec
    }

    #[test]
    fn every_token_that_a_pod_asks_for_is_found() {
        let found: Vec<_> = TokenSpec::of_pod(&spec(&json!({})))
            .into_iter()
            .map(|t| (t.data_key(), t.service_account, t.audiences, t.expiration_seconds, t.path))
            .collect();
        let robot = || "robot".to_owned();
        assert_eq!(
            found,
            [
                ("kube-api-access-x.0".to_owned(), robot(), vec![], 3607, "token".to_owned()),
                ("kube-api-access-x.2".to_owned(), robot(), vec!["vault".to_owned()], 3600, "vault/token".to_owned()),
                ("other.0".to_owned(), robot(), vec![], 3600, "t".to_owned()),
            ]
        );
        for account in [json!({"serviceAccountName": null}), json!({"serviceAccountName": ""})] {
            assert_eq!(TokenSpec::of_pod(&spec(&account))[0].service_account, "default");
        }
        for nothing in [json!({}), json!(null), json!({"volumes": [{}, null, 7]})] {
            assert_eq!(TokenSpec::of_pod(&nothing), []);
        }
    }
}

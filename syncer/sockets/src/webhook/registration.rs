//! The registration of the webhook in the virtual cluster: written when the webhook is
//! served, and kept.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tenet_config::{FailurePolicy, Webhook};
use tenet_mapper::translate::own_objects;
use tenet_mapper::{Admission, Kind};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::serving::CertificateStore;
use tenet_syncer::Done;
use tenet_syncer::EngineHandle;

/// Its kind.
pub const KIND: Kind =
    Kind::of("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
        .cluster_scoped();
/// Its name.
pub const NAME: &str = own_objects::WEBHOOK;

/// Interval of the checks that the registration is as it should be: somebody may change it, or restore the store.
const LOOK: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);
/// Number of accepted secrets: the registered one and the one before.
const SECRETS: usize = 2;

/// The registration.
pub struct Registration {
    config: Webhook,
    secrets: Mutex<Vec<String>>,
}

/// Returns the address at which the webhook of a registration listens.
pub fn socket_of(registration: &Value) -> Option<SocketAddr> {
    let url = registration.pointer("/webhooks/0/clientConfig/url")?.as_str()?;
    url.strip_prefix("https://")?.split('/').next()?.parse().ok()
}

/// Returns the secret in the path.
pub fn path_secret(certificates: &CertificateStore) -> String {
    certificates.derive_secret("webhook")
}

impl Registration {
    /// The registration that this configuration asks for.
    pub fn new(config: Webhook) -> Self {
        Self { config, secrets: Mutex::default() }
    }

    /// Returns the secrets that the virtual API server may know.
    pub fn secrets(&self) -> Vec<String> {
        self.secrets.lock().clone()
    }

    /// Keeps it as it should be until it is told to stop.
    pub async fn keep(&self, engine: &dyn EngineHandle, certificates: &CertificateStore, stop: &CancellationToken) {
        loop {
            let changed = certificates.changed();
            let desired = self.desired(engine, certificates);
            let pause = match engine.register(KIND, &desired, socket_of).await {
                Ok(Done::Wrote) => {
                    tracing::info!(listen = %self.config.listen, "webhook registered");
                    LOOK
                }
                Ok(Done::Unchanged) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "cannot register the webhook");
                    AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = changed => {}
                () = sleep(pause) => {}
            }
        }
    }

    fn desired(&self, engine: &dyn EngineHandle, certificates: &CertificateStore) -> Value {
        let secret = self.know(path_secret(certificates));
        let bundle = STANDARD.encode(certificates.bundle());
        let entries: Vec<_> = engine
            .admissions()
            .into_iter()
            .map(|(kind, admission)| self.entry(kind, admission, &secret, &bundle))
            .collect();
        json!({
            "apiVersion": KIND.api_version(), "kind": KIND.kind,
            "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "tenet"}},
            "webhooks": entries,
        })
    }

    /// Remembers a secret before it is registered.
    fn know(&self, secret: String) -> String {
        let mut known = self.secrets.lock();
        if known.last() != Some(&secret) {
            known.push(secret.clone());
            let surplus = known.len().saturating_sub(SECRETS);
            known.drain(..surplus);
        }
        secret
    }

    fn entry(&self, kind: Kind, admission: &dyn Admission, secret: &str, bundle: &str) -> Value {
        let scope = admission.scope();
        let operations: &[&str] = if scope.updates { &["CREATE", "UPDATE"] } else { &["CREATE"] };
        let conditions: Vec<_> =
            scope.conditions.iter().map(|(name, is_true)| json!({"name": name, "expression": is_true})).collect();
        let policy = match self.config.failure_policy {
            FailurePolicy::Fail => "Fail",
            FailurePolicy::Ignore => "Ignore",
        };
        json!({
            "name": format!("{}.admission.tenet.sh", kind.resource()),
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "url": format!("https://{}/{secret}/{}", self.config.listen, kind.resource()),
                "caBundle": bundle,
            },
            "rules": [{
                "apiGroups": [kind.group], "apiVersions": [kind.version], "resources": [kind.plural],
                "operations": operations, "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            }],
            "matchConditions": conditions,
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
            "failurePolicy": policy,
            // Another webhook may add ports afterwards.
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "NoneOnDryRun",
            "timeoutSeconds": self.config.timeout.as_secs(),
        })
    }
}

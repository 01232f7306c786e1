//! The registration of the webhook in the virtual cluster: written when the webhook is
//! served, and kept.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tenet_config::{FailurePolicy, Webhook};
use tenet_mapper::{Admission, Kind};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::serving::Keeper;
use tenet_syncer::Done;
use tenet_syncer::EngineHandle;

/// Its kind.
pub const KIND: Kind =
    Kind::of("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
        .cluster_scoped();
/// Its name.
pub const NAME: &str = "tenet-admission";

/// How soon it is noticed that somebody changed it, or that the store was restored.
const LOOK: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);
/// Words that are known: the registered one and the one before.
const WORDS: usize = 2;

/// The registration.
pub struct Registration {
    config: Webhook,
    words: Mutex<Vec<String>>,
}

/// The secret in the path.
pub fn word(keeper: &Keeper) -> String {
    keeper.word("webhook")
}

impl Registration {
    /// The registration that this configuration asks for.
    pub fn new(config: Webhook) -> Self {
        Self { config, words: Mutex::default() }
    }

    /// The secrets that the virtual API server may know.
    pub fn words(&self) -> Vec<String> {
        self.words.lock().clone()
    }

    /// Keeps it as it should be until it is told to stop.
    pub async fn keep(&self, engine: &dyn EngineHandle, keeper: &Keeper, stop: &CancellationToken) {
        loop {
            let changed = keeper.changed();
            let desired = self.desired(engine, keeper);
            let pause = match engine.register(KIND, &desired).await {
                Ok(Done::Wrote) => {
                    tracing::info!(listen = %self.config.listen, "the webhook is registered");
                    LOOK
                }
                Ok(Done::Unchanged) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "the webhook is not registered");
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

    fn desired(&self, engine: &dyn EngineHandle, keeper: &Keeper) -> Value {
        let word = self.know(word(keeper));
        let bundle = STANDARD.encode(keeper.bundle());
        let entries: Vec<_> = engine
            .admissions()
            .into_iter()
            .map(|(kind, admission)| self.entry(kind, admission, &word, &bundle))
            .collect();
        json!({
            "apiVersion": KIND.api_version(), "kind": KIND.kind,
            "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "tenet"}},
            "webhooks": entries,
        })
    }

    /// Remembers a secret before it is registered.
    fn know(&self, word: String) -> String {
        let mut words = self.words.lock();
        if words.last() != Some(&word) {
            words.push(word.clone());
            let surplus = words.len().saturating_sub(WORDS);
            words.drain(..surplus);
        }
        word
    }

    fn entry(&self, kind: Kind, admission: &dyn Admission, word: &str, bundle: &str) -> Value {
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
                "url": format!("https://{}/{word}/{}", self.config.listen, kind.resource()),
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

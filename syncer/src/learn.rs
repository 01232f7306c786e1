//! Defaults of the virtual API server, learnt by dry-run creates.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tenet_mapper::rules::Defaults;
use tenet_mapper::{Kind, Mapper, MapperSpec};
use tokio::time::sleep;

use crate::api::{Api, ApiError, Target};
use crate::mappers::Mappers;

/// Number of tries. A new control plane needs some seconds until its `default` `ServiceAccount` exists.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// Learns the defaults of every kind that has samples. A rejected sample is logged and
/// teaches nothing.
pub async fn defaults(api: &Api, mappers: &Mappers, limit: Duration) -> HashMap<Kind, Arc<Defaults>> {
    let mut learnt = HashMap::new();
    for spec in mappers.iter().map(Mapper::spec) {
        if !spec.samples.is_empty() {
            learnt.insert(spec.kind, Arc::new(of_kind(api, spec, limit).await));
        }
    }
    learnt
}

/// The defaults of one kind.
pub async fn of_kind(api: &Api, spec: &MapperSpec, limit: Duration) -> Defaults {
    let mut defaults = Defaults::default();
    for sample in &spec.samples {
        match create_dry(api, spec.kind, sample, limit).await {
            Ok(stored) => defaults.learn(sample, &stored),
            Err(error) => {
                tracing::warn!(kind = %spec.kind, %error, "cannot learn defaults from a sample");
            }
        }
    }
    defaults
}

async fn create_dry(api: &Api, kind: Kind, sample: &Value, limit: Duration) -> Result<Value, ApiError> {
    let name = sample.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let target = Target::new(kind, if kind.namespaced { "default" } else { "" }, name).dry(true);
    let mut tries = 0;
    loop {
        match api.create(&target, sample, limit).await {
            // An invalid sample stays invalid; other errors may come from a server that is starting.
            Err(error) if tries < TRIES && error.code() != Some(http::StatusCode::UNPROCESSABLE_ENTITY) => {
                tries += 1;
                tracing::debug!(%kind, %error, "dry-run create failed: retrying");
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

//! Defaults of the virtual API server, learnt by dry-run creates.
//!
//! Mappers run meanwhile: without the defaults, a field that the server has filled in looks like one that the
//! tenant has set, so all that waits is a refusal.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::Value;
use tenet_mapper::rules::Defaults;
use tenet_mapper::{Kind, MapError, Mapper, MapperId, MapperSpec};
use tokio::time::{Instant, sleep};

use crate::api::{Api, ApiError, Target};
use crate::engine::Engine;
use crate::patrol;
use crate::queue::Lane;

/// Time after which mappers do not wait for defaults that are not learnt yet.
const DEADLINE: Duration = Duration::from_secs(60);
/// Pause before the next try. A new control plane needs some seconds until its `default` `ServiceAccount` exists.
const PAUSE: Duration = Duration::from_secs(1);
/// Age at which defaults are learnt again when an object is refused or rejected, and when one still is.
const DOUBT: Duration = Duration::from_secs(60);
const DOUBT_TOLD: Duration = Duration::from_secs(600);
/// Delay of a refusal while the defaults of its kind are being learnt.
const WAIT: Duration = Duration::from_secs(2);

/// Defaults of each kind, as far as they are learnt.
#[derive(Default)]
pub struct Learnt {
    defaults: ArcSwap<HashMap<Kind, Arc<Defaults>>>,
    /// Kinds whose defaults are being learnt.
    pending: Mutex<BTreeSet<Kind>>,
    /// Kinds whose defaults may have changed, and are to be learnt again.
    doubted: Mutex<BTreeSet<Kind>>,
    /// Time at which the defaults of each kind were learnt.
    since: Mutex<HashMap<Kind, Instant>>,
}

impl Learnt {
    /// Returns the defaults of a kind that are known.
    pub fn of(&self, kind: Kind) -> Arc<Defaults> {
        self.defaults.load().get(&kind).cloned().unwrap_or_default()
    }

    /// Returns an error while the defaults of a kind are being learnt: a refused field may be one.
    pub fn check(&self, kind: Kind) -> Result<(), MapError> {
        if self.pending.lock().contains(&kind) || self.doubted.lock().contains(&kind) {
            let reason = "the defaults of the virtual API server are being learnt".to_owned();
            return Err(MapError::Transient { reason, after: Some(WAIT) });
        }
        Ok(())
    }

    /// Marks the defaults of a kind to be learnt again, because an object of it is refused, or rejected by the host: it
    /// may have a default that the API server fills in since it was configured otherwise. A refusal that an event has
    /// reported already does so more rarely.
    pub fn doubt(&self, kind: Kind, is_told: bool) {
        let span = if is_told { DOUBT_TOLD } else { DOUBT };
        if self.since.lock().get(&kind).is_some_and(|at| at.elapsed() >= span) {
            self.doubted.lock().insert(kind);
        }
    }

    /// Adds what was learnt. What was a default before stays one: objects keep it. Returns true if it was known
    /// otherwise.
    fn add(&self, kind: Kind, learnt: &Defaults) -> bool {
        let known = self.defaults.load().get(&kind).cloned();
        let mut all = known.as_deref().cloned().unwrap_or_default();
        all.extend(learnt);
        let is_news = known.is_some_and(|known| *known != all);
        let all = Arc::new(all);
        self.defaults.rcu(|defaults| {
            let mut defaults = (**defaults).clone();
            defaults.insert(kind, Arc::clone(&all));
            defaults
        });
        self.since.lock().insert(kind, Instant::now());
        self.pending.lock().remove(&kind);
        is_news
    }
}

/// Learns the defaults of the kinds again that are in doubt.
pub fn doubted(engine: &Arc<Engine>) {
    let doubted = std::mem::take(&mut *engine.view.defaults.doubted.lock());
    for spec in engine.mappers.iter().map(Mapper::spec).filter(|spec| doubted.contains(&spec.kind)) {
        tracing::info!(kind = %spec.kind, "learning the defaults of the virtual API server again");
        begin(engine, spec.id);
    }
}

/// Learns the defaults that a mapper needs, in the background.
pub fn begin(engine: &Arc<Engine>, mapper: MapperId) {
    let Some(spec) = engine.mappers.get(mapper).map(Mapper::spec) else { return };
    let kind = spec.kind;
    if spec.samples.is_empty() || !engine.view.defaults.pending.lock().insert(kind) {
        return;
    }
    let engine = Arc::clone(engine);
    let runtime = Arc::clone(&engine.runtime);
    runtime.spawn(Box::pin(async move {
        let Some(spec) = engine.mappers.get(mapper).map(Mapper::spec) else { return };
        let learnt = AssertUnwindSafe(of_kind(&engine.view.virt, spec, engine.view.limit)).catch_unwind().await;
        let learnt = learnt.unwrap_or_else(|_| {
            engine.metrics.task_panicked("learn");
            tracing::error!(%kind, "learning of defaults panicked");
            Defaults::default()
        });
        if engine.view.defaults.add(kind, &learnt) {
            // A field that was refused before may cross.
            patrol::enqueue_mapper(&engine, mapper, Lane::Change).await;
        }
    }));
}

/// Learns the defaults of one kind. A sample that is rejected, or not answered in time, teaches nothing.
async fn of_kind(api: &Api, spec: &MapperSpec, limit: Duration) -> Defaults {
    let (mut defaults, deadline) = (Defaults::default(), Instant::now() + DEADLINE);
    for sample in &spec.samples {
        match create_dry(api, spec.kind, sample, limit, deadline).await {
            Ok(stored) => defaults.learn(sample, &stored),
            Err(error) => {
                tracing::warn!(kind = %spec.kind, %error, "cannot learn defaults from a sample");
            }
        }
    }
    defaults
}

async fn create_dry(
    api: &Api,
    kind: Kind,
    sample: &Value,
    limit: Duration,
    deadline: Instant,
) -> Result<Value, ApiError> {
    let name = sample.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let target = Target::new(kind, if kind.namespaced { "default" } else { "" }, name).dry(true);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match api.create(&target, sample, limit.min(left)).await {
            Err(error) if !is_final(&error) && left > PAUSE => {
                tracing::debug!(%kind, %error, "dry-run create failed: retrying");
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Returns true if the server will give the same answer again: the sample is invalid to it, its webhooks allow no
/// dry run, or the right is missing.
fn is_final(error: &ApiError) -> bool {
    let ApiError::Status { code, message, .. } = error else { return false };
    match *code {
        // That of a new namespace follows soon.
        StatusCode::FORBIDDEN => !message.contains("error looking up service account"),
        StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNPROCESSABLE_ENTITY => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;

//! The one place that writes.
//!
//! For every effect the gate checks the owner record, adds preconditions, drops what
//! changes nothing, keeps to the bound of the server, and counts. Every promise about
//! writes is kept here or nowhere.

mod apply_host;
mod apply_virtual;
mod create_lock;
mod deletion;
pub mod errors;
mod event;
mod limiter;
mod registration;
mod reserve;
#[cfg(test)]
mod tests;
mod tokens;
mod virtual_patch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use serde_json::{Value, json};
use tenet_mapper::translate::{OwnerRecord, Ownership};
use tenet_mapper::{Bind, Effect, Facts, HostKey, HostPatch, Kind, MapError, PatchFormat, Side, kinds};
use tokio::time::Instant;

use crate::api::{Api, ApiError, PatchType, Target};
use crate::cache::Change;
use crate::metrics::Metrics;
use crate::router::Router;
use crate::runtime::Runtime;
use crate::view::Caches;
pub use create_lock::{CreateLock, CreateLocks};
use limiter::{Limiter, Verdict};
pub use reserve::Mark;

/// What became of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Something was written.
    Wrote,
    /// Nothing differed.
    Unchanged,
}

/// What the gate needs to know from elsewhere.
pub struct Parts {
    /// The virtual API server.
    pub virt: Api,
    /// The host API server.
    pub host: Api,
    /// The caches, which take in what was written.
    pub caches: Arc<Caches>,
    /// Who is told of it.
    pub router: Arc<Router>,
    /// Names and identity.
    pub facts: Arc<ArcSwap<Facts>>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub runtime: Arc<dyn Runtime>,
    /// The highest bound of requests in flight, per side.
    pub ceiling: usize,
    /// How long a request may take.
    pub limit: Duration,
}

/// The one place that writes.
pub struct Gate {
    parts: Parts,
    limiters: [Limiter; 2],
    events: event::Told,
    create_locks: Arc<CreateLocks>,
    limit: AtomicU64,
}

impl Gate {
    /// A gate.
    pub fn new(parts: Parts) -> Self {
        let limiters = [Limiter::new(parts.ceiling), Limiter::new(parts.ceiling)];
        let limit = AtomicU64::new(millis(parts.limit));
        Self { parts, limiters, events: event::Told::default(), create_locks: Arc::default(), limit }
    }

    /// Locks the name of a host object: until the lock is dropped nothing is created there.
    pub fn lock_create(&self, key: &HostKey) -> CreateLock {
        self.create_locks.lock(key)
    }

    /// Changes the bound of requests in flight.
    pub fn set_ceiling(&self, ceiling: usize) {
        for limiter in &self.limiters {
            limiter.set_ceiling(ceiling);
        }
    }

    /// Changes how long a request may take.
    pub fn set_limit(&self, limit: Duration) {
        self.limit.store(millis(limit), Ordering::Relaxed);
    }

    /// Writes the present bounds into the metrics.
    pub fn report(&self) {
        for side in [Side::Virtual, Side::Host] {
            self.parts.metrics.limit(side, self.limiter(side).limit());
        }
    }

    /// Performs one effect.
    pub async fn perform(&self, effect: Effect) -> Result<Done, MapError> {
        let (target, verb) = (effect.target(), effect.verb());
        let result = match effect {
            Effect::ApplyHost(apply) => self.apply_host(*apply).await,
            Effect::PatchHost(patch) => self.patch_host(patch).await,
            Effect::MintTokens(mint) => self.mint_tokens(*mint).await,
            Effect::PatchVirtual(patch) => self.patch_virtual(patch).await,
            Effect::Bind(bind) => self.bind(bind).await,
            Effect::ApplyVirtual(apply) => self.apply_virtual(apply).await,
            Effect::Delete(deletion) => self.delete(deletion).await,
            Effect::Emit(event) => self.emit(&event).await,
            other => Err(MapError::Malformed(format!("the gate does not know the effect {other:?}"))),
        };
        let outcome = match &result {
            Ok(Done::Wrote) => "ok",
            Ok(Done::Unchanged) => "unchanged",
            Err(error) => error.class(),
        };
        self.parts.metrics.effect(target.kind, target.side, verb, outcome);
        result
    }

    async fn patch_host(&self, patch: HostPatch) -> Result<Done, MapError> {
        let HostPatch { kind, key, owner, subresource, format, mut body } = patch;
        let found = self.cached(Side::Host, kind, key.namespace(), key.name());
        let Some(found) = found else { return Err(MapError::Conflict(format!("{kind} {key} is not on the host"))) };
        self.check_owner(kind, found.value(), &owner)?;
        body["metadata"]["uid"] = json!(found.uid());
        let target = Target::new(kind, key.namespace(), key.name()).subresource(subresource);
        let format = match format {
            PatchFormat::Merge => PatchType::Merge,
            PatchFormat::Strategic => PatchType::Strategic,
        };
        let answer = self.call(Side::Host, "patch", |api, limit| api.patch(&target, format, &body, limit)).await?;
        self.ingest(Side::Host, kind, answer);
        Ok(Done::Wrote)
    }

    async fn bind(&self, bind: Bind) -> Result<Done, MapError> {
        let Bind { pod, uid, node } = bind;
        let cached = self.cached(Side::Virtual, kinds::POD, pod.namespace(), pod.name());
        if cached.is_some_and(|cached| cached.uid() == uid && cached.str_at("/spec/nodeName") == Some(&node)) {
            return Ok(Done::Unchanged);
        }
        let target = Target::new(kinds::POD, pod.namespace(), pod.name()).subresource(Some("binding"));
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": pod.name(), "namespace": pod.namespace(), "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        self.call(Side::Virtual, "bind", |api, limit| api.create(&target, &body, limit)).await?;
        // The answer does not carry the pod; until the watch does, we know what it says.
        if let Some(cache) = self.parts.caches.get(Side::Virtual, kinds::POD) {
            cache.amend(pod.namespace(), pod.name(), |pod| note_binding(pod, &uid, &node));
        }
        Ok(Done::Wrote)
    }

    fn limiter(&self, side: Side) -> &Limiter {
        &self.limiters[usize::from(side == Side::Host)]
    }

    fn api(&self, side: Side) -> &Api {
        match side {
            Side::Virtual => &self.parts.virt,
            Side::Host => &self.parts.host,
        }
    }

    fn cached(&self, side: Side, kind: Kind, namespace: &str, name: &str) -> Option<tenet_mapper::Object> {
        self.parts.caches.get(side, kind)?.get(namespace, name)
    }

    /// One request within the bound of its side; the answer is counted and learnt from.
    async fn send<'g, F, R>(&'g self, side: Side, verb: &str, request: F) -> Result<Value, ApiError>
    where
        F: FnOnce(&'g Api, Duration) -> R,
        R: Future<Output = Result<Value, ApiError>>,
    {
        let limiter = self.limiter(side);
        let _permit = limiter.enter().await;
        let start = Instant::now();
        let result = request(self.api(side), Duration::from_millis(self.limit.load(Ordering::Relaxed))).await;
        let took = start.elapsed();
        let code = match &result {
            Ok(_) => "2xx".to_owned(),
            Err(error) => error.code().map_or_else(|| "none".to_owned(), |code| code.as_u16().to_string()),
        };
        self.parts.metrics.requested(side, verb, &code, took);
        match &result {
            Err(ApiError::Status { code: StatusCode::TOO_MANY_REQUESTS, retry_after, .. }) => {
                self.parts.metrics.throttle(side);
                limiter.learn(Verdict::Overloaded(*retry_after));
            }
            Err(ApiError::Status { code, retry_after, .. }) if code.is_server_error() => {
                limiter.learn(Verdict::Overloaded(*retry_after));
            }
            Err(ApiError::Timeout(_)) => limiter.learn(Verdict::Overloaded(None)),
            _ => limiter.learn(Verdict::Answered(took)),
        }
        result
    }

    /// As [`Self::send`], with the error class that decides the retry.
    async fn call<'g, F, R>(&'g self, side: Side, verb: &str, request: F) -> Result<Value, MapError>
    where
        F: FnOnce(&'g Api, Duration) -> R,
        R: Future<Output = Result<Value, ApiError>>,
    {
        self.send(side, verb, request).await.map_err(errors::classify)
    }

    /// Reads an object from a quorum.
    pub(crate) async fn read(&self, side: Side, target: &Target<'_>) -> Result<Option<Value>, MapError> {
        match self.send(side, "get", |api, limit| api.get_whole(target, limit)).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_object_absent() => Ok(None),
            Err(error) => Err(errors::classify(error)),
        }
    }

    /// The cache learns what the server answered, so that the next reconcile does not act
    /// on an older picture.
    fn ingest(&self, side: Side, kind: Kind, object: Value) {
        let Some(cache) = self.parts.caches.get(side, kind) else { return };
        // A Status instead of an object tells nothing.
        if object.pointer("/metadata/uid").is_none() {
            return;
        }
        if let Change::Stored(object, sight) = cache.store(object) {
            self.parts.router.changed(cache, &object, &sight);
        }
    }

    /// Whether a host object belongs to exactly this virtual object.
    fn check_owner(&self, kind: Kind, host: &Value, owner: &OwnerRecord) -> Result<(), MapError> {
        let facts = self.parts.facts.load();
        let metadata = host.get("metadata").unwrap_or(&Value::Null);
        let text = |member: &str| metadata.get(member).and_then(Value::as_str).unwrap_or_default();
        match OwnerRecord::read(metadata, &facts.names.cluster, &facts.cluster_id) {
            Ownership::Ours(found) if found == *owner => Ok(()),
            // A reservation is for whatever comes under the name.
            Ownership::Ours(found)
                if found.is_reservation() && (OwnerRecord { uid: owner.uid.clone(), ..found.clone() }) == *owner =>
            {
                Ok(())
            }
            // An earlier incarnation: its own reconcile removes it.
            Ownership::Ours(found)
                if found.uid != owner.uid && found.name == owner.name && found.kind == owner.kind =>
            {
                Err(MapError::Conflict(format!("{kind} {} still belongs to {}", text("name"), found.uid)))
            }
            Ownership::Ours(found) => Err(MapError::Foreign {
                place: format!("{kind} {}/{}", text("namespace"), text("name")),
                why: format!("it belongs to {} {}/{}", found.kind, found.namespace, found.name),
            }),
            Ownership::Foreign(why) => Err(MapError::Foreign {
                place: format!("{kind} {}/{}", text("namespace"), text("name")),
                why: why.to_string(),
            }),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn note_binding(pod: &mut Value, uid: &str, node: &str) {
    if pod.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid) {
        return;
    }
    pod["spec"]["nodeName"] = json!(node);
    let Some(status) = pod.get_mut("status").and_then(Value::as_object_mut) else { return };
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|condition| condition["type"] != "PodScheduled");
        conditions.push(json!({"type": "PodScheduled", "status": "True"}));
    }
}

//! Gate: the only component that writes.
//!
//! For every effect the gate checks the owner record, adds preconditions, drops writes that
//! change nothing, keeps to the limit of requests in flight, and counts. Every guarantee about
//! writes is enforced here.

pub mod breaker;
mod budget;
mod cached;
mod certificates;
mod create;
mod create_lock;
mod deletion;
mod dropped;
pub mod errors;
mod event;
mod limiter;
mod proof;
mod referrers;
mod registration;
mod reserve;
mod send;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;
mod undone;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;
use tenet_mapper::keys::{FIELD_MANAGER, PENDING};
use tenet_mapper::plan::{self, MintedToken, Payload, PlanContext, Write};
use tenet_mapper::{Bind, Effect, Facts, HostKey, Kind, MapError, Object, ObjectRef, Side, kinds};

use crate::api::{Api, ApiError, PatchType, Target};
use crate::cache::Version;
use crate::claim::Claim;
use crate::lease::Hold;
use crate::metrics::Metrics;
use crate::queue::Key;
use crate::router::Router;
use crate::runtime::Runtime;
use crate::view::Caches;
pub use create_lock::{CreateLock, CreateLocks};
use limiter::{Class, Limiter};
pub use registration::SocketOf;
pub use reserve::Mark;
use source::takes_back_end;

/// Result of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// An object was written.
    Wrote,
    /// Nothing differed.
    Unchanged,
}

/// Reconcile that an effect belongs to.
#[derive(Clone, Copy)]
pub struct Origin<'o> {
    /// Its key.
    pub key: &'o Key,
    /// True if the answers to its creates do not wake the key: it comes back by itself.
    pub settles: bool,
}

/// Dependencies of the gate.
pub struct Parts {
    /// The virtual API server.
    pub virt: Api,
    /// The host API server.
    pub host: Api,
    /// Caches, which are updated with the answers.
    pub caches: Arc<Caches>,
    /// Router, which is notified of the answers.
    pub router: Arc<Router>,
    /// Names and identity.
    pub facts: Arc<ArcSwap<Facts>>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The claim, which permits writes.
    pub claim: Arc<Claim>,
    /// The clock.
    pub runtime: Arc<dyn Runtime>,
    /// Permission to write.
    pub hold: Arc<Hold>,
    /// Highest limit of requests in flight, per side.
    pub ceiling: usize,
    /// Time limit of a request.
    pub limit: Duration,
}

/// Gate: the only component that writes.
pub struct Gate {
    parts: Parts,
    limiters: [Arc<Limiter>; 2],
    events: event::Told,
    create_locks: Arc<CreateLocks>,
    limit: AtomicU64,
    breaker: breaker::Breakers,
    /// Start of this syncer, for registrations.
    started: String,
    budgets: budget::Budgets,
    lists: referrers::Lists,
    undone: undone::Undone,
}

impl Gate {
    /// A gate.
    pub fn new(parts: Parts) -> Self {
        let limiters = [Limiter::new(parts.ceiling), Limiter::new(parts.ceiling)];
        let limit = AtomicU64::new(millis(parts.limit));
        let started = registration::start_of(&*parts.runtime);
        Self {
            parts,
            limiters,
            events: event::Told::default(),
            create_locks: Arc::default(),
            limit,
            breaker: breaker::Breakers::default(),
            started,
            budgets: budget::Budgets::default(),
            lists: referrers::Lists::default(),
            undone: undone::Undone::default(),
        }
    }

    /// Locks the name of a host pod: until the lock is dropped, a create under that name waits, at most a minute.
    pub fn lock_create(&self, key: &HostKey) -> CreateLock {
        self.create_locks.lock(key)
    }

    /// Changes the limit of requests in flight.
    pub fn set_ceiling(&self, ceiling: usize) {
        for limiter in &self.limiters {
            limiter.set_ceiling(ceiling);
        }
    }

    /// Changes the time limit of a request.
    pub fn set_limit(&self, limit: Duration) {
        self.limit.store(millis(limit), Ordering::Relaxed);
    }

    /// Writes the current limits to the metrics.
    pub fn report(&self) {
        for side in [Side::Virtual, Side::Host] {
            self.parts.metrics.limit(side, self.limiter(side).limit());
        }
        self.report_breaker();
        self.report_budget();
    }

    /// Frees memory that is no longer needed.
    pub fn compact(&self) {
        self.undone
            .compact(|object, version| self.cached(object).is_some_and(|cached| cached.resource_version() == version));
    }

    /// Performs one effect.
    pub async fn perform(&self, effect: Effect) -> Result<Done, MapError> {
        self.perform_for(effect, None).await
    }

    /// Performs one effect of a reconcile. The answer to the write of a virtual status that shows exactly what was
    /// written does not wake its key: the mapper has decided about that state already.
    pub async fn perform_for(&self, effect: Effect, origin: Option<Origin<'_>>) -> Result<Done, MapError> {
        let (target, verb) = (effect.target(), effect.verb());
        self.tell_of_backlog().await;
        let result = self.carry_out(&effect, origin).await;
        self.count(target.kind, target.side, verb, &result);
        result
    }

    /// Sets members of the status of a virtual object, which were derived from this very version.
    pub async fn set_status(&self, kind: Kind, virt: &Object, status: &Value) -> Result<Done, MapError> {
        let result = self.change(&plan::status(kind, virt, status), None, None).await;
        self.count(kind, Side::Virtual, "condition", &result);
        result
    }

    fn count(&self, kind: Kind, side: Side, verb: &str, result: &Result<Done, MapError>) {
        let outcome = match result {
            Ok(Done::Wrote) => "ok",
            Ok(Done::Unchanged) => "unchanged",
            Err(error) => error.class(),
        };
        self.parts.metrics.effect(kind, side, verb, outcome);
    }

    async fn carry_out(&self, effect: &Effect, origin: Option<Origin<'_>>) -> Result<Done, MapError> {
        let target = effect.target();
        let cached = self.cached(&target);
        let cached = cached.as_ref();
        let with_keys = self.with_keys(effect, cached).await?;
        let effect = with_keys.as_ref().unwrap_or(effect);
        let minted = match effect {
            Effect::MintTokens(mint) => self.mint_tokens(mint, cached).await?,
            _ => Vec::new(),
        };
        let writes = self.plan(effect, cached, &minted)?;
        let _room = self.room(effect, &writes, cached)?;
        let Some(write) = writes.first() else { return Ok(Done::Unchanged) };
        if let Some(cached) = cached {
            self.justify(effect, cached, origin).await?;
        }
        match effect {
            Effect::Delete(deletion) => match cached {
                Some(cached) => self.delete(deletion, cached, write).await,
                None => Ok(Done::Unchanged),
            },
            Effect::Emit(event) => self.emit(event, write).await,
            Effect::Bind(bind) => self.bind(bind, write).await,
            _ if matches!(write.payload, Payload::Create { .. }) => self.create(effect, write, origin).await,
            _ => self.change(&writes, cached, origin).await,
        }
    }

    /// The requests that perform an effect.
    fn plan(&self, effect: &Effect, cached: Option<&Object>, minted: &[MintedToken]) -> Result<Vec<Write>, MapError> {
        let (target, facts) = (effect.target(), self.parts.facts.load());
        let projection = self.parts.caches.get(target.side, target.kind).map(|cache| *cache.projection());
        let cx = PlanContext { facts: &facts, projection: &projection.unwrap_or_default(), minted };
        plan::plan(effect, cached, &cx)
    }

    /// Sends the changes of an existing object. One that leaves the object as it was has changed nothing.
    async fn change(
        &self,
        writes: &[Write],
        cached: Option<&Object>,
        origin: Option<Origin<'_>>,
    ) -> Result<Done, MapError> {
        let has_mark = cached.is_some_and(|cached| cached.annotation(PENDING).is_some());
        let facts = self.parts.facts.load_full();
        let server = &facts.virtual_version;
        let mut done = Done::Unchanged;
        for write in writes {
            if cached.is_some_and(|cached| self.undone.is_known(write, cached, server)) {
                continue;
            }
            let is_reserved = has_mark && write.target.side == Side::Host;
            let is_derived =
                write.target.side == Side::Host || is_shown_status(write) || self.is_picture(&write.target);
            if is_derived {
                let is_doubtful = is_reserved || takes_back_end(write, cached);
                self.confirm_source(&write.target, is_doubtful).await?;
            }
            let answer = match self.write(write).await {
                Ok(answer) => answer,
                Err(error) => {
                    // The server contradicts the cache.
                    if (error.is_lost_race() || error.is_object_absent())
                        && let Err(error) = self.refresh(&write.target).await
                    {
                        tracing::debug!(object = %write.target, %error, "cannot refresh a cached object");
                    }
                    return Err(errors::of_write(&write.target, error));
                }
            };
            let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            let is_same = write.target.side == Side::Virtual && version.is_some();
            if !is_same || version != cached.map(Object::resource_version) {
                done = Done::Wrote;
            }
            self.undone.note(write, &answer, server);
            let told = is_derived.then(|| Version::of(&answer));
            self.take(write, cached, answer, origin);
            if let (Some(told), Some(cache)) = (told, self.parts.caches.get(write.target.side, write.target.kind)) {
                cache.note_told(&(&write.target).into(), told);
            }
            if is_reserved && matches!(write.payload, Payload::Json(_)) {
                self.parts.metrics.admission.reserved(write.target.kind, "adopted");
            }
        }
        Ok(done)
    }

    /// Sends one request.
    async fn write(&self, write: &Write) -> Result<Value, ApiError> {
        let ObjectRef { side, kind, namespace, name } = &write.target;
        // A policy inside distinguishes the syncer from the tenant by the field manager.
        let manager = (*side == Side::Virtual && !kind.namespaced).then_some(FIELD_MANAGER);
        let target = Target::new(*kind, namespace, name).subresource(write.subresource).managed_by(manager);
        let class = Class::Kind(kind.group_kind());
        let (format, body) = match &write.payload {
            Payload::Create { object, .. } => {
                let verb = if write.subresource == Some("binding") { "bind" } else { "create" };
                return self.send(*side, class, verb, |api, limit| api.create(&target, object, limit)).await;
            }
            Payload::Delete(options) => {
                return self.send(*side, class, "delete", |api, limit| api.delete(&target, options, limit)).await;
            }
            Payload::Json(ops) => (PatchType::Json, Cow::Owned(Value::from(ops.as_slice()))),
            Payload::Merge(body) => (PatchType::Merge, Cow::Borrowed(body)),
            Payload::Strategic(body) => (PatchType::Strategic, Cow::Borrowed(body)),
        };
        self.send(*side, class, "patch", |api, limit| api.patch(&target, format, &body, limit)).await
    }

    async fn bind(&self, bind: &Bind, write: &Write) -> Result<Done, MapError> {
        self.write(write).await.map_err(errors::classify)?;
        // The answer does not contain the pod, so update the cache until the watch does.
        if let Some(cache) = self.parts.caches.get(Side::Virtual, kinds::POD) {
            cache.amend(bind.pod.namespace(), bind.pod.name(), |pod| plan::note_binding(pod, bind));
        }
        Ok(Done::Wrote)
    }
}

/// Returns true for the write of a status that shows what the host says.
fn is_shown_status(write: &Write) -> bool {
    write.target.side == Side::Virtual && write.subresource == Some("status")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

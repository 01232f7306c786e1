//! Gate: the only component that writes.
//!
//! For every effect the gate checks the owner record, adds preconditions, drops writes that
//! change nothing, keeps to the limit of requests in flight, and counts. Every guarantee about
//! writes is enforced here.

pub mod breaker;
mod budget;
mod certificates;
mod create;
mod create_lock;
mod deletion;
pub mod errors;
mod event;
mod limiter;
mod proof;
mod referrers;
mod registration;
mod reserve;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use serde_json::Value;
use tenet_mapper::keys::{FIELD_MANAGER, PENDING};
use tenet_mapper::plan::{self, MintedToken, Payload, PlanContext, Write};
use tenet_mapper::{Bind, Effect, Facts, HostKey, Kind, MapError, Object, ObjectRef, Side, kinds};
use tokio::time::Instant;

use crate::api::{Api, ApiError, PatchType, Target};
use crate::cache::{Cache, Change, Version};
use crate::claim::Claim;
use crate::lease::Hold;
use crate::metrics::Metrics;
use crate::queue::Key;
use crate::quorum;
use crate::router::Router;
use crate::runtime::Runtime;
use crate::view::Caches;
pub use create_lock::{CreateLock, CreateLocks};
use limiter::{Class, Limiter, Verdict};
pub use registration::SocketOf;
pub use reserve::Mark;

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

    /// Sends the changes of an existing object.
    async fn change(
        &self,
        writes: &[Write],
        cached: Option<&Object>,
        origin: Option<Origin<'_>>,
    ) -> Result<Done, MapError> {
        let has_mark = cached.is_some_and(|cached| cached.annotation(PENDING).is_some());
        for write in writes {
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
            let told = is_derived.then(|| Version::of(&answer));
            self.take(write, cached, answer, origin);
            if let (Some(told), Some(cache)) = (told, self.parts.caches.get(write.target.side, write.target.kind)) {
                cache.note_told(&(&write.target).into(), told);
            }
            if is_reserved && matches!(write.payload, Payload::Json(_)) {
                self.parts.metrics.admission.reserved(write.target.kind, "adopted");
            }
        }
        Ok(Done::Wrote)
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

    fn limiter(&self, side: Side) -> &Arc<Limiter> {
        &self.limiters[usize::from(side == Side::Host)]
    }

    fn api(&self, side: Side) -> &Api {
        match side {
            Side::Virtual => &self.parts.virt,
            Side::Host => &self.parts.host,
        }
    }

    fn cached(&self, object: &ObjectRef) -> Option<Object> {
        let caches = self.caches_of(object.side, object.kind, &object.namespace);
        caches.iter().find_map(|cache| cache.get_at(&object.into()))
    }

    /// The caches of the objects of a kind in a namespace. What mappers read beside their inputs is in caches of its own:
    /// the objects of other namespaces of the host, and in the host namespace those that are no copies.
    fn caches_of(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Arc<Cache>> {
        let is_on_host = side == Side::Host && kind.namespaced;
        let is_own = !is_on_host || self.parts.facts.load().names.host_namespace("") == namespace;
        let own = self.parts.caches.get(side, kind).filter(|_| is_own).map(Arc::clone);
        let elsewhere = if is_on_host { self.parts.caches.elsewhere(kind, namespace) } else { None };
        own.into_iter().chain(elsewhere).collect()
    }

    /// Sends a request within the limit of its side, and counts the answer. A write is sent only while the claim agrees
    /// and this replica may write.
    async fn send<'g, F, R, T>(&'g self, side: Side, class: Class, verb: &str, request: F) -> Result<T, ApiError>
    where
        F: FnOnce(&'g Api, Duration) -> R,
        R: Future<Output = Result<T, ApiError>>,
    {
        let is_write = !matches!(verb, "get" | "list");
        if is_write {
            self.pace(class == Class::Spare).await;
        }
        let limiter = self.limiter(side);
        let _permit = limiter.enter(class).await;
        if is_write {
            self.parts.claim.check()?;
        }
        // After the wait for a slot, so that the permission is as fresh as can be.
        let writing = is_write.then(|| self.parts.hold.enter(Instant::now()));
        if matches!(writing, Some(None)) {
            return Err(ApiError::NotHeld);
        }
        let start = Instant::now();
        let result = request(self.api(side), Duration::from_millis(self.limit.load(Ordering::Relaxed))).await;
        let code = match &result {
            Ok(_) => "2xx".to_owned(),
            Err(error) => error.code().map_or_else(|| "none".to_owned(), |code| code.as_u16().to_string()),
        };
        self.parts.metrics.requested(side, verb, &code, start.elapsed());
        if is_write && !matches!(&result, Err(error) if error.code().is_some()) {
            self.parts.claim.note_write();
        }
        let verdict = verdict(&result);
        if matches!(verdict, Verdict::Overloaded(_)) {
            self.parts.metrics.throttle(side);
        }
        limiter.learn(verdict, self.parts.runtime.random());
        result
    }

    /// Sends a request as [`Self::send`] does, with the error class that decides the retry.
    async fn call<'g, F, R>(&'g self, side: Side, class: Class, verb: &str, request: F) -> Result<Value, MapError>
    where
        F: FnOnce(&'g Api, Duration) -> R,
        R: Future<Output = Result<Value, ApiError>>,
    {
        self.send(side, class, verb, request).await.map_err(errors::classify)
    }

    /// Reads an object from a quorum.
    pub(crate) async fn read(&self, side: Side, target: &Target<'_>) -> Result<Option<Value>, MapError> {
        match self.send(side, Class::Spare, "get", |api, limit| api.get_whole(target, limit)).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_object_absent() => Ok(None),
            Err(error) => Err(errors::classify(error)),
        }
    }

    /// Replaces what the cache holds of an object by a quorum read. The next reconcile then acts on the state
    /// of the server, and does not wait for a watch that may be late. Returns true if the cache has changed.
    pub(crate) async fn refresh(&self, object: &ObjectRef) -> Result<bool, MapError> {
        let ObjectRef { side, kind, namespace, name } = object;
        let caches = self.caches_of(*side, *kind, namespace).into_iter();
        let known: Vec<_> = caches.map(|cache| (cache.get_at(&object.into()), cache)).collect();
        let found = self.read(*side, &Target::new(*kind, namespace, name)).await?;
        let mut has_changed = false;
        for (cached, cache) in &known {
            let uid = cached.as_ref().map(Object::uid);
            has_changed |= quorum::take(cache, &self.parts.router, &object.into(), uid, found.clone());
        }
        Ok(has_changed)
    }

    /// Reads the source of an object from a quorum if somebody else has written the object since this syncer did, or if
    /// the write is `doubtful` by itself. A second syncer whose watch is late would otherwise write the older state in
    /// turns with the first. A reservation is for an object that is about to be stored, so a cache that still shows an
    /// earlier one of the name would give it to that one.
    async fn confirm_source(&self, target: &ObjectRef, doubtful: bool) -> Result<(), MapError> {
        let ObjectRef { side, kind, namespace, name } = target;
        let cache = self.parts.caches.get(*side, *kind);
        if !doubtful && !cache.is_some_and(|cache| cache.is_written_by_others(namespace, name)) {
            return Ok(());
        }
        let Some(source) = self.source(target) else { return Ok(()) };
        // A picture is made of other objects while the cache lacks the one that it shows.
        let may_lack = self.is_picture(target) && self.reads_all(source.side, source.kind);
        if (may_lack || self.cached(&source).is_some()) && self.refresh(&source).await? {
            return Err(MapError::Conflict(format!("{source} has changed since it was seen")));
        }
        Ok(())
    }

    /// Returns true if the objects of a kind are read, and the syncer has the rights to.
    fn reads_all(&self, side: Side, kind: Kind) -> bool {
        self.parts.caches.health(side, kind).is_some_and(|health| health.synced && health.missing.is_none())
    }

    /// Returns the object of the same kind on the other side from which an object is derived; `None` for a host object
    /// that is made of several, or of one of another kind.
    fn source(&self, target: &ObjectRef) -> Option<ObjectRef> {
        let ObjectRef { side, kind, namespace, name } = target;
        let facts = self.parts.facts.load();
        let names = &facts.names;
        match side {
            Side::Host => {
                let record = facts.ownership(&self.cached(target)?).ours()?;
                let is_copy = record.kind == kind.group_kind();
                is_copy.then(|| ObjectRef::new(Side::Virtual, *kind, &record.namespace, &record.name))
            }
            Side::Virtual if self.is_picture(target) => Some(ObjectRef::new(Side::Host, *kind, namespace, name)),
            Side::Virtual => {
                let copy = names.host_name(kind.group_kind(), namespace, name);
                Some(ObjectRef::new(Side::Host, *kind, names.host_namespace(namespace), &copy))
            }
        }
    }

    /// Returns true for a virtual object that the syncer has made to show the host object of the same name.
    fn is_picture(&self, object: &ObjectRef) -> bool {
        object.side == Side::Virtual
            && !object.kind.namespaced
            && self.cached(object).is_some_and(|found| self.parts.facts.load().has_made(&found))
    }

    /// Removes an object from the cache that the server reports absent. Returns true if the cache had it.
    fn forget(&self, object: &ObjectRef, uid: &str) -> bool {
        let Some(cache) = self.parts.caches.get(object.side, object.kind) else { return false };
        quorum::take(cache, &self.parts.router, &object.into(), Some(uid), None)
    }

    /// Stores the server's answer in the cache, so that the next reconcile does not act
    /// on an older state. Returns true if the cache has changed.
    fn ingest(&self, side: Side, kind: Kind, object: Value) -> bool {
        self.store(side, kind, object, |_| None)
    }

    /// Stores the answer to a write. It does not enqueue the key of the reconcile when it is not news to it.
    fn take(&self, write: &Write, cached: Option<&Object>, answer: Value, origin: Option<Origin<'_>>) {
        self.store(write.target.side, write.target.kind, answer, |answer| {
            let is_known = |origin: &Origin<'_>| match (&write.payload, cached) {
                (Payload::Create { .. }, _) => origin.settles,
                // A status is the last step of a mapper; what is written beside it may be one of several.
                (_, Some(cached)) => is_shown_status(write) && plan::is_as_written(write, cached, answer),
                (_, None) => false,
            };
            origin.filter(is_known).map(|origin| origin.key)
        });
    }

    /// Stores an object in the cache, and enqueues the keys that it affects, without the one that `cause` names.
    fn store<'k>(&self, side: Side, kind: Kind, object: Value, cause: impl FnOnce(&Object) -> Option<&'k Key>) -> bool {
        // A Status instead of an object carries no state.
        if object.get("metadata").and_then(|metadata| metadata.get("uid")).is_none() {
            return false;
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let caches = self.caches_of(side, kind, namespace);
        let Some(cache) = caches.iter().find(|cache| cache.selects(&object)).or(caches.first()) else { return false };
        let Change::Stored(object, sight) = cache.store(object) else { return false };
        self.parts.router.changed_by(cache, &object, &sight, cause(&object));
        true
    }
}

/// Returns true for the write of a status that shows what the host says.
fn is_shown_status(write: &Write) -> bool {
    write.target.side == Side::Virtual && write.subresource == Some("status")
}

/// Returns true for a status that shows a pod as running whose end was shown. Pods do not start again, so the state of
/// the host that it comes from may be an old one.
fn takes_back_end(write: &Write, cached: Option<&Object>) -> bool {
    let is_final = |phase: &str| matches!(phase, "Succeeded" | "Failed");
    let Payload::Merge(body) = &write.payload else { return false };
    let phase = body.pointer("/status/phase").and_then(Value::as_str);
    is_shown_status(write)
        && write.target.kind == kinds::POD
        && phase.is_some_and(|phase| !is_final(phase))
        && cached.and_then(|cached| cached.str_at("/status/phase")).is_some_and(is_final)
}

/// Load of the server as an answer shows it. A failing webhook, a timeout or a slow answer concerns one request.
fn verdict<T>(result: &Result<T, ApiError>) -> Verdict {
    match result {
        Err(ApiError::Status { code: StatusCode::TOO_MANY_REQUESTS, retry_after, .. }) => {
            Verdict::Overloaded(*retry_after)
        }
        Err(ApiError::Status { code: StatusCode::SERVICE_UNAVAILABLE, retry_after: Some(pause), .. }) => {
            Verdict::Overloaded(Some(*pause))
        }
        _ => Verdict::Served,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

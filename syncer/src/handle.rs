//! The engine as the sockets of the virtual API server see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use tenet_config::{Config, Live};
use tenet_mapper::{Admission, Deletion, Effect, Facts, HostKey, Kind, MapError, Object, Side, View};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{ApiError, Target};
use crate::engine::Engine;
use crate::gate::{CreateLock, Done, Mark, SocketOf};
use crate::metrics::Registry;
use crate::registry::State;
use crate::role::Need;

/// The engine as the sockets of the virtual API server see it: the only door from there to the
/// caches and to the gate.
#[async_trait]
pub trait EngineHandle: Send + Sync + 'static {
    /// Returns names and identity, as of now.
    fn facts(&self) -> Arc<Facts>;

    /// Returns the kinds whose mappers are asked before an object is stored, with what answers.
    fn admissions(&self) -> Vec<(Kind, &dyn Admission)>;

    /// Returns true while the mapper of a kind is off, because an API or a right is missing: it cannot judge.
    fn is_off(&self, kind: Kind) -> bool;

    /// Returns the caches, as the mapper of a kind sees them.
    fn view(&self, kind: Kind) -> Box<dyn View + '_>;

    /// Returns a receiver that wakes with every change of a cache, if the kind is cached.
    fn changes(&self, side: Side, kind: Kind) -> Option<watch::Receiver<u64>>;

    /// Returns the registry behind `/metrics`.
    fn registry(&self) -> &Registry;

    /// Reports that a part beside the mappers is off, and why; or that it is on again. `/readyz` shows it.
    fn report_off(&self, part: &'static str, why: Option<String>);

    /// Reports that a socket does not listen, and why; or that it does. Until then the syncer is not ready.
    fn report_closed(&self, socket: &'static str, why: Option<String>);

    /// Returns true unless this replica stands by, or has lost its lease: then it writes nothing.
    fn may_write(&self) -> bool;

    /// Waits until this replica has held the lease for the first time; without a lease it returns at once.
    async fn leads(&self);

    /// Counts a panic that a part beside the engine has contained.
    fn task_panicked(&self, task: &'static str);

    /// Returns the reason while nothing may be written, on either side.
    fn check_claim(&self) -> Result<(), MapError>;

    /// Locks the name of a host pod: until the lock is dropped, a create under that name waits, at most a minute.
    fn lock_create(&self, key: &HostKey) -> CreateLock;

    /// Reads an object from a quorum, within the bound of its side.
    async fn read(&self, side: Side, target: &Target<'_>) -> Result<Option<Value>, MapError>;

    /// Creates a host object for a request that is not served yet.
    async fn reserve(&self, kind: Kind, key: &HostKey, desired: Value, mark: &Mark<'_>) -> Result<Value, ApiError>;

    /// Adds to a host object what a request needs, if the object is still as it was seen.
    async fn extend(
        &self,
        kind: Kind,
        host: &Object,
        values: &[(String, Value)],
        mark: &Mark<'_>,
    ) -> Result<Value, ApiError>;

    /// Deletes an object of ours, with its evidence.
    async fn delete(&self, deletion: Deletion) -> Result<Done, MapError>;

    /// Keeps an object of the virtual API server that registers a socket as it should be. The registration of a
    /// syncer that started later stays, as long as its socket answers.
    async fn register(&self, kind: Kind, desired: &Value, socket_of: SocketOf) -> Result<Done, MapError>;

    /// Deletes an object that registers a socket of this syncer, or one that does not answer.
    async fn unregister(&self, kind: Kind, namespace: &str, name: &str, socket_of: SocketOf) -> Result<Done, MapError>;
}

/// Serves the virtual API server beside the engine, until it is told to stop:
/// `tenet_sockets::Sockets`, or `|_, _, _| async {}` for none.
pub trait Sockets {
    /// The rights that it needs with this configuration, and the part that needs each.
    fn rights(&self, _config: &Config) -> Vec<Need> {
        Vec::new()
    }

    /// Serves until `stop`. It runs while the replica stands by, too: what it writes waits for [`EngineHandle::leads`].
    fn serve(
        self,
        engine: Arc<dyn EngineHandle>,
        live: Live,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static;
}

impl<S, F> Sockets for S
where
    S: FnOnce(Arc<dyn EngineHandle>, Live, CancellationToken) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    fn serve(
        self,
        engine: Arc<dyn EngineHandle>,
        live: Live,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        self(engine, live, stop)
    }
}

/// Keeps the reason of a part, or removes it.
fn note(reasons: &Mutex<BTreeMap<&'static str, String>>, part: &'static str, why: Option<String>) {
    let mut reasons = reasons.lock();
    match why {
        Some(why) => reasons.insert(part, why),
        None => reasons.remove(part),
    };
}

#[async_trait]
impl EngineHandle for Engine {
    fn report_off(&self, part: &'static str, why: Option<String>) {
        self.metrics.part_running(part, why.is_none());
        note(&self.off, part, why);
    }

    fn report_closed(&self, socket: &'static str, why: Option<String>) {
        note(&self.closed, socket, why);
    }

    fn may_write(&self) -> bool {
        Self::may_write(self)
    }

    async fn leads(&self) {
        if let Some(lease) = &self.lease {
            lease.held().await;
        }
    }

    fn task_panicked(&self, task: &'static str) {
        self.metrics.task_panicked(task);
    }

    fn facts(&self) -> Arc<Facts> {
        self.facts.load_full()
    }

    fn admissions(&self) -> Vec<(Kind, &dyn Admission)> {
        self.mappers.iter().filter_map(|mapper| Some((mapper.spec().kind, mapper.admission()?))).collect()
    }

    fn is_off(&self, kind: Kind) -> bool {
        let state = self.mappers.of_kind(kind).and_then(|mapper| self.registry.state(mapper.spec().id));
        matches!(state, Some(State::Off(_)))
    }

    fn view(&self, kind: Kind) -> Box<dyn View + '_> {
        Box::new(self.view_of(kind))
    }

    fn changes(&self, side: Side, kind: Kind) -> Option<watch::Receiver<u64>> {
        self.caches.get(side, kind).map(|cache| cache.subscribe())
    }

    fn registry(&self) -> &Registry {
        self.metrics.registry()
    }

    fn check_claim(&self) -> Result<(), MapError> {
        Ok(self.claim.check()?)
    }

    fn lock_create(&self, key: &HostKey) -> CreateLock {
        self.gate.lock_create(key)
    }

    async fn read(&self, side: Side, target: &Target<'_>) -> Result<Option<Value>, MapError> {
        self.gate.read(side, target).await
    }

    async fn reserve(&self, kind: Kind, key: &HostKey, desired: Value, mark: &Mark<'_>) -> Result<Value, ApiError> {
        self.gate.reserve(kind, key, desired, mark).await
    }

    async fn extend(
        &self,
        kind: Kind,
        host: &Object,
        values: &[(String, Value)],
        mark: &Mark<'_>,
    ) -> Result<Value, ApiError> {
        self.gate.extend(kind, host, values, mark).await
    }

    async fn delete(&self, deletion: Deletion) -> Result<Done, MapError> {
        self.gate.perform(Effect::Delete(deletion)).await
    }

    async fn register(&self, kind: Kind, desired: &Value, socket_of: SocketOf) -> Result<Done, MapError> {
        self.gate.register(kind, desired, socket_of).await
    }

    async fn unregister(&self, kind: Kind, namespace: &str, name: &str, socket_of: SocketOf) -> Result<Done, MapError> {
        self.gate.unregister(kind, namespace, name, socket_of).await
    }
}

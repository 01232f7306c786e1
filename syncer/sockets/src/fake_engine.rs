//! An engine for tests. The test and reservations set the content of its caches; nothing is written.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use tenet_mapper::keys::PENDING;
use tenet_mapper::rules::Defaults;
use tenet_mapper::testing::Clusters;
use tenet_mapper::{
    Admission, Bound, Deletion, Facts, HostKey, Kind, MapError, Object, ObjectRef, Side, View, VirtualKey,
};
use tenet_syncer::api::{ApiError, Target};
use tenet_syncer::{CreateLock, CreateLocks, Done, EngineHandle, Mark, Registry, SocketOf};
use tokio::sync::watch;

/// An engine without clusters.
pub struct FakeEngine {
    objects: Mutex<HashMap<ObjectRef, Object>>,
    facts: Arc<Facts>,
    locks: Arc<CreateLocks>,
    registry: Registry,
    panics: Mutex<Vec<&'static str>>,
}

impl Default for FakeEngine {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            facts: Arc::new(Clusters::default().look(|cx| cx.facts().clone())),
            locks: Arc::default(),
            registry: Registry::default(),
            panics: Mutex::default(),
        }
    }
}

impl FakeEngine {
    /// The tasks that have panicked.
    pub fn panics(&self) -> Vec<&'static str> {
        self.panics.lock().clone()
    }

    /// Shows an object in the cache of one side.
    pub fn sees(&self, side: Side, kind: Kind, object: Value) {
        let object = Object::new(object);
        let (namespace, name) = (object.namespace(), object.name());
        let reference = match side {
            Side::Virtual => ObjectRef::virt(kind, &VirtualKey::new(namespace, name)),
            Side::Host => ObjectRef::host(kind, &HostKey::new(namespace, name)),
        };
        self.objects.lock().insert(reference, object);
    }
}

struct Caches<'e>(&'e FakeEngine);

impl View for Caches<'_> {
    fn get(&self, object: &ObjectRef) -> Option<Object> {
        self.0.objects.lock().get(object).cloned()
    }

    fn list(&self, side: Side, kind: Kind, _namespace: &str) -> Vec<Object> {
        let objects = self.0.objects.lock();
        objects.iter().filter(|(at, _)| (at.side, at.kind) == (side, kind)).map(|(_, object)| object.clone()).collect()
    }

    fn last_state(&self, _kind: Kind, _key: &HostKey) -> Option<Object> {
        None
    }

    fn visit_sources(&self, _input: Bound, _key: &VirtualKey, _visit: &mut dyn FnMut(Object) -> bool) {}

    fn is_referenced(&self, _kind: Kind, _key: &VirtualKey) -> bool {
        false
    }

    fn can_read(&self, _side: Side, _kind: Kind) -> bool {
        true
    }

    fn defaults(&self, _kind: Kind) -> Arc<Defaults> {
        Arc::default()
    }
}

#[async_trait]
impl EngineHandle for FakeEngine {
    fn report_off(&self, _part: &'static str, _why: Option<String>) {}

    fn report_closed(&self, _socket: &'static str, _why: Option<String>) {}

    fn may_write(&self) -> bool {
        true
    }

    async fn leads(&self) {}

    fn task_panicked(&self, task: &'static str) {
        self.panics.lock().push(task);
    }

    fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts)
    }

    fn admissions(&self) -> Vec<(Kind, &dyn Admission)> {
        Vec::new()
    }

    fn is_off(&self, _kind: Kind) -> bool {
        false
    }

    fn view(&self, _kind: Kind) -> Box<dyn View + '_> {
        Box::new(Caches(self))
    }

    fn changes(&self, _side: Side, _kind: Kind) -> Option<watch::Receiver<u64>> {
        None
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn check_claim(&self) -> Result<(), MapError> {
        Ok(())
    }

    fn lock_create(&self, key: &HostKey) -> CreateLock {
        self.locks.lock(key)
    }

    async fn read(&self, _side: Side, _target: &Target<'_>) -> Result<Option<Value>, MapError> {
        Ok(None)
    }

    async fn reserve(&self, kind: Kind, _: &HostKey, mut desired: Value, mark: &Mark<'_>) -> Result<Value, ApiError> {
        desired["metadata"]["annotations"][PENDING] = mark.since.to_string().into();
        if !mark.dry_run {
            self.sees(Side::Host, kind, desired.clone());
        }
        Ok(desired)
    }

    async fn extend(&self, kind: Kind, _: &Object, _: &[(String, Value)], _: &Mark<'_>) -> Result<Value, ApiError> {
        Err(ApiError::Transport(format!("{kind}: this engine writes nothing")))
    }

    async fn delete(&self, _deletion: Deletion) -> Result<Done, MapError> {
        Ok(Done::Unchanged)
    }

    async fn register(&self, _kind: Kind, _desired: &Value, _socket_of: SocketOf) -> Result<Done, MapError> {
        Ok(Done::Unchanged)
    }

    async fn unregister(
        &self,
        _kind: Kind,
        _namespace: &str,
        _name: &str,
        _socket_of: SocketOf,
    ) -> Result<Done, MapError> {
        Ok(Done::Unchanged)
    }
}

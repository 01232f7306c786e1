//! An in-memory Kubernetes API server, one for each cluster.
//!
//! It answers as a kube-apiserver does, without processes, clocks and randomness of its own: the clock is injected, all
//! randomness comes from a seed, and every answer depends on nothing else. `tests/model.rs` compares it with a real
//! one. There are no controllers: those are actors of the simulated world.

mod account;
mod address;
mod audit;
mod create;
mod defaults;
mod delete;
mod discovery;
mod object;
mod patch;
mod quota;
mod random;
mod read;
mod request;
mod resource;
mod selector;
mod server;
mod service;
mod status;
mod store;
mod subresource;
#[cfg(test)]
mod tests;
mod transition;
mod update;
mod validation;
mod watch;

use std::fmt;
use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tenet_mapper::{Kind, kinds};
use time::OffsetDateTime;

pub use audit::AuditEntry;
pub use object::Object;
pub use quota::QUOTA;
pub use request::{PatchType, Request, RequestOptions, Verb};
pub use resource::{Resource, ResourceId};
pub use server::{Admission, Answer, Content, Review};
pub use service::{ApiBody, ApiService, refusal};
pub use status::{Cause, Details, Status};
pub use store::Snapshot;

use server::State;
use store::key;

/// The time of day of a cluster.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// Settings of a cluster.
#[derive(Clone)]
pub struct ClusterConfig {
    /// Name in messages.
    pub name: String,
    /// Seed of UIDs, generated names and addresses.
    pub seed: u64,
    /// The time of day.
    pub clock: Clock,
    /// Range of Service addresses: network and length of its prefix.
    pub service_cidr: (Ipv4Addr, u8),
    /// Number of changes of a resource that watches can still ask for.
    pub history: usize,
    /// True if pods need their `ServiceAccount` and get its token.
    pub service_accounts: bool,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            name: "cluster".to_owned(),
            seed: 0,
            clock: Arc::new(|| OffsetDateTime::UNIX_EPOCH),
            service_cidr: (Ipv4Addr::new(10, 96, 0, 0), 16),
            history: 10_000,
            service_accounts: true,
        }
    }
}

impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterConfig").field("name", &self.name).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// An in-memory cluster: its API server and its store.
#[derive(Clone, Debug)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
}

impl Cluster {
    /// A cluster with the objects that every cluster has from the start.
    pub fn new(config: ClusterConfig) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(config))) }
    }

    /// A client of one user.
    pub fn client(&self, user: &str) -> kube::Client {
        kube::Client::new(self.service(user), "default")
    }

    /// The HTTP service behind the clients of one user, for layers that inject faults.
    pub fn service(&self, user: &str) -> ApiService {
        ApiService::new(Arc::clone(&self.state), user)
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request) -> Result<Answer, Status> {
        self.lock().handle(request)
    }

    /// The UID of the namespace `kube-system`, which is the identity of the cluster.
    pub fn cluster_id(&self) -> String {
        self.get(kinds::NAMESPACE, "", "kube-system").map(|found| found.uid().to_owned()).unwrap_or_default()
    }

    /// An object.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let state = self.lock();
        state.store.get(state.store.find(kind)?, &key(namespace, name)).cloned()
    }

    /// The objects of a namespace; of all when `namespace` is empty.
    pub fn list(&self, kind: Kind, namespace: &str) -> Vec<Arc<Object>> {
        let state = self.lock();
        let Some(id) = state.store.find(kind) else { return Vec::new() };
        state.store.tables[id].select(namespace, "").cloned().collect()
    }

    /// The objects of a namespace at an earlier version; `None` when that version is forgotten.
    pub fn state_at(&self, kind: Kind, namespace: &str, version: u64) -> Option<Vec<Arc<Object>>> {
        let state = self.lock();
        let past = state.store.tables[state.store.find(kind)?].at(version)?;
        Some(past.select(namespace, "").cloned().collect())
    }

    /// All objects, in a fixed order.
    pub fn all(&self) -> Vec<(Kind, Arc<Object>)> {
        let state = self.lock();
        let of = |table: &store::Table| {
            let kind = table.resource.kind;
            table.objects.values().map(move |object| (kind, Arc::clone(object))).collect::<Vec<_>>()
        };
        state.store.tables.iter().flat_map(of).collect()
    }

    fn request(&self, user: &str, verb: Verb, kind: Kind, namespace: &str, name: &str, body: Value) -> Request {
        Request {
            user: user.to_owned(),
            verb,
            resource: self.lock().store.find(kind).unwrap_or(usize::MAX),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            options: RequestOptions::default(),
            metadata_only: false,
            body,
        }
    }

    fn write(&self, request: &Request) -> Result<Value, Status> {
        let mut state = self.lock();
        if state.store.tables.get(request.resource).is_none_or(|table| !table.is_served) {
            return Err(Status::not_served());
        }
        state.handle(request).map(|answer| answer.into_value().unwrap_or_default())
    }

    /// Creates an object.
    pub fn create(&self, user: &str, kind: Kind, namespace: &str, object: Value) -> Result<Value, Status> {
        self.write(&self.request(user, Verb::Create, kind, namespace, "", object))
    }

    /// Replaces an object.
    pub fn update(&self, user: &str, kind: Kind, namespace: &str, name: &str, object: Value) -> Result<Value, Status> {
        self.write(&self.request(user, Verb::Update, kind, namespace, name, object))
    }

    /// Replaces the status of an object.
    pub fn update_status(
        &self,
        user: &str,
        kind: Kind,
        namespace: &str,
        name: &str,
        object: Value,
    ) -> Result<Value, Status> {
        let request = self.request(user, Verb::Update, kind, namespace, name, object);
        self.write(&Request { subresource: "status".to_owned(), ..request })
    }

    /// Changes an object, or a subresource of it.
    pub fn patch(
        &self,
        user: &str,
        kind: Kind,
        (namespace, name): (&str, &str),
        subresource: Option<&str>,
        patch: PatchType,
        body: Value,
    ) -> Result<Value, Status> {
        let request = self.request(user, Verb::Patch(patch), kind, namespace, name, body);
        self.write(&Request { subresource: subresource.unwrap_or_default().to_owned(), ..request })
    }

    /// Deletes an object, with `DeleteOptions`.
    pub fn delete(&self, user: &str, kind: Kind, namespace: &str, name: &str, options: Value) -> Result<Value, Status> {
        self.write(&self.request(user, Verb::Delete, kind, namespace, name, options))
    }

    /// Gives a pod its node, as a scheduler does.
    pub fn bind(&self, user: &str, namespace: &str, name: &str, node: &str) -> Result<Value, Status> {
        let body = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": node}});
        let request = self.request(user, Verb::Create, kinds::POD, namespace, name, body);
        self.write(&Request { subresource: "binding".to_owned(), ..request })
    }

    /// Ends the deletion of a namespace, as its controller does when the namespace is empty.
    pub fn finalize(&self, user: &str, namespace: &str) -> Result<Value, Status> {
        let body = json!({"metadata": {"name": namespace}, "spec": {"finalizers": []}});
        let request = self.request(user, Verb::Update, kinds::NAMESPACE, "", namespace, body);
        self.write(&Request { subresource: "finalize".to_owned(), ..request })
    }

    /// Requests that may have written, in their order.
    pub fn audit(&self) -> Vec<AuditEntry> {
        self.lock().audit.clone()
    }

    /// Requests that may have written since the last call.
    pub fn take_audit(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.lock().audit)
    }

    /// The version of the store.
    pub fn version(&self) -> u64 {
        self.lock().store.version
    }

    /// The version of the last change that was not one of this kind.
    pub fn version_besides(&self, kind: Kind) -> u64 {
        let state = self.lock();
        let tables = state.store.tables.iter().filter(|table| table.resource.kind != kind);
        tables.map(|table| table.seen).max().unwrap_or(0)
    }

    /// Waits until the store has a later version than this one.
    pub async fn changed(&self, since: u64) -> u64 {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.store.version != since {
                return Poll::Ready(state.store.version);
            }
            state.store.follow(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// A backup of the store.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().store.snapshot()
    }

    /// Restores a backup: the store goes back to its version, and every watch ends.
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut state = self.lock();
        state.store.restore(snapshot);
        state.count_addresses();
    }

    /// Replaces the cluster by a new one with the same address.
    pub fn replace(&self) {
        let mut state = self.lock();
        state.store.wipe();
        state.count_addresses();
        state.found();
    }

    /// Forgets the changes up to a version: a watch from there is answered with 410.
    pub fn compact(&self, version: u64) {
        self.lock().store.compact(version);
    }

    /// Answers a watch from a forgotten version with HTTP 410, or tells it as an event: servers do either.
    pub fn set_refuses_expired(&self, refuses: bool) {
        self.lock().refuses_expired = refuses;
    }

    /// Ends every watch.
    pub fn cut_watches(&self) {
        self.lock().store.cut();
    }

    /// Sets the admission of the cluster.
    pub fn set_admission(&self, admission: Option<Admission>) {
        self.lock().admission = admission;
    }

    /// Serves a kind, or answers 404 for it.
    pub fn set_served(&self, kind: Kind, is_served: bool) {
        let mut state = self.lock();
        if let Some(id) = state.store.find(kind) {
            state.store.tables[id].is_served = is_served;
        }
        state.store.cut_table(kind);
    }

    /// Adds a custom resource, as plain storage.
    pub fn add_resource(&self, resource: Resource) {
        self.lock().store.add(resource);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

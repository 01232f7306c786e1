//! State of a cluster, and the way of a request through it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tenet_mapper::{Kind, kinds};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::address::Addresses;
use super::audit::AuditEntry;
use super::object::Object;
use super::random::Random;
use super::request::{Request, Verb};
use super::resource::Resource;
use super::status::Status;
use super::store::{Store, key};
use super::watch::WatchStart;
use super::{ClusterConfig, create, delete, read, subresource, update, watch};

/// A write that is about to be stored, as an admission webhook sees it.
pub struct Review<'r> {
    /// User who sends it.
    pub user: &'r str,
    /// Action: a create or an update.
    pub verb: Verb,
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace of the object.
    pub namespace: &'r str,
    /// Name of the object.
    pub name: &'r str,
    /// Subresource; empty for the object itself.
    pub subresource: &'r str,
    /// True for a dry run.
    pub dry_run: bool,
    /// The object before the write.
    pub old: Option<&'r Object>,
}

/// Admission of a cluster: it may change an object, or refuse it. It must not call the cluster.
pub type Admission = Arc<dyn Fn(&Review<'_>, &mut Value) -> Result<(), Status> + Send + Sync>;

/// Content of an answer.
#[derive(Debug)]
pub enum Content {
    /// A stored object.
    Object(Arc<Object>),
    /// An object that is not stored: a dry run, a token, a `Status`.
    Value(Value),
    /// JSON text of a list.
    Text(Bytes),
    /// A watch.
    Watch(WatchStart),
}

/// Answer to a request that succeeded.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// Content.
    pub content: Content,
}

impl Answer {
    pub(super) fn object(code: u16, object: Arc<Object>) -> Self {
        Self { code, content: Content::Object(object) }
    }

    pub(super) fn value(code: u16, value: Value) -> Self {
        Self { code, content: Content::Value(value) }
    }

    /// A `Status` that says that all is well.
    pub(super) fn success(code: u16) -> Self {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code});
        Self::value(code, status)
    }

    /// The object of the answer; `None` for lists and watches.
    pub fn into_value(self) -> Option<Value> {
        match self.content {
            Content::Object(object) => Some(object.value().clone()),
            Content::Value(value) => Some(value),
            Content::Text(text) => serde_json::from_slice(&text).ok(),
            Content::Watch(_) => None,
        }
    }

    fn written(&self) -> Option<&Value> {
        match &self.content {
            Content::Object(object) => Some(object.value()),
            Content::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// State of a cluster.
pub(super) struct State {
    pub(super) store: Store,
    pub(super) random: Random,
    pub(super) config: ClusterConfig,
    pub(super) addresses: Addresses,
    pub(super) admission: Option<Admission>,
    pub(super) audit: Vec<AuditEntry>,
    /// True if a watch from a forgotten version is refused, and not answered with an event.
    pub(super) refuses_expired: bool,
    watches: u64,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("version", &self.store.version).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(config: ClusterConfig) -> Self {
        let mut state = Self {
            store: Store::new(config.history),
            random: Random::new(config.seed),
            addresses: Addresses::new(config.service_cidr),
            config,
            admission: None,
            audit: Vec::new(),
            refuses_expired: false,
            watches: 0,
        };
        state.found();
        state
    }

    /// Makes the objects that every cluster has from the start.
    pub(super) fn found(&mut self) {
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            self.make(kinds::NAMESPACE, "", json!({"metadata": {"name": name}}));
            self.make(kinds::SERVICE_ACCOUNT, name, json!({"metadata": {"name": "default"}}));
            let root = json!({"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "a certificate"}});
            self.make(kinds::CONFIG_MAP, name, root);
        }
        let labels = json!({"component": "apiserver", "provider": "kubernetes"});
        let service = json!({
            "metadata": {"name": "kubernetes", "labels": labels},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 6443}],
                     "clusterIP": self.addresses.first().to_string()},
        });
        self.make(kinds::SERVICE, "default", service);
        self.audit.clear();
    }

    fn make(&mut self, kind: Kind, namespace: &str, body: Value) {
        let Some(resource) = self.store.find(kind) else { return };
        let request = Request {
            user: "system:apiserver".to_owned(),
            verb: Verb::Create,
            resource,
            namespace: namespace.to_owned(),
            name: String::new(),
            subresource: String::new(),
            options: super::RequestOptions::default(),
            metadata_only: false,
            body,
        };
        // An object that the server itself makes is valid.
        drop(self.handle(&request));
    }

    /// A number that orders a watch among those that wait for the same change.
    pub(super) fn next_watch(&mut self) -> u64 {
        self.watches += 1;
        self.watches
    }

    /// Finds out which addresses the stored Services have.
    pub(super) fn count_addresses(&mut self) {
        let Some(id) = self.store.find(kinds::SERVICE) else { return };
        self.addresses.rebuild(self.store.tables[id].objects.values().map(|service| service.value()));
    }

    /// The time of day.
    pub(super) fn now(&self) -> OffsetDateTime {
        (self.config.clock)()
    }

    pub(super) fn resource(&self, request: &Request) -> Resource {
        self.store.tables[request.resource].resource
    }

    /// Answers a request.
    pub(super) fn handle(&mut self, request: &Request) -> Result<Answer, Status> {
        match request.verb {
            Verb::Get => read::get(self, request),
            Verb::List => read::list(self, request),
            Verb::Watch => watch::start(self, request),
            _ => self.write(request),
        }
    }

    fn write(&mut self, request: &Request) -> Result<Answer, Status> {
        if request.body["dryRun"][0] == "All" && matches!(request.verb, Verb::Delete | Verb::DeleteCollection) {
            let mut dry = request.clone();
            dry.options.dry_run = true;
            dry.body = request
                .body
                .as_object()
                .map(|members| members.clone().into_iter().filter(|(name, _)| name != "dryRun").collect())
                .unwrap_or_default();
            return self.write(&dry);
        }
        let start = self.store.version;
        let old = self.store.get(request.resource, &key(&request.namespace, &request.name)).cloned();
        let resource = self.resource(request);
        let result = match (request.verb, request.subresource.as_str()) {
            (Verb::Create, "") => create::create(self, &resource, request),
            (Verb::Create, name) => subresource::create(self, &resource, request, name),
            (Verb::Update | Verb::Patch(_), _) => update::update(self, &resource, request),
            (Verb::Delete, "") => delete::delete(self, &resource, request),
            (Verb::DeleteCollection, "") => delete::delete_collection(self, &resource, request),
            _ => Err(Status::method_not_allowed()),
        };
        let is_changed = self.store.version != start;
        let entry = AuditEntry::new(self, &resource, request, old, &result, is_changed);
        self.audit.push(entry);
        result
    }

    /// Passes an object through the admission of the cluster.
    pub(super) fn admit(
        &self,
        request: &Request,
        resource: &Resource,
        old: Option<&Object>,
        new: &mut Value,
    ) -> Result<(), Status> {
        let Some(admission) = &self.admission else { return Ok(()) };
        let name = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let review = Review {
            user: &request.user,
            verb: request.verb,
            kind: resource.kind,
            namespace: &request.namespace,
            name: &name,
            subresource: &request.subresource,
            dry_run: request.options.dry_run,
            old,
        };
        admission(&review, new)
    }
}

/// A time as an object tells it: to the second.
pub(super) fn timestamp(time: OffsetDateTime) -> String {
    let second = time.replace_nanosecond(0).unwrap_or(time);
    second.format(&Rfc3339).unwrap_or_default()
}

/// Reads a time of an object.
pub(super) fn parse_time(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}

impl AuditEntry {
    fn new(
        state: &State,
        resource: &Resource,
        request: &Request,
        before: Option<Arc<Object>>,
        result: &Result<Answer, Status>,
        is_changed: bool,
    ) -> Self {
        let written =
            result.as_ref().ok().and_then(Answer::written).filter(|value| value["kind"] == resource.kind.kind);
        let name = written.map_or(&request.body, |value| value)["metadata"]["name"].as_str().unwrap_or_default();
        let name = if request.name.is_empty() { name } else { &request.name };
        let after = state.store.get(request.resource, &key(&request.namespace, name)).cloned();
        let uid = after.as_ref().or(before.as_ref()).map(|object| object.uid().to_owned()).unwrap_or_default();
        Self {
            version: state.store.version,
            time: state.now(),
            user: request.user.clone(),
            verb: request.verb,
            kind: resource.kind,
            namespace: request.namespace.clone(),
            name: name.to_owned(),
            subresource: request.subresource.clone(),
            uid,
            code: result.as_ref().map_or_else(|status| status.code, |answer| answer.code),
            reason: result.as_ref().err().map_or("", |status| status.reason),
            is_dry_run: request.options.dry_run,
            is_changed,
            body: request.body.clone(),
            before,
            after,
        }
    }
}

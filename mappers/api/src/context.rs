use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenet_translate::keys::CROSSED;
use tenet_translate::labels::{self, Globs};
use tenet_translate::names::Names;
use tenet_translate::owner::{OwnerRecord, Ownership};
use tenet_translate::rules::{Crossing, Defaults, Policy, Table};

use crate::crossed;
use crate::{HostKey, Kind, MapError, MapperSpec, Object, Side, VirtualKey, async_trait};

/// What the engine shows to mappers: the caches, and reads of single objects.
#[async_trait]
pub trait View: Send + Sync {
    /// A cached object.
    fn get(&self, side: Side, kind: Kind, namespace: &str, name: &str) -> Option<Object>;

    /// The last state of a host object that has just gone, until a reconcile has acknowledged it.
    fn last_seen(&self, kind: Kind, key: &HostKey) -> Option<Object>;

    /// The cached objects of an input that touch `key` of the mapper `mapper`.
    fn sources(&self, mapper: &str, side: Side, kind: Kind, key: &VirtualKey) -> Vec<Object>;

    /// The first of [`Self::sources`] that is wanted; the rest need not be unpacked.
    fn find_source(
        &self,
        mapper: &str,
        side: Side,
        kind: Kind,
        key: &VirtualKey,
        wanted: &(dyn Fn(&Object) -> bool + Send + Sync),
    ) -> Option<Object> {
        self.sources(mapper, side, kind, key).into_iter().find(wanted)
    }

    /// The cached virtual objects of a kind in one namespace, in order of their names.
    fn list(&self, kind: Kind, namespace: &str) -> Vec<Object>;

    /// Whether a virtual object that is being synced refers to this one.
    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool;

    /// Whether an optional input can be read.
    fn can_read(&self, side: Side, kind: Kind) -> bool;

    /// What the virtual API server fills in by itself.
    fn defaults(&self, kind: Kind) -> Arc<Defaults>;

    /// Reads a whole virtual object from the API server.
    async fn fetch(&self, kind: Kind, key: &VirtualKey) -> Result<Option<Object>, MapError>;
}

/// What is fixed while a reconcile runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How names are translated.
    pub names: Names,
    /// The UID of the virtual `kube-system` namespace.
    pub cluster_id: String,
    /// The version of the virtual API server: `v1.37.2`.
    pub virtual_version: String,
    /// Which tenant annotations cross.
    pub annotations: Globs,
    /// What the installation decided about unknown and refused fields.
    pub policy: Policy,
    /// The whole configuration, by section.
    pub config: Value,
    /// How long a reservation counts, in seconds: longer than any request to the virtual API
    /// server takes.
    pub reservation: i64,
}

/// What a mapper sees during one reconcile.
pub struct Context<'c> {
    view: &'c dyn View,
    facts: &'c Facts,
    now: i64,
}

impl<'c> Context<'c> {
    /// A context over a view, at `now` in unix seconds.
    pub fn new(view: &'c dyn View, facts: &'c Facts, now: i64) -> Self {
        Self { view, facts, now }
    }

    /// What is fixed: names, identity, configuration.
    pub fn facts(&self) -> &Facts {
        self.facts
    }

    /// The time, in unix seconds.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// A section of the configuration.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, MapError> {
        let value = self.facts.config.get(name).unwrap_or(&Value::Null);
        T::deserialize(value).map_err(|error| MapError::Malformed(format!("configuration section {name}: {error}")))
    }

    /// A cached virtual object.
    pub fn virt(&self, kind: Kind, key: &VirtualKey) -> Option<Object> {
        self.view.get(Side::Virtual, kind, key.namespace(), key.name())
    }

    /// A cached host object.
    pub fn host(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.view.get(Side::Host, kind, key.namespace(), key.name())
    }

    /// The last state of a host object that has just gone.
    pub fn last_seen(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.view.last_seen(kind, key)
    }

    /// The objects of an input with [`crate::KeysOf::With`] that touch `key`.
    pub fn sources(&self, spec: &MapperSpec, side: Side, kind: Kind, key: &VirtualKey) -> Vec<Object> {
        self.view.sources(spec.name, side, kind, key)
    }

    /// The first of [`Self::sources`] that is wanted: cheap where there are many.
    pub fn find_source(
        &self,
        spec: &MapperSpec,
        side: Side,
        kind: Kind,
        key: &VirtualKey,
        wanted: &(dyn Fn(&Object) -> bool + Send + Sync),
    ) -> Option<Object> {
        self.view.find_source(spec.name, side, kind, key, wanted)
    }

    /// The cached virtual objects of a kind in one namespace.
    pub fn list(&self, kind: Kind, namespace: &str) -> Vec<Object> {
        self.view.list(kind, namespace)
    }

    /// Whether a virtual object that is being synced refers to this one.
    pub fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.view.is_referenced(kind, key)
    }

    /// Whether an optional input can be read.
    pub fn can_read(&self, side: Side, kind: Kind) -> bool {
        self.view.can_read(side, kind)
    }

    /// What the virtual API server fills in by itself: never a reason to refuse.
    pub fn defaults(&self, kind: Kind) -> Arc<Defaults> {
        self.view.defaults(kind)
    }

    /// Reads a whole virtual object from the API server: for kinds that are cached as
    /// metadata only.
    pub async fn fetch(&self, kind: Kind, key: &VirtualKey) -> Result<Option<Object>, MapError> {
        self.view.fetch(kind, key).await
    }

    /// Where the host object of a virtual one stands.
    pub fn host_key(&self, kind: Kind, key: &VirtualKey) -> HostKey {
        self.host_key_named(kind.kind, key.namespace(), key.name())
    }

    /// As [`Self::host_key`], for a kind that is only known by name.
    pub fn host_key_named(&self, kind: &str, namespace: &str, name: &str) -> HostKey {
        let names = &self.facts.names;
        HostKey::new(names.host_namespace.as_str(), names.host_name(kind, namespace, name))
    }

    /// The owner record of a virtual object's copies.
    pub fn owner(&self, kind: Kind, virt: &Object) -> OwnerRecord {
        OwnerRecord {
            cluster: self.facts.cluster_id.clone(),
            kind: kind.kind.to_owned(),
            namespace: virt.namespace().to_owned(),
            name: virt.name().to_owned(),
            uid: virt.uid().to_owned(),
        }
    }

    /// Reads the owner record of a host object.
    pub fn ownership(&self, host: &Object) -> Ownership {
        let metadata = host.value().get("metadata").unwrap_or(&Value::Null);
        OwnerRecord::read(metadata, &self.facts.names.cluster, &self.facts.cluster_id)
    }

    /// The owner record of a host object that is ours; [`MapError::Foreign`] when it is not.
    pub fn owned(&self, kind: Kind, host: &Object) -> Result<OwnerRecord, MapError> {
        match self.ownership(host) {
            Ownership::Ours(record) => Ok(record),
            Ownership::Foreign(why) => Err(MapError::Foreign {
                place: format!("{kind} {}/{}", host.namespace(), host.name()),
                why: why.to_string(),
            }),
        }
    }

    /// Carries a virtual object across by its table. The references are in the answer;
    /// the refusals are an error.
    pub fn cross(&self, kind: Kind, table: &Table, virt: &Object) -> Result<Crossing, MapError> {
        let namespace = virt.namespace();
        let crossing = table.down(virt.value(), &self.facts.policy, &self.view.defaults(kind), &|reference| {
            self.facts.names.host_name(reference.kind, namespace, &reference.name)
        });
        if crossing.refusals.is_empty() { Ok(crossing) } else { Err(MapError::Refused(crossing.refusals)) }
    }

    /// The host object of a virtual one as its table makes it, with metadata and owner
    /// record.
    pub fn draft(&self, kind: Kind, table: &Table, virt: &Object) -> Result<Value, MapError> {
        let mut draft = self.cross(kind, table, virt)?.host;
        let key = VirtualKey::new(virt.namespace(), virt.name());
        let metadata = self.metadata(kind, virt, &self.host_key(kind, &key));
        if let Some(members) = draft.as_object_mut() {
            members.insert("apiVersion".to_owned(), Value::String(kind.api_version()));
            members.insert("kind".to_owned(), Value::String(kind.kind.to_owned()));
            members.insert("metadata".to_owned(), metadata);
        }
        Ok(draft)
    }

    /// The metadata of a host object: name, the labels and annotations that cross, and
    /// the owner record.
    pub fn metadata(&self, kind: Kind, virt: &Object, key: &HostKey) -> Value {
        let (owner, tenant) = (self.owner(kind, virt), virt.value().get("metadata"));
        let mut labels = labels::labels_down(tenant.and_then(|metadata| metadata.get("labels")));
        let allow = &self.facts.annotations;
        let mut annotations = labels::annotations_down(tenant.and_then(|metadata| metadata.get("annotations")), allow);
        annotations.insert(CROSSED.to_owned(), crossed::list(&labels, &annotations).into());
        labels.extend(owner.labels(&self.facts.names.cluster));
        annotations.extend(owner.annotations(key.namespace(), key.name()));
        json!({"name": key.name(), "namespace": key.namespace(), "labels": labels, "annotations": annotations})
    }
}

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tenet_translate::GroupKind;
use tenet_translate::keys::CROSSED;
use tenet_translate::labels;
use tenet_translate::owner::{OwnerRecord, Ownership};
use tenet_translate::rules::{Crossing, DownContext, Table};
use tenet_translate::selectors::Scope;

use crate::crossed;
use crate::{Bound, Contents, Facts, HostKey, Kind, MapError, Object, ObjectRef, Read, Side, View, VirtualKey};

/// The world of one reconcile: caches, configuration, time, and content that was asked for.
///
/// ```
/// use tenet_mapper::{Context, VirtualKey, kinds};
///
/// fn is_running(cx: &Context<'_>, key: &VirtualKey) -> bool {
///     let host = cx.host(kinds::POD, &cx.host_key(kinds::POD, key));
///     host.is_some_and(|pod| pod.str_at("/status/phase") == Some("Running"))
/// }
/// ```
pub struct Context<'c> {
    view: &'c dyn View,
    facts: &'c Facts,
    now: i64,
    contents: Option<&'c Contents>,
}

impl<'c> Deref for Context<'c> {
    type Target = dyn View + 'c;

    fn deref(&self) -> &Self::Target {
        self.view
    }
}

impl<'c> Context<'c> {
    /// A context over a view, at `now` in unix seconds.
    pub fn new(view: &'c dyn View, facts: &'c Facts, now: i64) -> Self {
        Self { view, facts, now, contents: None }
    }

    /// The same context, with content that was read for this reconcile.
    #[must_use]
    pub fn with(self, contents: &'c Contents) -> Self {
        Self { contents: Some(contents), ..self }
    }

    /// Returns the fixed values: names, identity, configuration.
    pub fn facts(&self) -> &Facts {
        self.facts
    }

    /// The time, in unix seconds.
    ///
    /// ```
    /// use tenet_mapper::{Context, Next, Outcome};
    ///
    /// fn in_an_hour(cx: &Context<'_>) -> Outcome {
    ///     Outcome::done().next(Next::At(cx.now() + 3600))
    /// }
    /// ```
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Returns a section of the configuration, as it was parsed when the file was loaded; its
    /// defaults when no mapper owns a [`Section`](crate::Section) of this type.
    ///
    /// ```
    /// use tenet_mapper::Context;
    ///
    /// #[derive(Default)]
    /// struct Quotas { pods: u32 }
    ///
    /// fn pods(cx: &Context<'_>) -> u32 {
    ///     cx.section::<Quotas>().pods
    /// }
    /// ```
    pub fn section<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.facts.sections.get()
    }

    /// Returns true if the installation permits the refused field at `path` in objects of `kind`.
    ///
    /// ```
    /// use tenet_mapper::{Context, kinds};
    ///
    /// fn host_network(cx: &Context<'_>) -> bool {
    ///     cx.permits(kinds::POD, "spec.hostNetwork")
    /// }
    /// ```
    pub fn permits(&self, kind: Kind, path: &str) -> bool {
        self.facts.policies.of(kind).allow.contains(path)
    }

    /// Returns the key of the host Service that leads host pods to the virtual API server.
    pub fn api_service(&self) -> HostKey {
        HostKey::new(self.facts.names.host_namespace("default"), self.facts.api_service.as_str())
    }

    /// A cached virtual object.
    ///
    /// ```
    /// use tenet_mapper::{Context, VirtualKey, kinds};
    ///
    /// fn exists(cx: &Context<'_>, key: &VirtualKey) -> bool {
    ///     cx.virt(kinds::POD, key).is_some()
    /// }
    /// ```
    pub fn virt(&self, kind: Kind, key: &VirtualKey) -> Option<Object> {
        self.view.get(&ObjectRef::virt(kind, key))
    }

    /// A cached host object.
    ///
    /// ```
    /// use tenet_mapper::{Context, HostKey, kinds};
    ///
    /// fn exists(cx: &Context<'_>, key: &HostKey) -> bool {
    ///     cx.host(kinds::POD, key).is_some()
    /// }
    /// ```
    pub fn host(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.view.get(&ObjectRef::host(kind, key))
    }

    /// The first object of an input that touches `key` and is `wanted`: cheap where there are
    /// many.
    ///
    /// ```
    /// use tenet_mapper::{Context, Bound, Object, VirtualKey};
    ///
    /// fn running(cx: &Context<'_>, pods: Bound, key: &VirtualKey) -> Option<Object> {
    ///     cx.find_source(pods, key, &|pod| pod.str_at("/status/phase") == Some("Running"))
    /// }
    /// ```
    pub fn find_source(&self, input: Bound, key: &VirtualKey, wanted: &dyn Fn(&Object) -> bool) -> Option<Object> {
        let mut found = None;
        self.view.visit_sources(input, key, &mut |object| {
            found = Some(object).filter(|object| wanted(object));
            found.is_none()
        });
        found
    }

    /// The objects of an input that touch `key`, in order of their names.
    ///
    /// ```
    /// use tenet_mapper::{Context, Bound, VirtualKey};
    ///
    /// fn count(cx: &Context<'_>, pods: Bound, key: &VirtualKey) -> usize {
    ///     cx.sources(pods, key).len()
    /// }
    /// ```
    pub fn sources(&self, input: Bound, key: &VirtualKey) -> Vec<Object> {
        let mut found = Vec::new();
        self.view.visit_sources(input, key, &mut |object| {
            found.push(object);
            true
        });
        found
    }

    /// A whole virtual object, for kinds that are cached as metadata only; `None` when it does
    /// not exist. Until the engine has read it, this is an error that the mapper passes on
    /// with `?`: the engine reads what it names and reconciles again, at most three times.
    ///
    /// ```
    /// use tenet_mapper::{Context, MapError, VirtualKey, kinds};
    ///
    /// fn has_data(cx: &Context<'_>, key: &VirtualKey) -> Result<bool, MapError> {
    ///     Ok(cx.content(kinds::CONFIG_MAP, key)?.is_some_and(|map| map.at("/data").is_some()))
    /// }
    /// ```
    pub fn content(&self, kind: Kind, key: &VirtualKey) -> Result<Option<Object>, MapError> {
        self.read(Read::new(kind, key))
    }

    /// The metadata of a host object as the API server has it now; `None` when it does not exist. Foreign objects are
    /// in no cache. As with [`Self::content`], a mapper passes the error on with `?`.
    ///
    /// ```
    /// use tenet_mapper::{Context, HostKey, MapError, kinds};
    ///
    /// fn is_free(cx: &Context<'_>, key: &HostKey) -> Result<bool, MapError> {
    ///     Ok(cx.host_metadata(kinds::SECRET, key)?.is_none())
    /// }
    /// ```
    pub fn host_metadata(&self, kind: Kind, key: &HostKey) -> Result<Option<Object>, MapError> {
        self.read(Read::host_metadata(kind, key))
    }

    fn read(&self, read: Read) -> Result<Option<Object>, MapError> {
        match self.contents.and_then(|contents| contents.get(&read)) {
            Some(object) => Ok(object.clone()),
            None => Err(MapError::NeedsContent(BTreeSet::from([read]))),
        }
    }

    /// Asks for several objects at once, so that they take one round.
    ///
    /// ```
    /// use tenet_mapper::{Context, MapError, Read, VirtualKey, kinds};
    ///
    /// fn all(cx: &Context<'_>, keys: &[VirtualKey]) -> Result<(), MapError> {
    ///     cx.need(keys.iter().map(|key| Read::new(kinds::CONFIG_MAP, key)))
    /// }
    /// ```
    pub fn need(&self, reads: impl IntoIterator<Item = Read>) -> Result<(), MapError> {
        let is_missing = |read: &Read| self.contents.is_none_or(|contents| contents.get(read).is_none());
        let missing: BTreeSet<_> = reads.into_iter().filter(is_missing).collect();
        if missing.is_empty() { Ok(()) } else { Err(MapError::NeedsContent(missing)) }
    }

    /// Returns the key of the host object of a virtual one.
    ///
    /// ```
    /// use tenet_mapper::{Context, HostKey, VirtualKey, kinds};
    ///
    /// fn copy_of(cx: &Context<'_>, key: &VirtualKey) -> HostKey {
    ///     cx.host_key(kinds::POD, key)
    /// }
    /// ```
    pub fn host_key(&self, kind: Kind, key: &VirtualKey) -> HostKey {
        self.host_key_named(kind.group_kind(), key.namespace(), key.name())
    }

    /// As [`Self::host_key`], for a kind that is only known by its identity.
    pub fn host_key_named(&self, kind: GroupKind, namespace: &str, name: &str) -> HostKey {
        let names = &self.facts.names;
        HostKey::new(names.host_namespace(namespace), names.host_name(kind, namespace, name))
    }

    /// The owner record of a virtual object's copies.
    ///
    /// ```
    /// use tenet_mapper::{Context, Object, kinds};
    ///
    /// fn uid(cx: &Context<'_>, virt: &Object) -> String {
    ///     cx.owner(kinds::POD, virt).uid
    /// }
    /// ```
    pub fn owner(&self, kind: Kind, virt: &Object) -> OwnerRecord {
        OwnerRecord {
            cluster: self.facts.cluster_id.clone(),
            kind: kind.group_kind(),
            namespace: virt.namespace().to_owned(),
            name: virt.name().to_owned(),
            uid: virt.uid().to_owned(),
        }
    }

    /// Reads the owner record of a host object.
    ///
    /// ```
    /// use tenet_mapper::{Context, Object};
    ///
    /// fn is_ours(cx: &Context<'_>, host: &Object) -> bool {
    ///     cx.ownership(host).ours().is_some()
    /// }
    /// ```
    pub fn ownership(&self, host: &Object) -> Ownership {
        self.facts.ownership(host)
    }

    /// The owner record of a host object that is ours; [`MapError::Foreign`] when it is not.
    ///
    /// ```
    /// use tenet_mapper::{Context, MapError, Object, kinds};
    ///
    /// fn original(cx: &Context<'_>, host: &Object) -> Result<String, MapError> {
    ///     Ok(cx.owned(kinds::POD, host)?.name) // `MapError::Foreign` when it is not ours
    /// }
    /// ```
    pub fn owned(&self, kind: Kind, host: &Object) -> Result<OwnerRecord, MapError> {
        match self.ownership(host) {
            Ownership::Ours(record) => Ok(record),
            Ownership::Foreign(why) => Err(MapError::foreign(Side::Host, kind, host, why.to_string())),
        }
    }

    /// The owner record of a host object that belongs to a virtual object of this kind and key, or to an earlier one;
    /// [`MapError::Foreign`] when it belongs to another. Two virtual objects may have one host name.
    ///
    /// ```
    /// use tenet_mapper::{Context, MapError, Object, VirtualKey, kinds};
    ///
    /// fn is_current(cx: &Context<'_>, key: &VirtualKey, host: &Object, virt: &Object) -> Result<bool, MapError> {
    ///     Ok(cx.owned_by(kinds::POD, key, host)?.uid == virt.uid())
    /// }
    /// ```
    pub fn owned_by(&self, kind: Kind, key: &VirtualKey, host: &Object) -> Result<OwnerRecord, MapError> {
        let owner = self.owned(kind, host)?;
        if owner.kind == kind && owner.namespace == key.namespace() && owner.name == key.name() {
            return Ok(owner);
        }
        let why = format!("it belongs to {} {}/{}", owner.kind, owner.namespace, owner.name);
        Err(MapError::foreign(Side::Host, kind, host, why))
    }

    /// The scope that selectors in objects of a virtual namespace are narrowed to.
    ///
    /// ```
    /// use serde_json::Value;
    /// use tenet_mapper::{Context, Object};
    /// use tenet_mapper::translate::selectors::{SelectorError, label_selector};
    ///
    /// fn selector(cx: &Context<'_>, budget: &Object) -> Result<Option<Value>, SelectorError> {
    ///     label_selector(budget.at("/spec/selector"), cx.scope(budget.namespace()))
    /// }
    /// ```
    pub fn scope<'s>(&'s self, namespace: &'s str) -> Scope<'s> {
        Scope { vc: &self.facts.names.cluster, namespace, labels: &self.facts.labels }
    }

    /// Carries a virtual object across by its table. The answer holds the refusals of the table:
    /// a mapper that adds its own tells all of them at once.
    ///
    /// ```
    /// use tenet_mapper::{Context, Object, kinds};
    /// use tenet_mapper::rules::Table;
    ///
    /// fn crosses(cx: &Context<'_>, table: &Table, pod: &Object) -> bool {
    ///     cx.cross(kinds::POD, table, pod).refusals.is_empty()
    /// }
    /// ```
    pub fn cross(&self, kind: Kind, table: &Table, virt: &Object) -> Crossing {
        let (names, namespace) = (&self.facts.names, virt.namespace());
        let context = DownContext {
            policy: self.facts.policies.of(kind),
            defaults: &self.view.defaults(kind),
            scope: self.scope(namespace),
            name_of: &|reference| names.host_name(reference.kind, namespace, &reference.name),
        };
        table.down(virt.value(), &context)
    }

    /// The host object of a virtual one as its table makes it, with metadata and owner
    /// record. A refusal is an error.
    ///
    /// ```
    /// use tenet_mapper::{Context, MapError, Object, kinds};
    /// use serde_json::Value;
    /// use tenet_mapper::rules::Table;
    ///
    /// fn draft(cx: &Context<'_>, table: &Table, pod: &Object) -> Result<Value, MapError> {
    ///     cx.draft(kinds::POD, table, pod)
    /// }
    /// ```
    pub fn draft(&self, kind: Kind, table: &Table, virt: &Object) -> Result<Value, MapError> {
        let Crossing { mut host, refusals, .. } = self.cross(kind, table, virt);
        if !refusals.is_empty() {
            return Err(MapError::Refused(refusals));
        }
        let key = VirtualKey::new(virt.namespace(), virt.name());
        let metadata = self.metadata(kind, virt, &self.host_key(kind, &key));
        if let Some(members) = host.as_object_mut() {
            members.insert("apiVersion".to_owned(), Value::String(kind.api_version()));
            members.insert("kind".to_owned(), Value::String(kind.kind.to_owned()));
            members.insert("metadata".to_owned(), metadata);
        }
        Ok(host)
    }

    /// The metadata of a host object: name, the labels and annotations that cross, and
    /// the owner record.
    ///
    /// ```
    /// use tenet_mapper::{Context, HostKey, Object, kinds};
    /// use serde_json::{Value, json};
    ///
    /// fn bare(cx: &Context<'_>, pod: &Object, key: &HostKey) -> Value {
    ///     json!({"apiVersion": "v1", "kind": "Pod", "metadata": cx.metadata(kinds::POD, pod, key)})
    /// }
    /// ```
    pub fn metadata(&self, kind: Kind, virt: &Object, key: &HostKey) -> Value {
        let tenant = virt.value().get("metadata");
        let labels = labels::labels_down(tenant.and_then(|metadata| metadata.get("labels")), &self.facts.labels);
        let allow = &self.facts.annotations;
        let annotations = labels::annotations_down(tenant.and_then(|metadata| metadata.get("annotations")), allow);
        self.with_owner(kind, virt, key, labels, annotations)
    }

    /// The metadata of a host object without labels and annotations of the tenant: name and owner record.
    ///
    /// ```
    /// use tenet_mapper::{Context, HostKey, Object, kinds};
    /// use serde_json::{Value, json};
    ///
    /// fn bare(cx: &Context<'_>, secret: &Object, key: &HostKey) -> Value {
    ///     json!({"apiVersion": "v1", "kind": "Secret", "metadata": cx.bare_metadata(kinds::SECRET, secret, key)})
    /// }
    /// ```
    pub fn bare_metadata(&self, kind: Kind, virt: &Object, key: &HostKey) -> Value {
        self.with_owner(kind, virt, key, Map::new(), Map::new())
    }

    fn with_owner(
        &self,
        kind: Kind,
        virt: &Object,
        key: &HostKey,
        mut labels: Map<String, Value>,
        mut annotations: Map<String, Value>,
    ) -> Value {
        let owner = self.owner(kind, virt);
        annotations.insert(CROSSED.to_owned(), crossed::list(&labels, &annotations).into());
        labels.extend(owner.labels(&self.facts.names.cluster));
        annotations.extend(owner.annotations(key.namespace(), key.name()));
        json!({"name": key.name(), "namespace": key.namespace(), "labels": labels, "annotations": annotations})
    }
}

use std::sync::Arc;

use serde_json::{Value, json};
use tenet_translate::keys::{DIGEST, SOURCE};
use tenet_translate::rules::Table;

use crate::{
    ApplyHost, Context, Deletion, Dependency, Effect, HostKey, Kind, MapError, Mapper, MapperSpec, Object, Outcome,
    Projection, Side, VirtualKey, VirtualPatch, patch,
};

/// The subresource, and the member of objects.
const STATUS: &str = "status";

/// Fate of the copy of an object that should not be synced now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// It is deleted.
    Goes,
    /// It stays as it is for the time being.
    Stays,
    /// It stays for the time being, and follows its original: the host may still use it.
    Follows,
}

/// The pure half of a mapper whose virtual objects each have one host object of the same
/// kind. The rule table makes a draft; the methods finish what a table cannot express.
///
/// ```
/// use serde_json::{Value, json};
/// use tenet_mapper::{Context, MapError, MapperSpec, Object, Translate};
///
/// struct Claims(MapperSpec);
///
/// impl Translate for Claims {
///     fn spec(&self) -> &MapperSpec { &self.0 }
///     fn complete(&self, _: &Context<'_>, _: &Object, _: Option<&Object>, mut draft: Value) -> Result<Value, MapError> {
///         draft["spec"]["storageClassName"] = json!("tenants");
///         Ok(draft)
///     }
/// }
/// ```
pub trait Translate: Send + Sync + 'static {
    /// The kind, its table and what else is read.
    fn spec(&self) -> &MapperSpec;

    /// Returns true if the host needs a copy of this object now.
    fn should_sync(&self, _cx: &Context<'_>, _virt: &Object) -> bool {
        true
    }

    /// Decides about the copy of an object that should not be synced now.
    fn unwanted(&self, _cx: &Context<'_>, _virt: &Object) -> Unwanted {
        Unwanted::Goes
    }

    /// Finishes the draft of the host object. `host` is the present one.
    fn complete(
        &self,
        _cx: &Context<'_>,
        _virt: &Object,
        _host: Option<&Object>,
        draft: Value,
    ) -> Result<Value, MapError> {
        Ok(draft)
    }

    /// Returns an alternative for `desired` when the host's API server rejects it as invalid.
    fn fallback(&self, _desired: &Value) -> Option<Value> {
        None
    }

    /// Returns true if the host object's values for the `up` rules of the table are true by now: a
    /// host object that has not followed a change of the virtual one yet may show an earlier state.
    fn shows(&self, _virt: &Object, _host: &Object) -> bool {
        true
    }

    /// Returns effects on the virtual object from its host object, beyond the `up` rules of the table.
    fn up(&self, _cx: &Context<'_>, _virt: &Object, _host: &Object) -> Result<Vec<Effect>, MapError> {
        Ok(Vec::new())
    }

    /// Adds to the outcome of an object that is not being deleted, whether it has a copy or not: events for the tenant,
    /// and what else it waits for. `virt` is the object as its cache holds it.
    ///
    /// ```
    /// use tenet_mapper::{Context, Effect, Event, EventReason, MapperSpec, Object, Outcome, Translate, kinds};
    ///
    /// struct Settings(MapperSpec);
    ///
    /// impl Translate for Settings {
    ///     fn spec(&self) -> &MapperSpec { &self.0 }
    ///     fn also(&self, _: &Context<'_>, virt: &Object, outcome: Outcome) -> Outcome {
    ///         let told = Event::warning(kinds::CONFIG_MAP, virt, EventReason::Degraded, "nobody reads it");
    ///         outcome.then(Effect::Emit(told))
    ///     }
    /// }
    /// ```
    fn also(&self, _cx: &Context<'_>, _virt: &Object, outcome: Outcome) -> Outcome {
        outcome
    }
}

/// Makes a [`Mapper`] of a rule table or of a [`Translate`].
///
/// A host object is created when its original is wanted, follows it, and goes when the
/// original goes; one that somebody deletes is created again. An original with another
/// UID is another object: the old copy goes first. One whose delete waits for a finalizer
/// still works, and so does its copy.
///
/// ```
/// use tenet_mapper::rules::{HEAD, Table, TableError, copy};
/// use tenet_mapper::{CopyMapper, Mapper, MapperSpec, kinds};
///
/// fn mapper() -> Result<Box<dyn Mapper>, TableError> {
///     let table = Table::new(&[("", HEAD), ("", &[copy("data").whole().kept()])])?;
///     Ok(Box::new(CopyMapper::of_table(MapperSpec::both_sides("settings", kinds::CONFIG_MAP, table))))
/// }
/// assert_eq!(mapper().unwrap().spec().kind, kinds::CONFIG_MAP);
/// ```
pub struct CopyMapper<T = TableOnly> {
    rules: T,
}

/// A mapper that is nothing but its table.
pub struct TableOnly(MapperSpec);

impl Translate for TableOnly {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }
}

impl CopyMapper<TableOnly> {
    /// A mapper that is nothing but its table.
    ///
    /// ```
    /// use tenet_mapper::rules::Table;
    /// use tenet_mapper::{CopyMapper, Mapper, MapperSpec, kinds};
    ///
    /// let spec = MapperSpec::both_sides("secret", kinds::SECRET, Table::default());
    /// assert_eq!(CopyMapper::of_table(spec).spec().kind, kinds::SECRET);
    /// ```
    pub fn of_table(spec: MapperSpec) -> Self {
        Self { rules: TableOnly(spec) }
    }
}

impl<T: Translate> CopyMapper<T> {
    /// A mapper of these rules.
    ///
    /// ```
    /// use tenet_mapper::{CopyMapper, Mapper, Translate};
    ///
    /// fn boxed(rules: impl Translate) -> Box<dyn Mapper> {
    ///     Box::new(CopyMapper::new(rules))
    /// }
    /// ```
    pub fn new(rules: T) -> Self {
        Self { rules }
    }

    fn table(&self) -> Result<&Arc<Table>, MapError> {
        let spec = self.rules.spec();
        spec.table.as_ref().ok_or_else(|| MapError::Malformed(format!("the mapper {} has no rule table", spec.id)))
    }

    /// Returns true if the virtual side is cached without content.
    fn is_metadata_only(&self) -> bool {
        let spec = self.rules.spec();
        spec.inputs
            .iter()
            .any(|i| i.side == Side::Virtual && i.kind == spec.kind && i.projection == Projection::Metadata)
    }

    fn host_projection(&self) -> Projection {
        let spec = self.rules.spec();
        spec.inputs
            .iter()
            .find(|i| i.side == Side::Host && i.kind == spec.kind)
            .map_or(Projection::Whole, |i| i.projection)
    }

    /// The whole original. Content that is not cached is read only when the copy was not
    /// made from this very version, or was changed since.
    fn original(
        &self,
        cx: &Context<'_>,
        key: &VirtualKey,
        cached: Object,
        host: Option<&Object>,
    ) -> Result<Option<Object>, MapError> {
        if !self.is_metadata_only() {
            return Ok(Some(cached));
        }
        if host.is_some_and(|host| self.is_current(cx, &cached, host)) {
            return Ok(None);
        }
        let content = cx.content(self.rules.spec().kind, key)?;
        match content {
            Some(object) if object.uid() == cached.uid() => Ok(Some(object)),
            // The watch will bring the change.
            _ => Err(MapError::Conflict(format!("{key} has changed since it was seen"))),
        }
    }

    /// Returns true if the copy was made from this very version, and nobody changed it since.
    fn is_current(&self, cx: &Context<'_>, virt: &Object, host: &Object) -> bool {
        let projection = self.host_projection();
        let source = source_of(virt, host.value(), &projection);
        let key = HostKey::new(host.namespace(), host.name());
        let metadata = json!({ "metadata": self.metadata(cx, virt, &key) });
        host.annotation(SOURCE) == Some(&source)
            && patch::host_ops(&metadata, host.value(), None, &projection).is_empty()
    }

    fn metadata(&self, cx: &Context<'_>, virt: &Object, key: &HostKey) -> Value {
        let spec = self.rules.spec();
        if spec.bare { cx.bare_metadata(spec.kind, virt, key) } else { cx.metadata(spec.kind, virt, key) }
    }

    /// The host object of a virtual one. `host` is the present one.
    pub fn desired(&self, cx: &Context<'_>, virt: &Object, host: Option<&Object>) -> Result<Value, MapError> {
        let mut draft = cx.draft(self.rules.spec().kind, self.table()?, virt)?;
        if self.rules.spec().bare {
            let key = cx.host_key(self.rules.spec().kind, &VirtualKey::new(virt.namespace(), virt.name()));
            draft["metadata"] = self.metadata(cx, virt, &key);
        }
        if self.is_metadata_only() {
            mark_source(&mut draft, virt, &self.host_projection());
        }
        self.rules.complete(cx, virt, host, draft)
    }

    /// Notes in a host object which of its fields are applied with its creation, as the engine
    /// does with what [`Self::reconcile`](Mapper::reconcile) answers: for a reservation.
    pub fn note_applied(&self, desired: &mut Value) -> Result<(), MapError> {
        patch::note_applied(desired, self.table()?, &self.host_projection());
        Ok(())
    }

    /// Creates the host object of `virt`, or brings it up to date. `host` is the present one,
    /// whose owner record names `virt` or is a reservation for it.
    pub fn sync(
        &self,
        cx: &Context<'_>,
        key: &VirtualKey,
        virt: Object,
        host: Option<Object>,
    ) -> Result<Outcome, MapError> {
        let kind = self.rules.spec().kind;
        let Some(virt) = self.original(cx, key, virt, host.as_ref())? else { return Ok(Outcome::done()) };
        let desired = self.desired(cx, &virt, host.as_ref())?;
        let fallback = if host.is_none() { self.rules.fallback(&desired) } else { None };
        let apply = ApplyHost {
            kind,
            key: cx.host_key(kind, key),
            owner: cx.owner(kind, &virt),
            desired,
            table: Some(Arc::clone(self.table()?)),
            fallback,
        };
        let outcome = Outcome::one(Effect::ApplyHost(Box::new(apply)));
        match host {
            Some(host) => {
                let shown =
                    if self.rules.shows(&virt, &host) { show(kind, self.table()?, &virt, &host) } else { vec![] };
                Ok(outcome.then_each(shown).then_each(self.rules.up(cx, &virt, &host)?))
            }
            None => Ok(outcome),
        }
    }
}

/// The writes after which the virtual object shows what the host owns by the table.
fn show(kind: Kind, table: &Table, virt: &Object, host: &Object) -> Vec<Effect> {
    let (mut main, mut status) = (Vec::new(), Vec::new());
    for pointer in table.shown() {
        let (found, wanted) = (virt.at(pointer).unwrap_or(&Value::Null), host.at(pointer).unwrap_or(&Value::Null));
        // A server may write an empty status where another writes none.
        if patch::same(found, wanted) || (is_empty(found) && is_empty(wanted)) {
            continue;
        }
        let is_status = pointer.split('/').nth(1) == Some(STATUS);
        let part = if is_status { &mut status } else { &mut main };
        part.push((pointer.clone(), wanted.clone()));
    }
    let parts = [(None, main), (Some(STATUS), status)].into_iter().filter(|(_, values)| !values.is_empty());
    parts
        .map(|(subresource, values)| Effect::PatchVirtual(VirtualPatch::new(kind, virt, subresource, values)))
        .collect()
}

/// Returns true if a value says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        value => value.is_null(),
    }
}

impl<T: Translate> Mapper for CopyMapper<T> {
    fn spec(&self) -> &MapperSpec {
        self.rules.spec()
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let virt = cx.virt(self.rules.spec().kind, key);
        let outcome = self.carry(cx, key, virt.clone())?;
        Ok(match virt.filter(|virt| !virt.is_deleting()) {
            Some(virt) => self.rules.also(cx, &virt, outcome),
            None => outcome,
        })
    }
}

impl<T: Translate> CopyMapper<T> {
    /// Brings the copy of one object to the state that the object asks for.
    fn carry(&self, cx: &Context<'_>, key: &VirtualKey, virt: Option<Object>) -> Result<Outcome, MapError> {
        let kind = self.rules.spec().kind;
        let host_key = cx.host_key(kind, key);
        match (virt, cx.host(kind, &host_key)) {
            (None, None) => Ok(Outcome::done()),
            // The copy of another object has the name: its own reconcile looks after it.
            (None, Some(host)) => {
                cx.owned_by(kind, key, &host).map_or_else(|_| Ok(Outcome::done()), |_| Ok(orphan(kind, &host, None)))
            }
            (Some(virt), Some(host)) => match cx.owned_by(kind, key, &host) {
                Err(_) if virt.is_ending() || !self.rules.should_sync(cx, &virt) => Ok(Outcome::done()),
                Err(error) => Err(error),
                Ok(owner) if owner.uid != virt.uid() => Ok(orphan(kind, &host, Some(host_key))),
                _ if virt.is_ending() => Ok(Deletion::follow(kind, &host, &virt).map_or_else(Outcome::done, delete)),
                _ if host.is_deleting() => Ok(Outcome::done().wait_for(Dependency::host(kind, &host_key))),
                _ if self.rules.should_sync(cx, &virt) => self.sync(cx, key, virt, Some(host)),
                _ => match self.rules.unwanted(cx, &virt) {
                    Unwanted::Follows => self.sync(cx, key, virt, Some(host)),
                    Unwanted::Stays => Ok(Outcome::done()),
                    Unwanted::Goes => {
                        let is_mentioned = cx.is_mentioned(kind, key);
                        let build = if is_mentioned { Deletion::redundant } else { Deletion::unreferenced };
                        // A reservation for a change of the original, which the cache does not show yet, is another
                        // version.
                        Ok(delete(build(kind, &host).at_version(&host)))
                    }
                },
            },
            (Some(virt), None) if virt.is_ending() || !self.rules.should_sync(cx, &virt) => Ok(Outcome::done()),
            (Some(virt), None) => self.sync(cx, key, virt, None),
        }
    }
}

fn delete(deletion: Deletion) -> Outcome {
    Outcome::one(Effect::Delete(deletion))
}

/// The host object of an original that is gone. A new original that waits for the name is reconciled when the name is
/// free.
fn orphan(kind: Kind, host: &Object, waiting: Option<HostKey>) -> Outcome {
    let mut outcome = Outcome::done();
    if !host.is_deleting() {
        outcome = delete(Deletion::orphan(kind, host, kind));
    }
    match waiting {
        Some(key) => outcome.wait_for(Dependency::host(kind, &key)),
        None => outcome,
    }
}

/// Returns the source annotation of a copy: UID and resource version of the
/// original, and the digests of its content.
fn source_of(virt: &Object, copy: &Value, projection: &Projection) -> String {
    let mut parts = vec![virt.uid().to_owned(), virt.resource_version().to_owned()];
    if let Projection::Digest(members) = projection {
        let cut = projection.cut(copy.clone());
        parts.extend(members.iter().map(|member| match cut.get(*member).and_then(|m| m.get(DIGEST)) {
            Some(Value::String(digest)) => digest[..digest.len().min(16)].to_owned(),
            _ => "-".to_owned(),
        }));
    }
    parts.join("/")
}

fn mark_source(draft: &mut Value, virt: &Object, projection: &Projection) {
    let source = source_of(virt, draft, projection);
    if let Some(annotations) = draft.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(SOURCE.to_owned(), Value::String(source));
    }
}

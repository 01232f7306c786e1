use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenet_translate::GroupKind;
use tenet_translate::rules::{Reference, Table};

use crate::{Elsewhere, Facts, Kind, Object, Projection, Right, Section, Side, Verb, VirtualKey};

/// The name of a mapper in logs and configuration. It stays the same whatever other mappers there
/// are, and no two mappers of a syncer share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapperId(&'static str);

impl MapperId {
    /// The mapper of this name; one that comes from the configuration is
    /// [interned](tenet_translate::intern::intern).
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for MapperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Description of a mapper: its kind and its inputs.
///
/// ```
/// use tenet_mapper::rules::{HEAD, Table, copy};
/// use tenet_mapper::{MapperSpec, kinds};
///
/// let table = Table::new(&[("", HEAD), ("", &[copy("data").whole().kept()])]).unwrap();
/// let spec = MapperSpec::both_sides("settings", kinds::CONFIG_MAP, table);
/// assert_eq!(spec.inputs.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct MapperSpec {
    /// Its id: `pod`.
    pub id: MapperId,
    /// The kind whose virtual objects are its keys.
    pub kind: Kind,
    /// The rule table of the kind, if it has one. Its references decide which other
    /// objects are needed on the host.
    pub table: Option<Arc<Table>>,
    /// Minimal virtual objects of the kind. The engine creates them as a dry run in the
    /// namespace `default` to learn what the API server fills in by itself; the more
    /// fields with defaults below them they use, the more is learnt.
    pub samples: Vec<Value>,
    /// Inputs of the mapper.
    pub inputs: Vec<Input>,
    /// Host objects that it reads where the configuration says.
    pub elsewhere: Vec<Elsewhere>,
    /// The sections of the configuration that it owns.
    pub sections: Vec<Section>,
    /// Set when objects of the kind have `status.conditions`. There the engine says when a change
    /// of an object that is on the host already did not cross.
    pub has_conditions: bool,
    /// Returns true if the references of an object are needed on the host. It sees that object alone.
    pub refers: fn(&Object) -> bool,
    /// References that the table cannot tell, such as those in annotations.
    pub further_references: Option<FurtherReferences>,
    /// The time that a changed key waits, so that a burst of changes is one reconcile.
    pub settle: Duration,
    /// Set when the copies carry no labels and no annotations of the tenant.
    pub bare: bool,
    /// The condition in which an object that is not on the host says why; see
    /// [`MapperSpec::pending_in`].
    pub pending_condition: Option<&'static str>,
    /// The rights that its effects need; see [`MapperSpec::rights`].
    pub needs: Vec<Right>,
    /// Object on which the reason why an object does not cross is emitted, too.
    pub reports_on: Option<ReportsOn>,
    /// True if the mapper runs only when the configuration enables it.
    pub opt_in: bool,
    /// The mapper of the same kind that does not run while this one does.
    pub stands_in_for: Option<MapperId>,
}

impl MapperSpec {
    /// A mapper of `kind` that reads nothing yet.
    ///
    /// ```
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// assert!(MapperSpec::new("node", kinds::NODE).inputs.is_empty());
    /// ```
    pub fn new(name: &'static str, kind: Kind) -> Self {
        // Owner records name it: what they say is looked up.
        kind.group_kind().register();
        Self {
            id: MapperId::new(name),
            kind,
            table: None,
            samples: Vec::new(),
            inputs: Vec::new(),
            elsewhere: Vec::new(),
            sections: Vec::new(),
            has_conditions: false,
            refers: |_| true,
            further_references: None,
            settle: Duration::ZERO,
            bare: false,
            pending_condition: None,
            needs: Vec::new(),
            reports_on: None,
            opt_in: false,
            stands_in_for: None,
        }
    }

    /// A mapper of `kind` on both sides: its virtual objects and the host objects that
    /// belong to them, with the rights to keep the latter.
    ///
    /// ```
    /// use tenet_mapper::rules::Table;
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// let spec = MapperSpec::both_sides("secret", kinds::SECRET, Table::default());
    /// assert!(spec.table.is_some());
    /// ```
    pub fn both_sides(name: &'static str, kind: Kind, table: impl Into<Arc<Table>>) -> Self {
        Self {
            table: Some(table.into()),
            inputs: vec![
                Input::new(Side::Virtual, kind, Projection::Whole, KeysOf::Own),
                Input::new(Side::Host, kind, Projection::Whole, KeysOf::Owner),
            ],
            needs: vec![Right::host(kind, Verb::KEEP, "keeps the copies of virtual objects")],
            ..Self::new(name, kind)
        }
    }

    /// Adds an object to learn the server's defaults from.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tenet-defaults"}});
    /// assert_eq!(MapperSpec::new("secret", kinds::SECRET).sample(secret).samples.len(), 1);
    /// ```
    #[must_use]
    pub fn sample(mut self, object: Value) -> Self {
        self.samples.push(object);
        self
    }

    /// Adds something that it reads.
    ///
    /// ```
    /// use tenet_mapper::{Input, KeysOf, MapperSpec, Projection, Side, kinds};
    ///
    /// let nodes = Input::new(Side::Host, kinds::NODE, Projection::Metadata, KeysOf::None).foreign();
    /// assert_eq!(MapperSpec::new("pod", kinds::POD).reads(nodes).inputs.len(), 1);
    /// ```
    #[must_use]
    pub fn reads(mut self, input: Input) -> Self {
        self.inputs.push(input);
        self
    }

    /// Adds host objects that it reads where the configuration says; see [`Elsewhere`].
    #[must_use]
    pub fn reads_elsewhere(mut self, elsewhere: Elsewhere) -> Self {
        self.elsewhere.push(elsewhere);
        self
    }

    /// Adds a section of the configuration, all fields of which may change while the syncer runs.
    ///
    /// ```
    /// # use schemars::JsonSchema;
    /// # use serde::{Deserialize, Serialize};
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// #[derive(Default, Serialize, Deserialize, JsonSchema)]
    /// #[serde(default)]
    /// struct Quotas {
    ///     /// Pods that one namespace may have.
    ///     pods: u32,
    /// }
    ///
    /// assert_eq!(MapperSpec::new("pod", kinds::POD).section::<Quotas>("quotas").sections[0].name(), "quotas");
    /// ```
    #[must_use]
    pub fn section<T>(self, name: &'static str) -> Self
    where
        T: Default + DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static,
    {
        self.owns(Section::of::<T>(name))
    }

    /// Adds a section of the configuration.
    ///
    /// ```
    /// # use schemars::JsonSchema;
    /// # use serde::{Deserialize, Serialize};
    /// use tenet_mapper::{MapperSpec, Section, kinds};
    ///
    /// #[derive(Default, Serialize, Deserialize, JsonSchema)]
    /// #[serde(default)]
    /// struct Quotas {
    ///     /// Pods that one namespace may have.
    ///     pods: u32,
    /// }
    ///
    /// let section = Section::of::<Quotas>("quotas").fixed(&["pods"]);
    /// assert_eq!(MapperSpec::new("pod", kinds::POD).owns(section).sections.len(), 1);
    /// ```
    #[must_use]
    pub fn owns(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// Adds something that it reads, and returns the handle with which a context shows the
    /// objects that touch a key.
    ///
    /// ```
    /// use tenet_mapper::{Input, KeysOf, MapperSpec, Object, Projection, Side, VirtualKey, kinds};
    ///
    /// fn by_node(pod: &Object) -> Vec<VirtualKey> {
    ///     pod.str_at("/spec/nodeName").map(|node| VirtualKey::new("", node)).into_iter().collect()
    /// }
    /// let mut spec = MapperSpec::new("node", kinds::NODE);
    /// let pods = spec.bind(Input::new(Side::Host, kinds::POD, Projection::Whole, KeysOf::With(by_node)));
    /// assert_eq!(pods.kind, kinds::POD); // `cx.sources(pods, key)` shows the pods of a node
    /// ```
    pub fn bind(&mut self, input: Input) -> Bound {
        let bound = Bound { side: input.side, kind: input.kind, position: self.inputs.len() };
        self.inputs.push(input);
        bound
    }

    /// Makes the mapper run only when `kinds.enable` of the configuration names it: for a mapper that is of use on few
    /// hosts, or needs rights that an operator should give knowingly.
    ///
    /// ```
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// assert!(MapperSpec::new("secret", kinds::SECRET).opt_in().opt_in);
    /// ```
    #[must_use]
    pub fn opt_in(self) -> Self {
        Self { opt_in: true, ..self }
    }

    /// Makes the mapper run only while another one of its kind does not: to tell tenants what is missing.
    ///
    /// ```
    /// use tenet_mapper::{MapperId, MapperSpec, kinds};
    ///
    /// let spec = MapperSpec::new("secret-notice", kinds::SECRET).stands_in_for(MapperId::new("secret"));
    /// assert_eq!(spec.stands_in_for, Some(MapperId::new("secret")));
    /// ```
    #[must_use]
    pub fn stands_in_for(self, mapper: MapperId) -> Self {
        Self { stands_in_for: Some(mapper), ..self }
    }

    /// Declares that objects of the kind have `status.conditions`.
    #[must_use]
    pub fn with_conditions(self) -> Self {
        Self { has_conditions: true, ..self }
    }

    /// Sets a condition on an object without which its references are not needed on the host.
    ///
    /// ```
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// let spec = MapperSpec::new("pod", kinds::POD).refers_while(|pod| pod.str_at("/status/phase") != Some("Failed"));
    /// ```
    #[must_use]
    pub fn refers_while(self, refers: fn(&Object) -> bool) -> Self {
        Self { refers, ..self }
    }

    /// Adds references that the table cannot tell, to objects of these kinds in the namespace of the object. `find` sees
    /// the object alone.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use tenet_mapper::rules::Reference;
    /// use tenet_mapper::{MapperSpec, Object, kinds};
    ///
    /// fn login(route: &Object) -> BTreeSet<Reference> {
    ///     let name = route.annotation("example.com/login").map(str::to_owned);
    ///     name.map(|name| Reference { kind: kinds::SECRET.group_kind(), name }).into_iter().collect()
    /// }
    /// let spec = MapperSpec::new("route", kinds::SERVICE).also_refers(vec![kinds::SECRET.group_kind()], login);
    /// assert!(spec.refers_to(kinds::SECRET.group_kind()));
    /// ```
    #[must_use]
    pub fn also_refers(self, kinds: Vec<GroupKind>, find: fn(&Object) -> BTreeSet<Reference>) -> Self {
        for kind in &kinds {
            kind.register();
        }
        Self { further_references: Some(FurtherReferences { kinds, find }), ..self }
    }

    /// Returns the references of an object: those of the table, and the further ones.
    pub fn references(&self, object: &Object) -> BTreeSet<Reference> {
        let mut found = self.table.as_ref().map(|table| table.references(object.value())).unwrap_or_default();
        found.extend(self.further_references.iter().flat_map(|further| (further.find)(object)));
        found
    }

    /// Returns true if objects of the kind may refer to objects of this one.
    pub fn refers_to(&self, kind: GroupKind) -> bool {
        self.table.as_ref().is_some_and(|table| table.refers_to(kind))
            || self.further_references.as_ref().is_some_and(|further| further.kinds.contains(&kind))
    }

    /// Emits the reason why an object does not cross also on another virtual object, the one at which a tenant looks.
    /// The mapper reads its kind.
    ///
    /// ```
    /// use tenet_mapper::{MapperSpec, Object, VirtualKey, kinds};
    ///
    /// fn service(endpoints: &Object) -> Option<VirtualKey> {
    ///     Some(VirtualKey::new(endpoints.namespace(), endpoints.name()))
    /// }
    /// let spec = MapperSpec::new("endpoints", kinds::ENDPOINTS).reports_on(kinds::SERVICE, service);
    /// assert!(spec.reports_on.is_some());
    /// ```
    #[must_use]
    pub fn reports_on(self, kind: Kind, find: fn(&Object) -> Option<VirtualKey>) -> Self {
        Self { reports_on: Some(ReportsOn { kind, find }), ..self }
    }

    /// Sets the time that a changed key waits, so that a burst of changes is one reconcile.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// let spec = MapperSpec::new("namespace", kinds::NAMESPACE).settles(Duration::from_secs(1));
    /// assert_eq!(spec.settle.as_secs(), 1);
    /// ```
    #[must_use]
    pub fn settles(self, settle: Duration) -> Self {
        Self { settle, ..self }
    }

    /// Leaves the labels and annotations of the tenant out of the copies: nothing selects them, and a controller of the
    /// host would take them for its own.
    ///
    /// ```
    /// use tenet_mapper::rules::Table;
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// assert!(MapperSpec::both_sides("secret", kinds::SECRET, Table::default()).bare().bare);
    /// ```
    #[must_use]
    pub fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    /// Sets the type of the condition in `status.conditions` with which an object that is not on the host says why:
    /// with the status `False`, and a reason that is also that of the object, in `status.reason`. A condition of this
    /// type that somebody else has set is left as it is.
    ///
    /// ```
    /// use tenet_mapper::{MapperSpec, kinds};
    ///
    /// let spec = MapperSpec::new("pod", kinds::POD).with_conditions().pending_in("PodScheduled");
    /// assert_eq!(spec.pending_condition, Some("PodScheduled"));
    /// ```
    #[must_use]
    pub fn pending_in(self, condition: &'static str) -> Self {
        Self { pending_condition: Some(condition), ..self }
    }

    /// The projection of its own kind on one side.
    ///
    /// ```
    /// use tenet_mapper::rules::Table;
    /// use tenet_mapper::{MapperSpec, Projection, Side, kinds};
    ///
    /// let spec = MapperSpec::both_sides("secret", kinds::SECRET, Table::default());
    /// let spec = spec.project(Side::Virtual, &Projection::Metadata); // the content is read when it is needed
    /// assert_eq!(spec.inputs[0].projection, Projection::Metadata);
    /// ```
    #[must_use]
    pub fn project(mut self, side: Side, projection: &Projection) -> Self {
        for input in &mut self.inputs {
            if input.side == side && input.kind == self.kind {
                input.projection = *projection;
            }
        }
        self
    }
}

/// An input of a mapper that was bound with [`MapperSpec::bind`].
///
/// ```
/// use tenet_mapper::{Bound, Context, VirtualKey};
///
/// fn count(cx: &Context<'_>, pods: Bound, key: &VirtualKey) -> usize {
///     cx.sources(pods, key).len()
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The cluster that it is read from.
    pub side: Side,
    /// The kind.
    pub kind: Kind,
    /// Its position among the inputs of the mapper.
    pub position: usize,
}

/// References of the objects of a kind that its table cannot tell.
#[derive(Clone, Debug)]
pub struct FurtherReferences {
    /// The kinds that they are to.
    pub kinds: Vec<GroupKind>,
    /// Finds them in an object.
    pub find: fn(&Object) -> BTreeSet<Reference>,
}

/// Object on which the reason why another does not cross is emitted.
#[derive(Clone, Copy, Debug)]
pub struct ReportsOn {
    /// Its kind.
    pub kind: Kind,
    /// Finds it from the object that does not cross.
    pub find: fn(&Object) -> Option<VirtualKey>,
}

/// One kind of objects that a mapper reads.
///
/// A change that the projection of the input does not show wakes no key of it: a mapper that reads
/// `spec.nodeName` of pods is not asked again when their status changes, and a new resource
/// version alone wakes no mapper. So a projection names all that the mapper reads, no more and no less.
///
/// ```
/// use tenet_mapper::{Input, KeysOf, Projection, Side, kinds};
///
/// let nodes = Input::new(Side::Host, kinds::NODE, Projection::Metadata, KeysOf::None).foreign().optional();
/// assert!(nodes.foreign && nodes.optional);
/// ```
#[derive(Clone, Debug)]
pub struct Input {
    /// The cluster that it is read from. On the host only our own objects are seen.
    pub side: Side,
    /// The kind.
    pub kind: Kind,
    /// Projection that is kept of each object.
    pub projection: Projection,
    /// Keys of the mapper that a change affects.
    pub keys: KeysOf,
    /// True if the mapper works without it: when the right to read it is missing.
    pub optional: bool,
    /// True if host objects that are not ours are read, too.
    pub foreign: bool,
    /// A label selector that narrows the stream. Readers of one kind that differ in it share a stream of all objects.
    pub selector: Option<&'static str>,
}

impl Input {
    /// An input that the mapper cannot do without.
    pub fn new(side: Side, kind: Kind, projection: Projection, keys: KeysOf) -> Self {
        Self { side, kind, projection, keys, optional: false, foreign: false, selector: None }
    }

    /// The mapper works without it, and asks [`crate::View::can_read`].
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Host objects that are not ours are read, too: nodes, for one.
    ///
    /// A kind has one stream and one cache on each side, with the widest selector and projection that its readers
    /// ask for. Of foreign objects, which do not carry the label of the virtual cluster, only the projections of inputs
    /// like this one are kept.
    #[must_use]
    pub fn foreign(self) -> Self {
        Self { foreign: true, ..self }
    }

    /// Narrows the stream to the objects that a label selector matches. What it does not match is not seen at all, so
    /// a mapper must not need it.
    ///
    /// ```
    /// use tenet_mapper::{Input, KeysOf, Projection, Side, kinds};
    ///
    /// let events = Input::new(Side::Virtual, kinds::EVENT, Projection::Whole, KeysOf::None);
    /// assert_eq!(events.selected("tenet.sh/managed-by").selector, Some("tenet.sh/managed-by"));
    /// ```
    #[must_use]
    pub fn selected(self, selector: &'static str) -> Self {
        Self { selector: Some(selector), ..self }
    }
}

/// Keys of a mapper that a change of an input affects.
///
/// ```
/// use tenet_mapper::{KeysOf, Object, VirtualKey};
///
/// fn same_name(class: &Object) -> Vec<VirtualKey> {
///     vec![VirtualKey::new("", class.name())]
/// }
/// let _keys = KeysOf::With(same_name);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum KeysOf {
    /// None: the mapper only looks it up.
    None,
    /// The key of the object itself: an input of the virtual side.
    Own,
    /// The key in its owner record, when that names the kind of the mapper.
    Owner,
    /// Keys that the function returns, from the fields of the projection alone; the inverse is
    /// [`crate::Context::sources`].
    With(fn(&Object) -> Vec<VirtualKey>),
    /// Keys that the function returns from the configuration and the fields of the projection.
    Configured(fn(&Facts, &Object) -> Vec<VirtualKey>),
}

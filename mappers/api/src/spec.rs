mod input;
mod references;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenet_translate::rules::Table;

use crate::{Elsewhere, Kind, Object, Projection, Right, Section, Side, Verb};

pub use input::{Bound, Input, KeysOf};
pub use references::{FurtherReferences, ReportsOn};

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
}

//! What a mapper may ask for. Effects are data: the gate of the engine performs them,
//! checks the owner record, adds preconditions and drops what changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tenet_translate::owner::OwnerRecord;
use tenet_translate::rules::Table;

use crate::{Dependency, HostKey, Kind, Object, Side, VirtualKey};

/// One intended write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Create a host object, or bring the fields that follow up to date.
    ApplyHost(Box<ApplyHost>),
    /// Change parts of a host object that [`Effect::ApplyHost`] cannot express.
    PatchHost(HostPatch),
    /// Set parts of a virtual object that the host owns.
    PatchVirtual(VirtualPatch),
    /// Bind a virtual pod to the node that the host chose.
    Bind(Bind),
    /// Keep a virtual object that pictures something of the host.
    ApplyVirtual(ApplyVirtual),
    /// Delete an object of either side.
    Delete(Deletion),
    /// Tell the tenant something, as an event on a virtual object.
    Emit(Event),
    /// Writes that do not depend on each other: performed at the same time.
    Together(Vec<Effect>),
}

/// A host object as it should be.
#[derive(Clone, Debug)]
pub struct ApplyHost {
    /// The kind of the host object.
    pub kind: Kind,
    /// Where it stands.
    pub key: HostKey,
    /// The virtual object that it belongs to.
    pub owner: OwnerRecord,
    /// The whole object for its creation, with metadata and owner record.
    pub desired: Value,
    /// The table whose `kept` rules say which fields follow after creation; `None` for an
    /// object that is only created and, when tokens are minted, rewritten.
    pub table: Option<Arc<Table>>,
    /// What to create instead when the server rejects `desired` as invalid (HTTP 422).
    pub fallback: Option<Value>,
    /// Tokens to mint into `data` of the object (a Secret) before it is written.
    pub mint: Vec<Mint>,
}

/// A `ServiceAccount` token that the virtual API server mints into a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mint {
    /// The key in `data` that takes the token.
    pub data_key: String,
    /// The `ServiceAccount`, in the namespace of the pod.
    pub service_account: String,
    /// The audiences asked for; empty for the API server's own.
    pub audiences: Vec<String>,
    /// The lifetime asked for, in seconds.
    pub expiration_seconds: i64,
    /// The pod that the token is bound to.
    pub pod: VirtualKey,
    /// Its UID.
    pub pod_uid: String,
}

/// How the body of a [`HostPatch`] is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchFormat {
    /// RFC 7386.
    Merge,
    /// The Kubernetes strategic merge, which merges lists by key.
    Strategic,
}

/// A change of a host object.
#[derive(Clone, Debug)]
pub struct HostPatch {
    /// The kind of the host object.
    pub kind: Kind,
    /// Where it stands.
    pub key: HostKey,
    /// The virtual object that it belongs to.
    pub owner: OwnerRecord,
    /// `resize`, `ephemeralcontainers`, `status`, or none.
    pub subresource: Option<&'static str>,
    /// How `body` is merged.
    pub format: PatchFormat,
    /// The change; the mapper has made sure that it changes something.
    pub body: Value,
}

/// Values that parts of a virtual object should have.
#[derive(Clone, Debug)]
pub struct VirtualPatch {
    /// The kind of the virtual object.
    pub kind: Kind,
    /// Where it stands.
    pub key: VirtualKey,
    /// The incarnation that the values were derived from; another one is not written.
    pub uid: String,
    /// The version that the values were derived from, if they hold parts that others write: a
    /// newer one is not written.
    pub version: Option<String>,
    /// `status`, or none.
    pub subresource: Option<&'static str>,
    /// JSON pointers (of members, not of list elements) and what should stand there.
    pub values: Vec<(&'static str, Value)>,
}

/// The binding of a virtual pod to a node.
#[derive(Clone, Debug)]
pub struct Bind {
    /// The pod.
    pub pod: VirtualKey,
    /// Its UID.
    pub uid: String,
    /// The node that the host's scheduler chose.
    pub node: String,
}

/// A virtual object that pictures something of the host; the tenant cannot change it for
/// long. The gate marks it as ours and never touches one that is not.
#[derive(Clone, Debug)]
pub struct ApplyVirtual {
    /// The kind of the virtual object.
    pub kind: Kind,
    /// Where it stands.
    pub key: VirtualKey,
    /// The whole object. Of the metadata, labels and annotations count.
    pub desired: Value,
    /// Whether an object there that nobody has marked may be taken over: only for objects
    /// that the API server itself expects somebody to fill.
    pub adopt: bool,
}

/// Why an object may be deleted. Only [`Deletion`] makes one, from what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The twin on the other side was seen being deleted.
    TwinDeleting,
    /// The twin is gone: the gate proves it with a quorum read of a cluster with the
    /// recorded id before it deletes.
    TwinAbsent {
        /// The cluster of the twin.
        side: Side,
        /// Its kind.
        kind: Kind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its UID; an object of that name with another UID is another object. Empty
        /// when no object of that name may exist.
        uid: String,
    },
    /// Nothing needs this copy any more; it can be made again from its original at any
    /// time.
    Redundant,
}

/// The delete of one object. It cannot be built without a [`Cause`], and always carries
/// the UID as a precondition.
#[derive(Clone, Debug)]
pub struct Deletion {
    side: Side,
    kind: Kind,
    namespace: String,
    name: String,
    uid: String,
    version: Option<String>,
    grace: Option<i64>,
    cause: Box<Cause>,
}

impl Deletion {
    /// Deletes a host object because its virtual original was seen being deleted; the
    /// grace period of that delete is passed on. `None` when `original` is not.
    pub fn follow(kind: Kind, host: &Object, original: &Object) -> Option<Self> {
        original.is_deleting().then(|| Self {
            grace: original.deletion_grace(),
            ..Self::new(Side::Host, kind, host, Cause::TwinDeleting)
        })
    }

    /// Deletes a host object because its virtual original, with the UID of the owner
    /// record, is gone. Nobody waits for it any more: without a grace period.
    pub fn orphan(kind: Kind, host: &Object, owner: &OwnerRecord, original: Kind) -> Self {
        let cause = Cause::TwinAbsent {
            side: Side::Virtual,
            kind: original,
            namespace: owner.namespace.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        };
        Self { grace: Some(0), ..Self::new(Side::Host, kind, host, cause) }
    }

    /// Deletes a reservation on the host: no virtual object of its name has come, or not as
    /// the request wanted it. A renewal in the meantime is another version, and stays.
    pub fn lapsed(kind: Kind, host: &Object, owner: &OwnerRecord) -> Self {
        Self { grace: None, ..Self::orphan(kind, host, owner, kind) }.at_version(host)
    }

    /// Only this version of the object: a change in the meantime keeps it.
    #[must_use]
    pub fn at_version(self, object: &Object) -> Self {
        Self { version: Some(object.resource_version().to_owned()), ..self }
    }

    /// Deletes a copy on the host that nothing needs any more.
    pub fn redundant(kind: Kind, host: &Object) -> Self {
        Self::new(Side::Host, kind, host, Cause::Redundant)
    }

    /// Deletes a virtual object because its host object was seen being deleted; the grace
    /// period of that delete is passed on. `None` when `host` is not.
    pub fn follow_host(kind: Kind, virt: &Object, host: &Object) -> Option<Self> {
        host.is_deleting()
            .then(|| Self { grace: host.deletion_grace(), ..Self::new(Side::Virtual, kind, virt, Cause::TwinDeleting) })
    }

    /// Deletes a virtual object whose host object is gone, at once.
    pub fn finish(kind: Kind, virt: &Object, host: &HostKey) -> Self {
        let cause = Cause::TwinAbsent {
            side: Side::Host,
            kind,
            namespace: host.namespace().to_owned(),
            name: host.name().to_owned(),
            uid: String::new(),
        };
        Self { grace: Some(0), ..Self::new(Side::Virtual, kind, virt, cause) }
    }

    /// Deletes a picture of the host that nothing needs any more.
    pub fn picture(kind: Kind, virt: &Object) -> Self {
        Self::new(Side::Virtual, kind, virt, Cause::Redundant)
    }

    fn new(side: Side, kind: Kind, object: &Object, cause: Cause) -> Self {
        Self {
            side,
            kind,
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            version: None,
            grace: None,
            cause: Box::new(cause),
        }
    }

    /// The cluster of the object.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its namespace; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The only version that may be deleted; `None` for any.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The grace period in seconds; `None` for the object's own.
    pub fn grace(&self) -> Option<i64> {
        self.grace
    }

    /// Why it may be deleted.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

/// Type of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Good to know.
    Normal,
    /// Something does not work.
    Warning,
}

/// Reason of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventReason {
    /// The object may not cross.
    Refused,
    /// A foreign object stands in its place.
    Blocked,
    /// The host's API server does not accept it.
    Rejected,
    /// It crossed, but not as the tenant may expect.
    Degraded,
    /// The syncer changed it.
    Changed,
    /// It was stored without what the host had to give, and has it now.
    Repaired,
}

impl EventReason {
    /// The reason as events carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "SyncRefused",
            Self::Blocked => "SyncBlocked",
            Self::Rejected => "SyncRejected",
            Self::Degraded => "SyncDegraded",
            Self::Changed => "SyncChanged",
            Self::Repaired => "SyncRepaired",
        }
    }
}

/// An event on a virtual object.
#[derive(Clone, Debug)]
pub struct Event {
    /// The kind of the object.
    pub kind: Kind,
    /// The object.
    pub key: VirtualKey,
    /// Its UID.
    pub uid: String,
    /// The reason.
    pub reason: EventReason,
    /// `Normal` or `Warning`.
    pub event_type: EventType,
    /// A sentence for the tenant.
    pub message: String,
}

/// When a key is looked at again although nothing changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// Not before something changes.
    #[default]
    Done,
    /// At this instant, in unix seconds.
    At(i64),
    /// After this delay.
    After(Duration),
}

/// What a reconcile decided.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The writes, in order; the first that fails ends the reconcile.
    pub effects: Vec<Effect>,
    /// When to look again.
    pub next: Next,
    /// What else wakes the key.
    pub wait: BTreeSet<Dependency>,
}

impl Outcome {
    /// Nothing to do.
    pub fn done() -> Self {
        Self::default()
    }

    /// One write.
    pub fn one(effect: Effect) -> Self {
        Self { effects: vec![effect], ..Self::default() }
    }

    /// Nothing to do until this object changes.
    pub fn wait_for(dependency: Dependency) -> Self {
        Self { wait: BTreeSet::from([dependency]), ..Self::default() }
    }

    /// Adds a write.
    #[must_use]
    pub fn then(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Looks again at an instant.
    #[must_use]
    pub fn next(mut self, next: Next) -> Self {
        self.next = next;
        self
    }

    /// Adds something that wakes the key.
    #[must_use]
    pub fn and_wait_for(mut self, dependency: Dependency) -> Self {
        self.wait.insert(dependency);
        self
    }
}

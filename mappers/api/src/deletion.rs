//! Deletions: none is built without its cause, and each carries the UID.

use tenet_translate::owner::OwnerRecord;

use crate::{HostKey, Kind, Object, ObjectRef, Side};

/// Reason why an object may be deleted. Only [`Deletion`] makes one, from what was seen.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{Cause, Deletion, Object, kinds};
///
/// let object = Object::new(json!({"metadata": {"name": "a", "namespace": "team-a", "uid": "u"}}));
/// assert_eq!(Deletion::redundant(kinds::SECRET, &object).cause(), &Cause::Redundant);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The twin on the other side was seen being deleted.
    TwinDeleting,
    /// The twin is gone: the gate proves it with a quorum read of a cluster with the
    /// recorded id before it deletes.
    TwinAbsent {
        /// The twin.
        twin: ObjectRef,
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
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{Deletion, Object, kinds};
///
/// let object = Object::new(json!({"metadata": {"name": "a", "namespace": "team-a", "uid": "u"}}));
/// let deletion = Deletion::redundant(kinds::SECRET, &object);
/// assert_eq!((deletion.uid(), deletion.grace()), ("u", None));
/// ```
#[derive(Clone, Debug)]
pub struct Deletion {
    target: ObjectRef,
    uid: String,
    version: Option<String>,
    grace: Option<i64>,
    cause: Box<Cause>,
}

impl Deletion {
    /// Deletes a host object because its virtual original was seen being deleted; the
    /// grace period of that delete is passed on. `None` when `original` is not.
    ///
    /// ```
    /// use tenet_mapper::{Deletion, Effect, Object, kinds};
    ///
    /// fn follow(host: &Object, virt: &Object) -> Option<Effect> {
    ///     Deletion::follow(kinds::SECRET, host, virt).map(Effect::Delete) // none while `virt` is not deleted
    /// }
    /// ```
    pub fn follow(kind: Kind, host: &Object, original: &Object) -> Option<Self> {
        original.is_deleting().then(|| Self {
            grace: original.deletion_grace(),
            ..Self::new(Side::Host, kind, host, Cause::TwinDeleting)
        })
    }

    /// Deletes a host object because its virtual original, with the UID of the owner
    /// record, is gone. Nobody waits for it any more: without a grace period.
    ///
    /// ```
    /// use tenet_mapper::{Context, Deletion, Effect, MapError, Object, kinds};
    ///
    /// fn without_original(cx: &Context<'_>, host: &Object) -> Result<Effect, MapError> {
    ///     let owner = cx.owned(kinds::SECRET, host)?;
    ///     Ok(Effect::Delete(Deletion::orphan(kinds::SECRET, host, &owner, kinds::SECRET)))
    /// }
    /// ```
    pub fn orphan(kind: Kind, host: &Object, owner: &OwnerRecord, original: Kind) -> Self {
        let cause = Cause::TwinAbsent {
            twin: ObjectRef::new(Side::Virtual, original, &owner.namespace, &owner.name),
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
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Deletion, Object, kinds};
    ///
    /// let copy = Object::new(json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}}));
    /// assert_eq!(Deletion::redundant(kinds::SECRET, &copy).at_version(&copy).version(), Some("7"));
    /// ```
    #[must_use]
    pub fn at_version(self, object: &Object) -> Self {
        Self { version: Some(object.resource_version().to_owned()), ..self }
    }

    /// Deletes a copy on the host that nothing needs any more.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Deletion, Object, Side, kinds};
    ///
    /// let object = Object::new(json!({"metadata": {"name": "a", "namespace": "team-a", "uid": "u"}}));
    /// assert_eq!(Deletion::redundant(kinds::SECRET, &object).target().side, Side::Host);
    /// ```
    pub fn redundant(kind: Kind, host: &Object) -> Self {
        Self::new(Side::Host, kind, host, Cause::Redundant)
    }

    /// Deletes a virtual object because its host object was seen being deleted; the grace
    /// period of that delete is passed on. `None` when `host` is not.
    ///
    /// ```
    /// use tenet_mapper::{Deletion, Effect, Object, kinds};
    ///
    /// fn follow(virt: &Object, host: &Object) -> Option<Effect> {
    ///     Deletion::follow_host(kinds::POD, virt, host).map(Effect::Delete)
    /// }
    /// ```
    pub fn follow_host(kind: Kind, virt: &Object, host: &Object) -> Option<Self> {
        host.is_deleting()
            .then(|| Self { grace: host.deletion_grace(), ..Self::new(Side::Virtual, kind, virt, Cause::TwinDeleting) })
    }

    /// Deletes a virtual object whose host object is gone, at once.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Deletion, HostKey, Object, kinds};
    ///
    /// let pod = Object::new(json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}}));
    /// let deletion = Deletion::finish(kinds::POD, &pod, &HostKey::new("team-a", "web-x-shop-x-vc-1"));
    /// assert_eq!(deletion.grace(), Some(0));
    /// ```
    pub fn finish(kind: Kind, virt: &Object, host: &HostKey) -> Self {
        let cause = Cause::TwinAbsent { twin: ObjectRef::host(kind, host), uid: String::new() };
        Self { grace: Some(0), ..Self::new(Side::Virtual, kind, virt, cause) }
    }

    /// Deletes a picture of the host that nothing needs any more.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Deletion, Object, Side, kinds};
    ///
    /// let node = Object::new(json!({"metadata": {"name": "node-1", "uid": "u"}}));
    /// assert_eq!(Deletion::picture(kinds::NODE, &node).target().side, Side::Virtual);
    /// ```
    pub fn picture(kind: Kind, virt: &Object) -> Self {
        Self::new(Side::Virtual, kind, virt, Cause::Redundant)
    }

    fn new(side: Side, kind: Kind, object: &Object, cause: Cause) -> Self {
        Self {
            target: ObjectRef::new(side, kind, object.namespace(), object.name()),
            uid: object.uid().to_owned(),
            version: None,
            grace: None,
            cause: Box::new(cause),
        }
    }

    /// The object.
    pub fn target(&self) -> &ObjectRef {
        &self.target
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

    /// Reason why it may be deleted.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

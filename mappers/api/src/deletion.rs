//! Deletions: none is built without its cause, and each carries the UID.

use tenet_translate::keys::UID;

use crate::{Kind, Object, ObjectRef, Side};

/// Reason why an object may be deleted, or changed to say that its copy is gone.
///
/// It says of what kind the reason is, and never names the object that the write depends on: the twin is derived from
/// the object that is written ([`plan::proof`](crate::plan::proof)), so a mapper cannot ask for the absence of another
/// object.
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
    TwinDeleting {
        /// The twin.
        twin: ObjectRef,
        /// Its UID, as it was seen.
        uid: String,
    },
    /// The twin is gone: the virtual object that the owner record names, or the copy of a virtual object. The gate
    /// proves it with a quorum read before it deletes.
    TwinAbsent {
        /// Kind of the twin. An owner record that names another kind belongs to another object.
        twin: Kind,
    },
    /// The host object that a picture shows is gone: one of the same kind, which the annotation `tenet.sh/shows` names,
    /// or else of the same name. The gate proves it with a quorum read.
    ShownAbsent,
    /// No host object that a picture is made of exists any more. The gate proves with a quorum list that the cache
    /// knows all of them.
    SourcesAbsent {
        /// Kind of the host objects.
        kind: Kind,
        /// The field selector that finds them, whose value is the name of the picture; `None` where the API has none,
        /// so that all of ours are listed.
        field: Option<&'static str>,
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
    is_unreferenced: bool,
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
        let cause = || Cause::TwinDeleting {
            twin: ObjectRef::new(Side::Virtual, kind, original.namespace(), original.name()),
            uid: original.uid().to_owned(),
        };
        original
            .is_deleting()
            .then(|| Self { grace: original.deletion_grace(), ..Self::new(Side::Host, kind, host, cause()) })
    }

    /// Deletes a host object because its virtual original, which is of kind `original` and named by the owner
    /// record, is gone. It has no grace period, as nothing inside waits for its end.
    ///
    /// ```
    /// use tenet_mapper::{Deletion, Effect, Object, kinds};
    ///
    /// fn without_original(host: &Object) -> Effect {
    ///     Effect::Delete(Deletion::orphan(kinds::SECRET, host, kinds::SECRET))
    /// }
    /// ```
    pub fn orphan(kind: Kind, host: &Object, original: Kind) -> Self {
        Self { grace: Some(0), ..Self::new(Side::Host, kind, host, Cause::TwinAbsent { twin: original }) }
    }

    /// Deletes a reservation on the host: no virtual object of its name has come, or not as
    /// the request wanted it. A renewal in the meantime is another version, and stays.
    pub fn lapsed(kind: Kind, host: &Object) -> Self {
        Self { grace: None, ..Self::orphan(kind, host, kind) }.at_version(host)
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

    /// Shortens the grace period to at most this many seconds.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Deletion, Object, kinds};
    ///
    /// let pod = Object::new(json!({"metadata": {"name": "web", "uid": "u"}}));
    /// assert_eq!(Deletion::finish(kinds::POD, &pod).within(3600).grace(), Some(0));
    /// ```
    #[must_use]
    pub fn within(self, seconds: i64) -> Self {
        Self { grace: self.grace.map(|grace| grace.min(seconds)), ..self }
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

    /// Deletes a copy on the host to whose original no object refers. It stays if a reference is found before the
    /// delete: the gate compares what may refer to the original with a list from a quorum.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Cause, Deletion, Object, kinds};
    ///
    /// let object = Object::new(json!({"metadata": {"name": "a", "namespace": "team-a", "uid": "u"}}));
    /// let deletion = Deletion::unreferenced(kinds::SECRET, &object);
    /// assert!(deletion.is_unreferenced() && *deletion.cause() == Cause::Redundant);
    /// ```
    pub fn unreferenced(kind: Kind, host: &Object) -> Self {
        Self { is_unreferenced: true, ..Self::redundant(kind, host) }
    }

    /// Deletes a virtual object because its host object was seen being deleted; the grace
    /// period of that delete is passed on. `None` when `host` is not, or belongs to another.
    ///
    /// ```
    /// use tenet_mapper::{Deletion, Effect, Object, kinds};
    ///
    /// fn follow(virt: &Object, host: &Object) -> Option<Effect> {
    ///     Deletion::follow_host(kinds::POD, virt, host).map(Effect::Delete)
    /// }
    /// ```
    pub fn follow_host(kind: Kind, virt: &Object, host: &Object) -> Option<Self> {
        let cause = || Cause::TwinDeleting {
            twin: ObjectRef::new(Side::Host, kind, host.namespace(), host.name()),
            uid: host.uid().to_owned(),
        };
        (host.is_deleting() && host.annotation(UID) == Some(virt.uid()))
            .then(|| Self { grace: host.deletion_grace(), ..Self::new(Side::Virtual, kind, virt, cause()) })
    }

    /// Deletes a virtual object whose copy on the host is gone, at once.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Deletion, Object, kinds};
    ///
    /// let pod = Object::new(json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}}));
    /// assert_eq!(Deletion::finish(kinds::POD, &pod).grace(), Some(0));
    /// ```
    pub fn finish(kind: Kind, virt: &Object) -> Self {
        Self { grace: Some(0), ..Self::new(Side::Virtual, kind, virt, Cause::TwinAbsent { twin: kind }) }
    }

    /// Deletes the picture of a host object of the same kind, which is gone: the one that its annotation `tenet.sh/shows`
    /// names, or else that of the same name.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Cause, Deletion, Object, kinds};
    ///
    /// let node = Object::new(json!({"metadata": {"name": "node-1", "uid": "u"}}));
    /// assert_eq!(Deletion::picture(kinds::NODE, &node).cause(), &Cause::ShownAbsent);
    /// ```
    pub fn picture(kind: Kind, virt: &Object) -> Self {
        Self::new(Side::Virtual, kind, virt, Cause::ShownAbsent)
    }

    /// Deletes a picture that is made of host objects of the kind `sources`, because none that it still needs exists.
    /// They are found by `field`, a field selector of that kind, whose value is the name of the picture.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Deletion, Object, Side, kinds};
    ///
    /// let node = Object::new(json!({"metadata": {"name": "node-1", "uid": "u"}}));
    /// let deletion = Deletion::unused(kinds::NODE, &node, kinds::POD, "spec.nodeName");
    /// assert_eq!(deletion.target().side, Side::Virtual);
    /// ```
    pub fn unused(kind: Kind, virt: &Object, sources: Kind, field: &'static str) -> Self {
        Self::new(Side::Virtual, kind, virt, Cause::SourcesAbsent { kind: sources, field: Some(field) })
    }

    /// Deletes a picture that is made of host objects of the kind `sources`, because none of ours names it any more.
    /// The API has no field selector that finds them, so all of them are listed.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Cause, Deletion, Kind, Object, kinds};
    ///
    /// const VOLUME: Kind = Kind::core("PersistentVolume", "persistentvolumes").cluster_scoped();
    /// let volume = Object::new(json!({"metadata": {"name": "pvc-1", "uid": "u"}}));
    /// let deletion = Deletion::unnamed(VOLUME, &volume, kinds::PERSISTENT_VOLUME_CLAIM);
    /// assert!(matches!(deletion.cause(), Cause::SourcesAbsent { field: None, .. }));
    /// ```
    pub fn unnamed(kind: Kind, virt: &Object, sources: Kind) -> Self {
        Self::new(Side::Virtual, kind, virt, Cause::SourcesAbsent { kind: sources, field: None })
    }

    fn new(side: Side, kind: Kind, object: &Object, cause: Cause) -> Self {
        Self {
            target: ObjectRef::new(side, kind, object.namespace(), object.name()),
            uid: object.uid().to_owned(),
            version: None,
            grace: None,
            cause: Box::new(cause),
            is_unreferenced: false,
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

    /// Returns true if it is no longer right once an object refers to the original.
    pub fn is_unreferenced(&self) -> bool {
        self.is_unreferenced
    }

    /// Reason why it may be deleted.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

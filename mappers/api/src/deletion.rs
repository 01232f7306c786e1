//! Deletions: none is built without its cause, and each carries the UID.

use tenet_translate::owner::OwnerRecord;

use crate::{HostKey, Kind, Object, ObjectRef, Side};

/// Why an object may be deleted. Only [`Deletion`] makes one, from what was seen.
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
        let cause = Cause::TwinAbsent { twin: ObjectRef::host(kind, host), uid: String::new() };
        Self { grace: Some(0), ..Self::new(Side::Virtual, kind, virt, cause) }
    }

    /// Deletes a picture of the host that nothing needs any more.
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

    /// Why it may be deleted.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

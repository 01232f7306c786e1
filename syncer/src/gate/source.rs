//! Sources of what is written: the object on the other side that a write is derived from.

use serde_json::Value;
use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::{Kind, MapError, Object, ObjectRef, Side, kinds};

use super::{Gate, is_shown_status};

impl Gate {
    /// Reads the source of an object from a quorum if somebody else has written the object since this syncer did, or if
    /// the write is `doubtful` by itself. A second syncer whose watch is late would otherwise write the older state in
    /// turns with the first. A reservation is for an object that is about to be stored, so a cache that still shows an
    /// earlier one of the name would give it to that one.
    pub(super) async fn confirm_source(&self, target: &ObjectRef, doubtful: bool) -> Result<(), MapError> {
        let ObjectRef { side, kind, namespace, name } = target;
        let cache = self.parts.caches.get(*side, *kind);
        if !doubtful && !cache.is_some_and(|cache| cache.is_written_by_others(namespace, name)) {
            return Ok(());
        }
        let Some(source) = self.source(target) else { return Ok(()) };
        // A picture is made of other objects while the cache lacks the one that it shows.
        let may_lack = self.is_picture(target) && self.reads_all(source.side, source.kind);
        if (may_lack || self.cached(&source).is_some()) && self.refresh(&source).await? {
            return Err(MapError::Conflict(format!("{source} has changed since it was seen")));
        }
        Ok(())
    }

    /// Returns true if the objects of a kind are read, and the syncer has the rights to.
    fn reads_all(&self, side: Side, kind: Kind) -> bool {
        self.parts.caches.health(side, kind).is_some_and(|health| health.synced && health.missing.is_none())
    }

    /// Returns the object of the same kind on the other side from which an object is derived; `None` for a host object
    /// that is made of several, or of one of another kind.
    fn source(&self, target: &ObjectRef) -> Option<ObjectRef> {
        let ObjectRef { side, kind, namespace, name } = target;
        let facts = self.parts.facts.load();
        let names = &facts.names;
        match side {
            Side::Host => {
                let record = facts.ownership(&self.cached(target)?).ours()?;
                let is_copy = record.kind == kind.group_kind();
                is_copy.then(|| ObjectRef::new(Side::Virtual, *kind, &record.namespace, &record.name))
            }
            Side::Virtual if self.is_picture(target) => Some(ObjectRef::new(Side::Host, *kind, namespace, name)),
            Side::Virtual => {
                let copy = names.host_name(kind.group_kind(), namespace, name);
                Some(ObjectRef::new(Side::Host, *kind, names.host_namespace(namespace), &copy))
            }
        }
    }

    /// Returns true for a virtual object that the syncer has made to show the host object of the same name.
    pub(super) fn is_picture(&self, object: &ObjectRef) -> bool {
        object.side == Side::Virtual
            && !object.kind.namespaced
            && self.cached(object).is_some_and(|found| self.parts.facts.load().has_made(&found))
    }
}

/// Returns true for a status that shows a pod as running whose end was shown. Pods do not start again, so the state of
/// the host that it comes from may be an old one.
pub(super) fn takes_back_end(write: &Write, cached: Option<&Object>) -> bool {
    let is_final = |phase: &str| matches!(phase, "Succeeded" | "Failed");
    let Payload::Merge(body) = &write.payload else { return false };
    let phase = body.pointer("/status/phase").and_then(Value::as_str);
    is_shown_status(write)
        && write.target.kind == kinds::POD
        && phase.is_some_and(|phase| !is_final(phase))
        && cached.and_then(|cached| cached.str_at("/status/phase")).is_some_and(is_final)
}

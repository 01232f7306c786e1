//! Proofs: what must be shown by a quorum read before a write that depends on an absence.

use tenet_translate::keys::MANAGED_BY;

use super::delete::{copy_of, record_of};
use crate::{Cause, Effect, Facts, Kind, MapError, Object, ObjectRef, Side};

/// Fact that must be proved by a quorum read before an effect is performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The twin does not exist.
    Absent {
        /// The twin.
        twin: ObjectRef,
        /// Its UID; an object of that name with another UID is another object. Empty when no object of that name may
        /// exist.
        uid: String,
    },
    /// The copy does not exist; a foreign object may have its name.
    NoCopy {
        /// The copy.
        copy: ObjectRef,
    },
    /// Every host object of a kind that is ours, and that a field selector finds, is in the cache: the mapper knew it
    /// when it decided.
    Known {
        /// The kind.
        kind: Kind,
        /// The host namespace.
        namespace: String,
        /// The field selector, if there is one.
        field: Option<String>,
        /// The label selector.
        label: String,
    },
}

impl Proof {
    /// The side that is asked.
    pub fn side(&self) -> Side {
        match self {
            Self::Absent { twin, .. } => twin.side,
            Self::NoCopy { .. } | Self::Known { .. } => Side::Host,
        }
    }

    /// The object that must not exist; `None` for a proof about many.
    pub fn twin(&self) -> Option<&ObjectRef> {
        match self {
            Self::Absent { twin, .. } | Self::NoCopy { copy: twin } => Some(twin),
            Self::Known { .. } => None,
        }
    }
}

/// Returns what must be proved before an effect is performed; `None` when what was seen is enough.
///
/// The twin is derived from the written object itself: from the owner record of a host object, and from the name of a
/// virtual one.
pub fn proof(effect: &Effect, cached: &Object, facts: &Facts) -> Result<Option<Proof>, MapError> {
    match effect {
        Effect::Delete(deletion) => absence(deletion.cause(), deletion.target(), cached, facts),
        Effect::PatchVirtual(patch) => {
            let Some(cause) = &patch.cause else { return Ok(None) };
            let proof = absence(cause, &effect.target(), cached, facts)?;
            Ok(match (proof, patch.subresource) {
                // Outside of the status, such as a finalizer that guards a copy of ours: a foreign object needs no
                // guard.
                (Some(Proof::Absent { twin, .. }), None) => Some(Proof::NoCopy { copy: twin }),
                (proof, _) => proof,
            })
        }
        _ => Ok(None),
    }
}

/// Returns what must be proved before a virtual object shows a state that its copy does not have, as the copy is not
/// known.
pub fn without_copy(kind: Kind, virt: &Object, facts: &Facts) -> Proof {
    Proof::Absent { twin: copy_of(kind, virt, facts), uid: String::new() }
}

/// Returns what must be proved before `target` is written for this cause.
fn absence(cause: &Cause, target: &ObjectRef, cached: &Object, facts: &Facts) -> Result<Option<Proof>, MapError> {
    let ObjectRef { side, kind, .. } = target;
    Ok(match (cause, side) {
        (Cause::TwinDeleting { .. } | Cause::Redundant, _) => None,
        (Cause::TwinAbsent { twin }, Side::Host) => {
            let record = record_of(*kind, *twin, cached, facts)?;
            let twin = ObjectRef::new(Side::Virtual, *twin, &record.namespace, &record.name);
            Some(Proof::Absent { twin, uid: record.uid })
        }
        (Cause::TwinAbsent { twin }, Side::Virtual) => Some(without_copy(*twin, cached, facts)),
        (Cause::ShownAbsent, _) => {
            let twin = ObjectRef::new(Side::Host, *kind, cached.namespace(), cached.name());
            Some(Proof::Absent { twin, uid: String::new() })
        }
        (Cause::SourcesAbsent { kind, field }, _) => Some(Proof::Known {
            kind: *kind,
            namespace: facts.names.host_namespace(cached.namespace()).to_owned(),
            field: field.map(|field| format!("{field}={}", cached.name())),
            label: format!("{MANAGED_BY}={}", facts.names.cluster),
        }),
    })
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Clusters;
    use crate::{Deletion, VirtualPatch, kinds};

    const CLAIM: Kind = kinds::PERSISTENT_VOLUME_CLAIM;

    #[test]
    fn a_patch_that_depends_on_an_absence_needs_the_proof_of_the_delete() {
        let claim = Object::new(json!({"metadata": {"namespace": "shop", "name": "data", "uid": "u"}}));
        let proof_of = |effect: &Effect| Clusters::default().look(|cx| proof(effect, &claim, cx.facts())).unwrap();
        let patch = |subresource, cause: Option<Cause>| {
            let patch = VirtualPatch::new(CLAIM, &claim, subresource, [("/status/phase", json!("Lost"))]);
            Effect::PatchVirtual(VirtualPatch { cause: cause.map(Box::new), ..patch })
        };
        let (gone, status) = (Cause::TwinAbsent { twin: CLAIM }, Some("status"));
        let of_delete = proof_of(&Effect::Delete(Deletion::finish(CLAIM, &claim)));
        assert!(matches!(of_delete, Some(Proof::Absent { .. })));
        assert_eq!(proof_of(&patch(status, Some(gone.clone()))), of_delete);
        let copy = of_delete.unwrap().twin().cloned().unwrap();
        assert_eq!(proof_of(&patch(None, Some(gone))), Some(Proof::NoCopy { copy }));
        assert_eq!(proof_of(&patch(status, None)), None);
        let unnamed = Cause::SourcesAbsent { kind: kinds::POD, field: None };
        assert!(matches!(proof_of(&patch(status, Some(unnamed))), Some(Proof::Known { .. })));
    }
}

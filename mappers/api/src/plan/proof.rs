//! Proofs: what must be shown by a quorum read before a write that depends on an absence.

use tenet_translate::keys::{BOUND, MANAGED_BY, SHOWS};

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
    /// The copy does not exist; a foreign object may have its name, see [`may_be_copy`].
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
/// virtual one, or what its annotation says that it shows.
pub fn proof(effect: &Effect, cached: &Object, facts: &Facts) -> Result<Option<Proof>, MapError> {
    match effect {
        Effect::Delete(deletion) => absence(deletion.cause(), deletion.target(), cached, facts),
        Effect::PatchVirtual(patch) => {
            let Some(cause) = &patch.cause else { return Ok(None) };
            absence(cause, &effect.target(), cached, facts)
        }
        _ => Ok(None),
    }
}

/// Returns what must be proved before a virtual object shows a state that its copy does not have, as the copy is not
/// known.
pub fn without_copy(kind: Kind, virt: &Object, facts: &Facts) -> Proof {
    Proof::NoCopy { copy: copy_of(kind, virt, facts) }
}

/// Returns true unless the host object `found`, which has the name of the copy of `virt`, is certainly another object.
/// `last` is the last state of the copy that was seen.
///
/// Somebody may have removed the owner record of a copy, which still runs or holds data. A name has one object at a
/// time, so the UID of the last state decides. Where it is not known, an object that was made after the pod had started
/// is another one, and a claim with the volume of the virtual one is its copy.
///
/// ```
/// use tenet_mapper::{Context, Object, VirtualKey, kinds, plan};
///
/// fn is_name_taken(cx: &Context<'_>, key: &VirtualKey, virt: &Object, host: &Object) -> bool {
///     let last = cx.last_state(kinds::POD, &cx.host_key(kinds::POD, key));
///     !plan::may_be_copy(host, virt, last.as_ref(), cx.facts())
/// }
/// ```
pub fn may_be_copy(found: &Object, virt: &Object, last: Option<&Object>, facts: &Facts) -> bool {
    const VOLUME: &str = "/spec/volumeName";
    if facts.may_be_ours(found) || found.str_at(VOLUME).is_some_and(|volume| virt.str_at(VOLUME) == Some(volume)) {
        return true;
    }
    match (last, virt.str_at("/status/startTime"), found.str_at("/metadata/creationTimestamp")) {
        (Some(last), ..) => last.uid() == found.uid(),
        // Both are times in UTC, in whole seconds, whose texts have their order.
        (None, Some(started), Some(created)) => created <= started,
        // A pod that was bound and has not started shows no time.
        (None, ..) => virt.annotation(BOUND) == Some(virt.uid()),
    }
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
            let shown = cached.annotation(SHOWS).filter(|_| kind.namespaced).and_then(|shown| shown.split_once('/'));
            let (namespace, name) = shown.unwrap_or((cached.namespace(), cached.name()));
            let twin = ObjectRef::new(Side::Host, *kind, namespace, name);
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
    use serde_json::{Value, json};

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
        let copy = ObjectRef::new(Side::Host, CLAIM, "team-a", "data-x-shop-x-vc-1");
        assert_eq!(of_delete, Some(Proof::NoCopy { copy }), "a foreign object may have the name");
        assert_eq!(proof_of(&patch(status, Some(gone.clone()))), of_delete);
        assert_eq!(proof_of(&patch(None, Some(gone))), of_delete);
        assert_eq!(proof_of(&patch(status, None)), None);
        let unnamed = Cause::SourcesAbsent { kind: kinds::POD, field: None };
        assert!(matches!(proof_of(&patch(status, Some(unnamed))), Some(Proof::Known { .. })));
    }

    #[test]
    fn the_picture_of_another_name_goes_with_what_it_shows() {
        let proof_of = |kind: Kind, namespace: &str| {
            let metadata =
                json!({"namespace": namespace, "name": "pg", "uid": "u", "annotations": {SHOWS: "shared/db"}});
            let picture = Object::new(json!({"metadata": metadata}));
            let delete = Effect::Delete(Deletion::picture(kind, &picture));
            Clusters::default().look(|cx| proof(&delete, &picture, cx.facts())).unwrap()
        };
        let absent = |twin| Some(Proof::Absent { twin, uid: String::new() });
        let shown = ObjectRef::new(Side::Host, kinds::SERVICE, "shared", "db");
        assert_eq!(proof_of(kinds::SERVICE, "data"), absent(shown));
        let node = ObjectRef::new(Side::Host, kinds::NODE, "", "pg");
        assert_eq!(proof_of(kinds::NODE, ""), absent(node), "a tenant may annotate a Node");
    }

    #[test]
    fn an_object_under_the_name_of_a_copy_is_another_one_only_if_that_is_certain() {
        let pod = |metadata: &Value, started: Option<&str>| {
            let mut pod = json!({"metadata": {"namespace": "shop", "name": "web", "uid": "u"}});
            pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
            if let Some(started) = started {
                pod["status"]["startTime"] = json!(started);
            }
            Object::new(pod)
        };
        let found = |metadata| pod(&metadata, None);
        let bare = || found(json!({"uid": "h", "creationTimestamp": "2026-01-01T00:00:44Z"}));
        let damaged = found(json!({"uid": "h", "creationTimestamp": "2026-01-01T00:00:44Z",
            "labels": {MANAGED_BY: "vc-1"}}));
        let (early, late) = (Some("2026-01-01T00:00:18Z"), Some("2026-01-01T00:00:44Z"));
        let bound = json!({"annotations": {BOUND: "u"}});
        let last = |uid: &str| Some(found(json!({"uid": uid})));
        for (what, found, virt, last, may_be) in [
            ("its record is damaged", damaged, pod(&json!({}), early), last("other"), true),
            ("it is the object that was seen, without its record", bare(), pod(&json!({}), early), last("h"), true),
            ("another object was seen", bare(), pod(&json!({}), late), last("other"), false),
            ("it is older than the start of the pod", bare(), pod(&json!({}), late), None, true),
            ("it is younger than the start of the pod", bare(), pod(&json!({}), early), None, false),
            ("the pod was bound, and never started", bare(), pod(&bound, None), None, true),
            ("nothing says that the pod had a copy", bare(), pod(&json!({}), None), None, false),
        ] {
            let answer = Clusters::default().look(|cx| may_be_copy(&found, &virt, last.as_ref(), cx.facts()));
            assert_eq!(answer, may_be, "{what}");
        }
        let claim = |volume: &str| Object::new(json!({"metadata": {"uid": volume}, "spec": {"volumeName": volume}}));
        let is_copy =
            |volume| Clusters::default().look(|cx| may_be_copy(&claim(volume), &claim("pv-1"), None, cx.facts()));
        assert!(is_copy("pv-1") && !is_copy("pv-2"), "a claim holds its volume");
    }
}

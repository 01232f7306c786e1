//! Refusals: an object of the host that does not belong to exactly this virtual object is not written.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tenet_mapper::keys::{CHECKSUM, CLUSTER, HOST_NAME, KIND as OWNER_KIND, MANAGED_BY, NAME, NAMESPACE, PENDING, UID};
use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::rules::{Table, copy, set};
use tenet_mapper::{Effect, HostPatch, MapError, MintTokens, PatchFormat, kinds};

use super::{KIND, PLACE, apply, host_key, owner, planned};

/// Damage of the owner record on a host object: a member of its labels or annotations, and what stands there instead.
type Damage = (&'static str, &'static str, Option<&'static str>);

/// Decision about a host object with that damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Written,
    /// It belongs to an earlier object of the name, whose own reconcile removes it.
    Earlier,
    Foreign,
}

/// UID of the virtual object that had the name earlier. A record with it is whole.
const EARLIER: Damage = ("annotations", UID, Some("earlier"));

const DAMAGES: [(Damage, Verdict); 15] = [
    (("labels", "app", Some("theirs")), Verdict::Written),
    (("annotations", "example.com/note", Some("theirs")), Verdict::Written),
    (EARLIER, Verdict::Earlier),
    (("annotations", UID, Some("changed")), Verdict::Foreign),
    (("annotations", CHECKSUM, Some("aaaaaaaaaaaa")), Verdict::Foreign),
    (("annotations", CHECKSUM, None), Verdict::Foreign),
    (("annotations", UID, None), Verdict::Foreign),
    (("annotations", NAME, Some("b")), Verdict::Foreign),
    (("annotations", NAMESPACE, Some("other")), Verdict::Foreign),
    (("annotations", OWNER_KIND, Some("Pod")), Verdict::Foreign),
    (("annotations", CLUSTER, Some("cluster-2")), Verdict::Foreign),
    (("annotations", HOST_NAME, Some("team-a/copied")), Verdict::Foreign),
    (("labels", MANAGED_BY, Some("vc-2")), Verdict::Foreign),
    (("labels", MANAGED_BY, None), Verdict::Foreign),
    (("labels", NAMESPACE, Some("other")), Verdict::Foreign),
];

/// A copy with the damages.
fn found(damages: &[Damage], is_reservation: bool) -> Value {
    let mut owner = owner();
    if is_reservation {
        owner.uid.clear();
    } else if damages.contains(&EARLIER) {
        "earlier".clone_into(&mut owner.uid);
    }
    let mut found = json!({
        "metadata": {"namespace": PLACE.0, "name": PLACE.1, "uid": "uid", "resourceVersion": "7",
                     "labels": owner.labels("vc-1"), "annotations": owner.annotations(PLACE.0, PLACE.1)},
        "spec": {"size": 0},
    });
    let mut set = |(map, key, value): &Damage| {
        let members = found["metadata"][*map].as_object_mut().expect("a map");
        match value {
            Some(value) => members.insert((*key).to_owned(), json!(value)),
            None => members.remove(*key),
        };
    };
    if is_reservation {
        set(&("annotations", PENDING, Some("1800000000")));
    }
    damages.iter().filter(|&&damage| damage != EARLIER).for_each(&mut set);
    found
}

/// Every effect that writes a host object of the kind.
fn effects(size: u8) -> Vec<Effect> {
    let table = Table::new(&[("", &[set("metadata", ""), copy("spec.size").kept()])]).expect("a table");
    let patch = |format| {
        let (owner, body) = (owner(), json!({"spec": {"size": size}}));
        Effect::PatchHost(HostPatch { kind: KIND, key: host_key(), owner, subresource: None, format, body })
    };
    let (key, owner, desired) = (host_key(), owner(), json!({"metadata": {"annotations": {}}}));
    vec![
        apply(&table, &json!({"spec": {"size": size}})),
        patch(PatchFormat::Merge),
        patch(PatchFormat::Strategic),
        Effect::MintTokens(Box::new(MintTokens {
            key,
            owner,
            desired,
            tokens: Vec::new(),
            files: BTreeMap::new(),
            keys: Vec::new(),
        })),
    ]
}

/// Returns true if a request is refused by the server for every object but the one that was seen.
fn is_bound(write: &Write) -> bool {
    match &write.payload {
        Payload::Json(ops) => {
            ops[0] == json!({"op": "replace", "path": "/metadata/uid", "value": "uid"})
                && ops[1] == json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"})
        }
        Payload::Merge(body) | Payload::Strategic(body) => body["metadata"]["uid"] == "uid",
        Payload::Create { .. } | Payload::Delete(_) => false,
    }
}

proptest! {
    #[test]
    fn only_a_copy_with_exactly_our_record_is_written(
        damages in prop::sample::subsequence(DAMAGES.to_vec(), 0..4),
        is_reservation in any::<bool>(),
        size in 1..4_u8,
    ) {
        // A reservation has no UID, and gets one.
        let (damages, verdicts): (Vec<_>, Vec<_>) =
            damages.into_iter().filter(|((_, key, _), _)| !is_reservation || *key != UID).unzip();
        let expected = verdicts.into_iter().max_by_key(|verdict| *verdict as u8).unwrap_or(Verdict::Written);
        let found = found(&damages, is_reservation);
        for effect in effects(size) {
            let planned = planned(&effect, Some(&found));
            let verdict = match &planned {
                Ok(writes) => {
                    let target = effect.target();
                    prop_assert!(!writes.is_empty(), "{effect:?} changes something");
                    let is_ours = writes.iter().all(|write| write.target == target && is_bound(write));
                    prop_assert!(is_ours, "{:?}", writes);
                    Verdict::Written
                }
                Err(MapError::Conflict(_)) => Verdict::Earlier,
                Err(MapError::Foreign { .. }) => Verdict::Foreign,
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            prop_assert_eq!(verdict, expected, "{:?} on {}", effect, found);
        }
    }
}

#[test]
fn what_is_not_there_is_created_and_not_patched() {
    for effect in effects(1) {
        match planned(&effect, None) {
            Ok(writes) => assert!(matches!(&writes[..], [Write { payload: Payload::Create { .. }, .. }]), "{effect:?}"),
            Err(error) => {
                assert!(matches!((&effect, &error), (Effect::PatchHost(_), MapError::Conflict(_))), "{error}");
            }
        }
    }
    assert_eq!(effects(1)[3].target().kind, kinds::SECRET);
}

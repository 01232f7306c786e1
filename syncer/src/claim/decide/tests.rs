//! Every combination of two halves, as a table.

use tenet_mapper::translate::NameScheme;

use super::*;

const HOST: &str = "uid-host";
const VIRT: &str = "uid-virtual";

fn wiring() -> Wiring {
    Wiring { name: "vc-1".into(), namespace: "team-a".into(), scheme: NameScheme::Tenet }
}

fn half(change: impl FnOnce(&mut Half)) -> Found {
    let identity = Identity { host: HOST.into(), virt: VIRT.into() };
    let mut half = wiring().half(identity, 5, Progress::Bound);
    change(&mut half);
    Found::There(half)
}

fn at(epoch: u64, progress: Progress) -> Found {
    half(|half| (half.epoch, half.progress) = (epoch, progress))
}

/// The verdict as one word and its detail.
fn verdict(host: &Found, virt: &Found, inside: Option<&Inside>) -> String {
    let seen = |uid: &str, half: &Found| Seen { uid: Some(uid.to_owned()), deleting: false, half: half.clone() };
    told(&decide(&wiring(), &seen(HOST, host), &seen(VIRT, virt), inside))
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Agrees => "agrees".into(),
        Verdict::First(_) => "first".into(),
        Verdict::Unfinished(_) => "unfinished".into(),
        Verdict::Differs(Difference::NoNamespace(side)) => format!("no namespace: {side}"),
        Verdict::Differs(Difference::Deleting(side)) => format!("deleting: {side}"),
        Verdict::Differs(Difference::Unreadable(side, _)) => format!("unreadable: {side}"),
        Verdict::Differs(Difference::Other { side, field, .. }) => format!("other {field:?}: {side}"),
        Verdict::Differs(Difference::HalfMissing(side)) => format!("half missing: {side}"),
        Verdict::Differs(Difference::BothMissing(_)) => "both missing".into(),
        Verdict::Differs(Difference::RealCluster(node)) => format!("real cluster: {node}"),
        Verdict::Differs(Difference::Restored { side, .. }) => format!("restored: {side}"),
    }
}

/// The halves that a side may have, with the word of the difference if it is one by itself.
fn halves() -> Vec<(Found, Option<&'static str>)> {
    vec![
        (Found::Missing, None),
        (Found::Unreadable("data.epoch is missing".into()), Some("unreadable")),
        (half(|_| {}), None),
        (half(|half| half.name = "vc-2".into()), Some("other Name")),
        (half(|half| half.namespace = "team-b".into()), Some("other Namespace")),
        (half(|half| half.identity.host = "uid-other".into()), Some("other HostUid")),
        (half(|half| half.identity.virt = "uid-other".into()), Some("other VirtualUid")),
        (half(|half| half.scheme = "vcluster/1".into()), Some("other Scheme")),
        (half(|half| half.identity = Identity { host: VIRT.into(), virt: HOST.into() }), Some("other VirtualUid")),
    ]
}

#[test]
fn only_two_halves_that_agree_permit_writes() {
    for (host, host_differs) in &halves() {
        for (virt, virt_differs) in &halves() {
            for inside in [None, Some(&Inside::default())] {
                let expected = match (host, virt, host_differs, virt_differs) {
                    (_, _, _, Some(word)) => format!("{word}: virtual"),
                    (_, _, Some(word), _) => format!("{word}: host"),
                    (Found::Missing, Found::Missing, ..) if inside.is_some() => "first".into(),
                    (Found::Missing, Found::Missing, ..) => "both missing".into(),
                    (Found::Missing, ..) => "half missing: host".into(),
                    (_, Found::Missing, ..) => "half missing: virtual".into(),
                    _ => "agrees".into(),
                };
                assert_eq!(verdict(host, virt, inside), expected, "{host:?} and {virt:?} with {inside:?}");
            }
        }
    }
}

#[test]
fn a_first_start_finds_nothing_that_was_ever_ours_and_no_nodes_of_others() {
    let some = |text: &str| Some(text.to_owned());
    for (picture, foreign_node, placed_pod, expected) in [
        (None, None, None, "first"),
        (None, some("ip-10-0-0-1"), None, "real cluster: ip-10-0-0-1"),
        (None, some("ip-10-0-0-1"), some("shop/web"), "real cluster: ip-10-0-0-1"),
        (None, None, some("shop/web"), "both missing"),
        (some("node-1"), None, None, "both missing"),
        (some("node-1"), some("by-the-tenant"), some("shop/web"), "both missing"),
    ] {
        let inside = Inside { picture, foreign_node, placed_pod };
        assert_eq!(verdict(&Found::Missing, &Found::Missing, Some(&inside)), expected, "{inside:?}");
        let unfinished = verdict(&at(FIRST_EPOCH, Progress::Pending), &Found::Missing, Some(&inside));
        assert_eq!(unfinished, if expected == "first" { "unfinished" } else { expected }, "{inside:?}");
        // With both halves nodes and pods are the tenant's affair.
        assert_eq!(verdict(&half(|_| {}), &half(|_| {}), Some(&inside)), "agrees", "{inside:?}");
    }
}

#[test]
fn a_crash_between_the_halves_is_resumed_and_a_restored_store_is_not() {
    use Progress::{Bound, Pending};
    for (host, virt, expected) in [
        (at(1, Pending), Found::Missing, "unfinished"),
        (at(1, Pending), at(1, Bound), "unfinished"),
        (at(1, Bound), at(1, Bound), "agrees"),
        // The raise of the epoch: before the virtual half, before the end, at the end.
        (at(6, Pending), at(5, Bound), "agrees"),
        (at(6, Pending), at(6, Bound), "agrees"),
        (at(6, Bound), at(6, Bound), "agrees"),
        // The host half is bound only after the virtual half was raised.
        (at(6, Bound), at(5, Bound), "restored: virtual"),
        (at(9, Bound), at(5, Bound), "restored: virtual"),
        (at(9, Pending), at(5, Bound), "restored: virtual"),
        (at(5, Bound), at(6, Bound), "restored: host"),
        (at(5, Pending), at(6, Bound), "restored: host"),
        (at(1, Bound), at(9, Bound), "restored: host"),
        // Restored to a time before the claim, and a half that was removed.
        (at(5, Bound), Found::Missing, "half missing: virtual"),
        (at(5, Pending), Found::Missing, "half missing: virtual"),
        (Found::Missing, at(5, Bound), "half missing: host"),
    ] {
        assert_eq!(verdict(&host, &virt, Some(&Inside::default())), expected, "{host:?} and {virt:?}");
    }
}

#[test]
fn a_side_without_its_namespace_is_no_side() {
    let there = Seen { uid: Some(HOST.into()), deleting: false, half: Found::Missing };
    let absent = Seen { uid: None, deleting: false, half: Found::Missing };
    assert_eq!(told(&decide(&wiring(), &absent, &there, Some(&Inside::default()))), "no namespace: host");
    assert_eq!(told(&decide(&wiring(), &there, &absent, Some(&Inside::default()))), "no namespace: virtual");
}

#[test]
fn a_namespace_that_is_being_deleted_suspends_a_claim_that_agrees() {
    let seen = |uid: &str, deleting| Seen { uid: Some(uid.into()), deleting, half: half(|_| {}) };
    assert_eq!(told(&decide(&wiring(), &seen(HOST, true), &seen(VIRT, false), None)), "deleting: host");
    assert_eq!(told(&decide(&wiring(), &seen(HOST, false), &seen(VIRT, false), None)), "agrees");
}

#[test]
fn every_difference_names_what_resolves_it() {
    let all = [
        Difference::Unreadable(Side::Host, "data.name is missing".into()),
        Difference::HalfMissing(Side::Host),
        Difference::BothMissing("its node node-1 is ours".into()),
        Difference::RealCluster("node-1".into()),
        Difference::Restored { side: Side::Virtual, host: 9, virt: 3 },
    ];
    for difference in all {
        assert!(difference.remedy().contains("`tenet-syncer claim adopt`"), "{difference}");
    }
    let other = Difference::Other {
        side: Side::Virtual,
        field: Field::Namespace,
        claimed: "team-a".into(),
        found: "team-b".into(),
    };
    assert_eq!(other.to_string(), "the virtual half of the claim is for the host namespace team-a, and this is team-b");
}

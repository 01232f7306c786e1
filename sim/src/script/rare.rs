//! Rare actors: a quota of the host, gates of the tenant, addresses that the tenant writes, events, restored copies.

use super::{Act, Damage, Fault, Moment, Name, PodPlan, Script, What};
use crate::random::Random;

/// Returns directed scripts, with the ideas that they are about.
pub(super) fn directed() -> Vec<(&'static str, Script)> {
    let two_pods = || Script::new(1).pod(500, "default", "a").pod(700, "default", "b");
    let of = |what, name| Name::new(what, "default", name);
    let (pod, service, slice) = (|name| of(What::Pod, name), of(What::Service, "s"), || of(What::Slice, "s"));
    let plan = || PodPlan { grace: 5, ..PodPlan::default() };
    let gated = || {
        let held = PodPlan { is_gated: true, config_map: Some("x".to_owned()), ..plan() };
        Script::new(1).act(500, Act::Pod(pod("a"), held)).act(10_000, Act::Content(of(What::ConfigMap, "x"), 1))
    };
    let away = Fault::Crash(Moment::Poll(1));
    let ready = PodPlan { has_readiness_gate: true, ..plan() };
    let full = || two_pods().pod(900, "default", "c").act(100, Act::Quota(Some(1))).act(30_000, Act::Quota(None));
    let served = |first: Act, second: Act| Script::new(1).act(1_000, first).act(10_000, second);
    let (bare, addresses) = (Act::Selectorless(service.clone(), 1), Act::Slice(slice(), 1));
    vec![
        ("a quota of the host that is full and has room again", full()),
        ("a quota that has room again while no syncer runs", full().fault(25_000, 20_000, away)),
        ("a pod that a scheduling gate holds", gated().act(20_000, Act::Ungate(pod("a")))),
        (
            "a scheduling gate that is removed while no syncer runs",
            gated().fault(15_000, 20_000, away).act(20_000, Act::Ungate(pod("a"))),
        ),
        (
            "a readiness gate",
            Script::new(1)
                .act(500, Act::Pod(pod("a"), ready))
                .act(10_000, Act::Ready(pod("a"), true))
                .act(20_000, Act::Ready(pod("a"), false))
                .act(30_000, Act::Ready(pod("a"), true)),
        ),
        (
            "addresses of a Service without a selector",
            served(bare.clone(), addresses.clone()).act(20_000, Act::Slice(slice(), 2)),
        ),
        (
            "two syncers that write the addresses of one Service",
            served(bare.clone(), addresses.clone())
                .fault(100, 60_000, Fault::Second)
                .act(20_000, Act::Slice(slice(), 2)),
        ),
        ("addresses that are written before their Service", served(addresses, bare)),
        ("an event of the host about a pod", two_pods().act(10_000, Act::Tell(pod("a")))),
        (
            "copies that somebody restores under another name",
            two_pods()
                .act(1_000, Act::Service(service.clone(), 1))
                .act(10_000, Act::Damage(pod("b"), Damage::Clone))
                .act(10_000, Act::Damage(service.clone(), Damage::Clone))
                .act(20_000, Act::Delete(pod("b"), None))
                .act(20_000, Act::Delete(service, None))
                .act(30_000, Act::Service(of(What::Service, "s-restored"), 1))
                .pod(30_000, "default", "b-restored"),
        ),
    ]
}

/// Returns the acts of one rare actor in one of five stories.
pub(super) fn acts(seed: u64, span: u64) -> Vec<(u64, Act)> {
    if seed % 5 != 1 {
        return Vec::new();
    }
    let mut random = Random::of(seed, "rare");
    let pod = Name::new(What::Pod, "default", "r");
    let plan = PodPlan { grace: random.below(20), ..PodPlan::default() };
    let first = random.between(100, span / 3);
    let mut later = || random.between(span / 3, span);
    let (second, third) = (later(), later());
    match random.below(6) {
        0 => vec![(first, Act::Quota(Some(second % 4))), (third, Act::Quota(None))],
        1 => {
            let held = PodPlan { is_gated: true, ..plan };
            vec![(first, Act::Pod(pod.clone(), held)), (second, Act::Ungate(pod))]
        }
        2 => {
            let ready = PodPlan { has_readiness_gate: true, ..plan };
            let says = |at, is_ready| (at, Act::Ready(pod.clone(), is_ready));
            vec![(first, Act::Pod(pod.clone(), ready)), says(second, true), says(third, third.is_multiple_of(2))]
        }
        3 => {
            let (service, slice) = (Name { kind: What::Service, ..pod.clone() }, Name { kind: What::Slice, ..pod });
            let mut acts = vec![
                (first, Act::Selectorless(service.clone(), 1)),
                (random.between(100, span / 3), Act::Slice(slice.clone(), 1)),
                (second, Act::Slice(slice.clone(), 2)),
            ];
            if third > second {
                acts.extend([(third, Act::Delete(slice, None)), (third, Act::Delete(service, None))]);
            }
            acts
        }
        4 => vec![(first, Act::Pod(pod.clone(), plan)), (second, Act::Tell(pod.clone())), (third, Act::Tell(pod))],
        _ => {
            let clone = Act::Damage(pod.clone(), Damage::Clone);
            vec![
                (first, Act::Pod(pod.clone(), plan)),
                (second, clone),
                (second.max(third) + 100, Act::Delete(pod, None)),
            ]
        }
    }
}

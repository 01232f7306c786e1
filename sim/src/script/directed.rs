//! Directed scripts: a short story with the faults of one idea, which random scripts rarely hit.

use super::{Act, Fault, Moment, Name, PodPlan, Script, Side, What, Wiring};

/// Two pods that run when the fault comes.
fn two_pods() -> Script {
    Script::new(1).pod(500, "default", "a").pod(700, "default", "b")
}

fn pod(name: &str) -> Name {
    Name::new(What::Pod, "default", name)
}

/// Returns every directed script, with the idea that it is about.
pub fn directed() -> Vec<(&'static str, Script)> {
    let mut all = Vec::new();
    for write in 1..12 {
        for moment in [Moment::BeforeWrite(write), Moment::AfterWrite(write)] {
            all.push(("a crash at one of the first writes", two_pods().fault(400, 3_000, Fault::Crash(moment))));
        }
    }
    let gone = Act::Delete(pod("a"), None);
    all.push(("two syncers at once", two_pods().fault(100, 60_000, Fault::Second).act(20_000, gone)));
    all.push((
        "a pod that ends while the watches are silent",
        two_pods().fault(10_000, 60_000, Fault::Silence(Side::Host)).act(20_000, Act::Evict(pod("a"))),
    ));
    for wiring in [Wiring::Namespace, Wiring::Swapped, Wiring::Name] {
        all.push(("a wrongly wired syncer", two_pods().fault(20_000, 60_000, Fault::Wrong(wiring))));
    }
    for side in [Side::Host, Side::Virtual] {
        all.push(("a restored store", two_pods().fault(20_000, 0, Fault::Rewind(side, 15_000))));
        all.push(("a replaced store", two_pods().fault(20_000, 0, Fault::Replace(side))));
    }
    all.extend(away());
    all
}

/// Changes while no syncer runs.
fn away() -> Vec<(&'static str, Script)> {
    let crash = Fault::Crash(Moment::Poll(1));
    let away = || two_pods().fault(15_000, 60_000, crash);
    let short = PodPlan { runs: Some(22_000), exit: 1, grace: 5, ..PodPlan::default() };
    let mounts = PodPlan { config_map: Some("x".to_owned()), grace: 5, ..PodPlan::default() };
    let content = |value| Act::Content(Name::new(What::ConfigMap, "default", "x"), value);
    vec![
        ("a host pod that goes while no syncer runs", away().act(20_000, Act::Evict(pod("a")))),
        ("a pod that is deleted while no syncer runs", away().act(20_000, Act::Delete(pod("a"), Some(0)))),
        (
            "a pod that is replaced while no syncer runs",
            away().act(20_000, Act::Delete(pod("a"), Some(0))).pod(21_000, "default", "a"),
        ),
        ("a pod that ends while no syncer runs", away().act(1_000, Act::Pod(pod("c"), short))),
        (
            "content that changes while no syncer runs",
            away().act(100, content(1)).act(1_000, Act::Pod(pod("c"), mounts)).act(30_000, content(2)),
        ),
    ]
}

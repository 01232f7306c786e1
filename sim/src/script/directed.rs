//! Directed scripts: a short story with the faults of one idea, which random scripts rarely hit.

use super::{Act, Damage, Fault, Moment, Name, Planned, PodPlan, Scope, Script, Side, What, Wiring};

/// Two pods that run when the fault comes.
fn two_pods() -> Script {
    Script::new(1).pod(500, "default", "a").pod(700, "default", "b")
}

fn pod(name: &str) -> Name {
    Name::new(What::Pod, "default", name)
}

/// A pod that mounts the ConfigMap `x`.
fn mounting() -> PodPlan {
    PodPlan { config_map: Some("x".to_owned()), grace: 5, ..PodPlan::default() }
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
    // The first one knows an older state than the second, whose lists are newer than the watches.
    let service = |port| Act::Service(Name::new(What::Service, "default", "s"), port);
    all.push((
        "two syncers, one of which knows older originals",
        two_pods()
            .act(1_000, service(1))
            .fault(9_000, 40_000, Fault::Silence(Side::Virtual))
            .act(10_000, Act::Label(pod("a"), 1))
            .act(10_000, service(2))
            .fault(12_000, 30_000, Fault::Second),
    ));
    all.push((
        "two syncers, one of which knows an older node",
        two_pods()
            .fault(9_000, 40_000, Fault::Silence(Side::Host))
            .act(10_000, Act::NodeDown(0))
            .act(10_000, Act::NodeDown(1))
            .fault(12_000, 30_000, Fault::Second)
            .act(50_000, Act::NodeUp(0))
            .act(50_000, Act::NodeUp(1)),
    ));
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
    all.extend(late());
    all.extend(obstacles());
    all.extend(failures());
    all.extend(replicas());
    all.extend(claims());
    all.extend(reservations());
    all.extend(super::rare::directed());
    all
}

/// Claims for volumes, which hold data.
fn claims() -> Vec<(&'static str, Script)> {
    let claim = || Name::new(What::Claim, "default", "data");
    let plan = PodPlan { claim: Some("data".to_owned()), grace: 5, ..PodPlan::default() };
    let mounted = || Script::new(1).act(500, Act::Claim(claim())).act(700, Act::Pod(pod("a"), plan.clone()));
    let both_go =
        |script: Script| script.act(20_000, Act::Delete(pod("a"), None)).act(21_000, Act::Delete(claim(), None));
    let mut all = vec![
        ("a claim that a pod uses", mounted()),
        ("a claim that goes before its pod", mounted().act(20_000, Act::Delete(claim(), None))),
        ("a claim that goes", both_go(mounted())),
        (
            "a claim that goes while no syncer runs",
            both_go(mounted()).fault(15_000, 60_000, Fault::Crash(Moment::Poll(1))),
        ),
        (
            "a syncer that starts with an old list of claims",
            mounted().fault(15_000, 2_000, Fault::Crash(Moment::Poll(1))).fault(
                14_000,
                40_000,
                Fault::Stale(Side::Virtual, 40),
            ),
        ),
        ("two syncers with one claim", both_go(mounted()).fault(100, 60_000, Fault::Second)),
        (
            "a claim whose copy somebody deletes, with its volume",
            Script::new(1).act(500, Act::Claim(claim())).act(20_000, Act::Remove(claim())),
        ),
    ];
    for write in 1..8 {
        let crash = Fault::Crash(Moment::AfterWrite(write));
        all.push(("a crash at one of the writes of a claim", both_go(mounted()).fault(400, 3_000, crash)));
    }
    all
}

/// Services whose addresses are reserved on the host before they are stored.
fn reservations() -> Vec<(&'static str, Script)> {
    let service = || Name::new(What::Service, "default", "s");
    let reserved = |port| Act::Reserved(service(), port);
    let replaced = |seed| {
        let first = Script::new(seed).act(1_000, reserved(1));
        first.act(10_000, Act::Delete(service(), None)).act(12_000, reserved(2))
    };
    let mut all = vec![
        ("a Service that is reserved", Script::new(1).act(1_000, reserved(1)).act(10_000, reserved(2))),
        ("a Service that is replaced", replaced(1)),
        ("a Service that is replaced while no syncer runs", {
            replaced(1).fault(8_000, 20_000, Fault::Crash(Moment::Poll(1)))
        }),
        ("two syncers and a Service that is replaced", replaced(1).fault(100, 60_000, Fault::Second)),
    ];
    for seed in 1..4 {
        all.push((
            "a Service that is replaced, and whose end is told late",
            replaced(seed).fault(9_000, 20_000, Fault::Slow(Side::Virtual, 4_000)),
        ));
        all.push((
            "a Service that is replaced, and whose end is not told",
            replaced(seed).fault(9_990, 1_000, Fault::Swallow(Side::Virtual, 1)).fault(
                11_500,
                20_000,
                Fault::Slow(Side::Virtual, 500),
            ),
        ));
    }
    all
}

/// Two replicas with a lease.
fn replicas() -> Vec<(&'static str, Script)> {
    let both = || two_pods().with_lease();
    vec![
        ("two replicas, nothing happens", both()),
        (
            "the holder of the lease is killed",
            both().fault(15_000, 20_000, Fault::Crash(Moment::Poll(1))).act(16_000, Act::Delete(pod("a"), None)),
        ),
        (
            "the holder of the lease is told to stop",
            both().fault(15_000, 20_000, Fault::Stop).act(16_000, Act::Delete(pod("a"), None)),
        ),
        (
            "the holder of the lease stands still",
            both()
                .fault(15_000, 30_000, Fault::Freeze)
                .act(14_990, Act::Delete(pod("a"), None))
                .act(20_000, Act::Evict(pod("b")))
                .pod(25_000, "default", "c"),
        ),
        (
            "the lease cannot be renewed",
            both()
                .fault(15_000, 20_000, Fault::Drop(Side::Host, 100))
                .act(16_000, Act::Delete(pod("a"), None))
                .pod(20_000, "default", "c"),
        ),
    ]
}

/// Failures that nothing tells of again.
fn failures() -> Vec<(&'static str, Script)> {
    let refused = Fault::Status { side: Side::Host, scope: Scope::Writes, code: 500, retry_after: 0, share: 100 };
    let plan = PodPlan { has_token: true, grace: 5, ..PodPlan::default() };
    let with_token = two_pods().act(1_000, Act::Pod(pod("c"), plan));
    vec![
        ("nothing happens to two pods", two_pods()),
        ("a pod with a token", with_token.act(20_000, Act::Delete(pod("c"), None))),
        (
            "an event of the virtual cluster that is lost",
            two_pods().fault(9_000, 10_000, Fault::Swallow(Side::Virtual, 1)).pod(10_000, "default", "c"),
        ),
        (
            "an event of the host that is lost",
            two_pods().fault(9_000, 30_000, Fault::Swallow(Side::Host, 4)).act(10_000, Act::Evict(pod("a"))),
        ),
        ("a create that fails", two_pods().fault(9_000, 10_000, refused).pod(10_000, "default", "c")),
        (
            "a pod in a cluster that was replaced",
            two_pods().fault(20_000, 0, Fault::Replace(Side::Virtual)).pod(40_000, "default", "c"),
        ),
    ]
}

/// A syncer that knows less than the stores, because what it is told is old or late.
fn late() -> Vec<(&'static str, Script)> {
    let both = || two_pods().fault(15_000, 2_000, Fault::Crash(Moment::Poll(1)));
    let label = |value| Act::Label(pod("a"), value);
    let service = |port| Act::Service(Name::new(What::Service, "default", "s"), port);
    let ends = PodPlan { runs: Some(8_000), grace: 5, ..PodPlan::default() };
    let refused = |from, length| Planned {
        at: from,
        length,
        seed: 1,
        fault: Fault::Status { side: Side::Virtual, scope: Scope::Writes, code: 500, retry_after: 0, share: 100 },
    };
    let mut refused_at_the_end = two_pods().fault(9_000, 60_000, Fault::Slow(Side::Host, 10_000));
    refused_at_the_end.faults.push(refused(18_000, 25_000));
    let mut all = vec![
        (
            "a syncer that starts with an old list of the virtual cluster",
            both().fault(14_000, 40_000, Fault::Stale(Side::Virtual, 40)).fault(
                16_000,
                40_000,
                Fault::Slow(Side::Virtual, 15_000),
            ),
        ),
        (
            "a syncer that starts with an old list of the host",
            both().fault(14_000, 40_000, Fault::Stale(Side::Host, 40)),
        ),
        (
            "a syncer that starts with an old list of the host, and a pod that was just bound",
            Script::new(175)
                .act(0, Act::Namespace("team".to_owned()))
                .fault(5_173, 7_958, Fault::Crash(Moment::BeforeWrite(11)))
                .pod(19_783, "team", "b")
                .fault(24_422, 7_388, Fault::Stale(Side::Host, 10)),
        ),
        (
            "a pod that is not bound yet when somebody deletes its host pod",
            Script::new(1)
                .pod(500, "default", "a")
                .fault(400, 6_000, Fault::Crash(Moment::AfterWrite(10)))
                .act(2_000, Act::Remove(pod("a"))),
        ),
        (
            "a pod whose last states come together",
            two_pods().fault(9_000, 60_000, Fault::Slow(Side::Host, 10_000)).act(10_000, Act::Delete(pod("a"), None)),
        ),
        ("a pod whose final state cannot be told at once", refused_at_the_end.act(10_000, Act::Delete(pod("a"), None))),
        (
            "changes that are told late, after the answer to a write has shown them",
            Script::new(1)
                .act(500, Act::Pod(pod("a"), ends))
                .fault(6_000, 40_000, Fault::Slow(Side::Virtual, 6_000))
                .act(6_500, label(1))
                .act(6_700, label(2)),
        ),
        (
            "a copy that somebody deletes before the write to it is answered",
            two_pods()
                .act(1_000, service(1))
                .fault(9_000, 20_000, Fault::LateAnswer(Side::Host, 6_000, 100))
                .act(10_000, service(2))
                .act(10_500, Act::Remove(Name::new(What::Service, "default", "s"))),
        ),
        (
            "watches that cannot resume",
            two_pods().fault(10_000, 0, Fault::Compact(Side::Virtual)).act(12_000, label(1)),
        ),
        ("watches that cannot resume", two_pods().fault(10_000, 0, Fault::Compact(Side::Host)).act(12_000, label(1))),
        (
            "watches whose resumption is refused",
            two_pods().fault(10_000, 0, Fault::Expire(Side::Virtual)).act(12_000, label(1)),
        ),
        (
            "a pod that goes at the instant from which watches cannot resume",
            two_pods().fault(10_000, 0, Fault::Compact(Side::Virtual)).act(10_000, Act::Delete(pod("a"), Some(0))),
        ),
    ];
    for seed in 1..4 {
        let story = Script::new(seed).pod(500, "default", "a").fault(900, 40_000, Fault::Slow(Side::Virtual, 6_000));
        all.push((
            "changes that are told late, after the start of a pod",
            story.act(950, label(1)).act(1_000, label(2)),
        ));
    }
    for seed in 1..5 {
        let story = Script::new(seed).pod(500, "default", "a").act(10_000, Act::Delete(pod("a"), Some(0)));
        let story = ["b", "c"].into_iter().fold(story, |story, name| story.pod(9_600, "default", name));
        all.push(("a node whose pods are told late", story.fault(9_000, 30_000, Fault::Slow(Side::Host, 4_000))));
    }
    all
}

/// Objects of others where ours should be.
fn obstacles() -> Vec<(&'static str, Script)> {
    let service = Name::new(What::Service, "default", "s");
    let content = Name::new(What::ConfigMap, "default", "x");
    vec![
        ("a name that is taken on the host", two_pods().act(100, Act::Foreign(pod("a")))),
        (
            "a name of a Service that is taken on the host",
            two_pods().act(100, Act::Foreign(service.clone())).act(1_000, Act::Service(service.clone(), 1)),
        ),
        (
            "copies that lose their owner record",
            two_pods()
                .act(1_000, Act::Service(service.clone(), 1))
                .act(10_000, Act::Damage(service.clone(), Damage::Record))
                .act(10_000, Act::Damage(pod("b"), Damage::Record))
                .act(12_000, Act::Service(service, 2))
                .act(20_000, Act::Label(pod("b"), 1)),
        ),
        (
            "a copy that loses every mark before its original is deleted",
            two_pods().act(10_000, Act::Damage(pod("b"), Damage::Bare)).act(20_000, Act::Delete(pod("b"), None)),
        ),
        (
            "a copy that loses every mark while no syncer runs",
            two_pods()
                .fault(15_000, 30_000, Fault::Crash(Moment::Poll(1)))
                .act(20_000, Act::Damage(pod("b"), Damage::Bare))
                .act(25_000, Act::Delete(pod("b"), None)),
        ),
        (
            "a name of a ConfigMap that is taken on the host",
            two_pods()
                .act(100, Act::Foreign(content.clone()))
                .act(200, Act::Content(content, 1))
                .act(1_000, Act::Pod(pod("c"), mounting())),
        ),
        (
            "a node that fails",
            two_pods()
                .act(10_000, Act::NodeDown(0))
                .act(20_000, Act::NodeUp(0))
                .act(30_000, Act::NodeDown(1))
                .act(40_000, Act::NodeUp(1)),
        ),
    ]
}

/// Changes while no syncer runs.
fn away() -> Vec<(&'static str, Script)> {
    let crash = Fault::Crash(Moment::Poll(1));
    let away = || two_pods().fault(15_000, 60_000, crash);
    let short = PodPlan { runs: Some(22_000), exit: 1, grace: 5, ..PodPlan::default() };
    let content = |value| Act::Content(Name::new(What::ConfigMap, "default", "x"), value);
    vec![
        ("a host pod that goes while no syncer runs", away().act(20_000, Act::Evict(pod("a")))),
        (
            "a host pod whose name is taken by another while no syncer runs",
            away().act(20_000, Act::Evict(pod("a"))).act(40_000, Act::Foreign(pod("a"))),
        ),
        (
            "a pod that is deleted, and the name of its host pod taken, while no syncer runs",
            away()
                .act(20_000, Act::Delete(pod("a"), None))
                .act(21_000, Act::Evict(pod("a")))
                .act(40_000, Act::Foreign(pod("a"))),
        ),
        ("a pod that is deleted while no syncer runs", away().act(20_000, Act::Delete(pod("a"), Some(0)))),
        (
            "a pod that is replaced while no syncer runs",
            away().act(20_000, Act::Delete(pod("a"), Some(0))).pod(21_000, "default", "a"),
        ),
        ("a pod that ends while no syncer runs", away().act(1_000, Act::Pod(pod("c"), short))),
        (
            "content that changes while no syncer runs",
            away().act(100, content(1)).act(1_000, Act::Pod(pod("c"), mounting())).act(30_000, content(2)),
        ),
        (
            "content that changes for a host pod that has lost its owner record",
            away()
                .act(100, content(1))
                .act(1_000, Act::Pod(pod("c"), mounting()))
                .act(20_000, Act::Damage(pod("c"), Damage::Record))
                .act(30_000, content(2)),
        ),
    ]
}

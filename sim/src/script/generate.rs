//! Scripts from a seed.

use super::rare;
use super::{Act, Damage, Fault, Moment, Name, Planned, PodPlan, Scope, Script, Side, Step, What, Wiring};
use crate::random::Random;

/// Milliseconds in which the tenant acts.
const SPAN: u64 = 60_000;
const NAMESPACES: [&str; 2] = ["default", "team"];
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Number of nodes of the host.
pub(crate) const NODES: u64 = 2;

/// Number of seeds in a row that share what the tenant does, with other faults.
pub const SEEDS_OF_STORY: u64 = 8;

/// Returns the script of a seed.
pub fn generate(seed: u64) -> Script {
    let mut script = story(seed / SEEDS_OF_STORY);
    script.seed = seed;
    let mut random = Random::of(seed, "faults");
    for _ in 0..random.between(1, 6) {
        script.faults.push(fault(&mut random));
    }
    let mut random = Random::of(seed, "freeze");
    if random.chance(if script.has_lease { 50 } else { 5 }) {
        let (at, length) = (random.between(5_000, SPAN), random.between(100, 40_000));
        script.faults.push(Planned { at, length, seed: 0, fault: Fault::Freeze });
    }
    let mut random = Random::of(seed, "late answers");
    if random.chance(10) {
        script.faults.push(late_answers(&mut random));
    }
    script.faults.sort_by_key(|planned| planned.at);
    script
}

fn late_answers(random: &mut Random) -> Planned {
    let side = if random.chance(50) { Side::Host } else { Side::Virtual };
    let fault = Fault::LateAnswer(side, random.between(100, 8_000), *random.pick(&[20, 50, 100]).unwrap_or(&50));
    Planned { at: random.between(0, SPAN), length: random.between(1_000, 40_000), seed: random.draw(), fault }
}

/// Returns the acts of a story, without faults.
pub fn story(seed: u64) -> Script {
    let mut random = Random::of(seed, "story");
    let has_lease = Random::of(seed, "lease").chance(10);
    let mut script = Script { mutates: random.chance(25), has_lease, ..Script::new(seed) };
    let mut act = |at: u64, act: Act| script.steps.push(Step { at, act });
    act(0, Act::Namespace("team".to_owned()));
    for namespace in NAMESPACES {
        for name in ["x", "y"] {
            act(50, Act::Content(Name::new(What::ConfigMap, namespace, name), 0));
            act(50, Act::Content(Name::new(What::Secret, namespace, name), 0));
        }
    }
    for _ in 0..random.between(4, 14) {
        let at = random.between(100, SPAN);
        act(at, tenant(&mut random));
    }
    for _ in 0..random.below(4) {
        let at = random.between(5_000, SPAN);
        for (delay, what) in host(&mut random) {
            act(at + delay, what);
        }
    }
    if let Some((at, what)) = obstacles(seed) {
        act(at, what);
    }
    for (at, what) in claims(seed).into_iter().chain(rare::acts(seed, SPAN)) {
        act(at, what);
    }
    if random.chance(20) {
        let at = random.between(20_000, SPAN);
        let is_between = |step: &Step| (at..at + 20_000).contains(&step.at);
        let is_inside = |step: &Step| step.act.name().is_some_and(|name| name.namespace == "team");
        // Without a namespace, the result of an act would depend on how fast it goes.
        script.steps.retain(|step| !is_between(step) || !is_inside(step));
        let mut act = |at: u64, act: Act| script.steps.push(Step { at, act });
        act(at, Act::DropNamespace("team".to_owned()));
        act(at + 20_000, Act::Namespace("team".to_owned()));
        for name in ["x", "y"] {
            act(at + 20_000, Act::Content(Name::new(What::ConfigMap, "team", name), 0));
            act(at + 20_000, Act::Content(Name::new(What::Secret, "team", name), 0));
        }
    }
    if Random::of(seed, "webhook").chance(40) {
        script.steps.iter_mut().for_each(|step| reserve(&mut step.act));
    }
    script.steps.sort_by_key(|step| step.at);
    script
}

/// Lets the webhook reserve the address of a Service.
fn reserve(act: &mut Act) {
    if let Act::Service(name, port) = act {
        *act = Act::Reserved(name.clone(), *port);
    }
}

fn text(random: &mut Random, items: &[&str]) -> String {
    random.pick(items).copied().unwrap_or_default().to_owned()
}

fn name(random: &mut Random, kind: What) -> Name {
    let (namespace, name) = (text(random, &NAMESPACES), text(random, &NAMES));
    Name { kind, namespace, name }
}

fn content(random: &mut Random) -> Name {
    let kind = if random.chance(50) { What::ConfigMap } else { What::Secret };
    Name { kind, namespace: text(random, &NAMESPACES), name: text(random, &["x", "y"]) }
}

fn plan(random: &mut Random) -> PodPlan {
    PodPlan {
        config_map: random.chance(40).then(|| text(random, &["x", "y"])),
        secret: random.chance(40).then(|| text(random, &["x", "y"])),
        claim: None,
        runs: None,
        exit: 0,
        grace: random.below(20),
        has_token: random.chance(40),
        ..PodPlan::default()
    }
}

fn tenant(random: &mut Random) -> Act {
    match random.below(20) {
        0..=5 => {
            let plan = plan(random);
            let runs = random.chance(30).then(|| random.between(500, 15_000));
            Act::Pod(name(random, What::Pod), PodPlan { runs, exit: random.below(2), ..plan })
        }
        6..=8 => {
            let grace = random.chance(40).then(|| random.below(10));
            Act::Delete(name(random, What::Pod), grace)
        }
        9 => Act::Label(name(random, What::Pod), random.below(5)),
        10..=11 => Act::Workload(name(random, What::ReplicaSet), random.between(1, 3), plan(random)),
        12 => Act::Scale(name(random, What::ReplicaSet), random.below(4)),
        13 => Act::Delete(name(random, What::ReplicaSet), None),
        14 => {
            let plan = plan(random);
            let runs = Some(random.between(1_000, 15_000));
            Act::Workload(name(random, What::Job), 1, PodPlan { runs, ..plan })
        }
        15..=16 => Act::Content(content(random), random.between(1, 9)),
        17..=18 => Act::Service(name(random, What::Service), random.between(1, 9)),
        _ => Act::Delete(name(random, What::Service), None),
    }
}

/// Acts on the host, each with a delay.
fn host(random: &mut Random) -> Vec<(u64, Act)> {
    let kind =
        *random.pick(&[What::Pod, What::Pod, What::ConfigMap, What::Secret, What::Service]).unwrap_or(&What::Pod);
    let target = match kind {
        What::ConfigMap | What::Secret => content(random),
        _ => name(random, kind),
    };
    match random.below(6) {
        0 | 1 => vec![(0, Act::Remove(target))],
        2 => vec![(0, Act::Evict(name(random, What::Pod)))],
        3 => {
            let node = usize::try_from(random.below(NODES)).unwrap_or(0);
            vec![(0, Act::NodeDown(node)), (random.between(5_000, 90_000), Act::NodeUp(node))]
        }
        4 => vec![(0, Act::Foreign(target.clone())), (random.between(1_000, 30_000), Act::DropForeign(target))],
        _ => {
            let damage = [Damage::Content, Damage::Mark, Damage::Owner];
            vec![(0, Act::Damage(target, *random.pick(&damage).unwrap_or(&Damage::Content)))]
        }
    }
}

/// Claims for volumes, with pods that use them.
fn claims(seed: u64) -> Vec<(u64, Act)> {
    let mut random = Random::of(seed, "claims");
    let mut acts = Vec::new();
    if !random.chance(12) {
        return acts;
    }
    let namespace = text(&mut random, &NAMESPACES);
    let claim = |name: &str| Name::new(What::Claim, &namespace, name);
    for name in ["data", "logs"] {
        acts.push((random.between(100, SPAN / 3), Act::Claim(claim(name))));
    }
    for name in ["v", "w"] {
        let pod = Name::new(What::Pod, &namespace, name);
        let plan = PodPlan { claim: Some(text(&mut random, &["data", "logs"])), ..plan(&mut random) };
        acts.push((random.between(100, SPAN / 2), Act::Pod(pod.clone(), plan)));
        if random.chance(50) {
            acts.push((random.between(SPAN / 2, SPAN), Act::Delete(pod, None)));
        }
    }
    if random.chance(60) {
        acts.push((random.between(SPAN / 3, SPAN), Act::Delete(claim("data"), None)));
    }
    acts
}

/// Names that stay taken on the host, and copies that lose their owner record.
fn obstacles(seed: u64) -> Option<(u64, Act)> {
    let mut random = Random::of(seed, "obstacles");
    let at = random.between(1_000, SPAN);
    let kind = if random.chance(60) { What::Pod } else { What::Service };
    let target = name(&mut random, kind);
    match random.below(20) {
        0 => Some((at, Act::Foreign(target))),
        1 => Some((at, Act::Damage(target, Damage::Record))),
        _ => None,
    }
}

fn fault(random: &mut Random) -> Planned {
    let side = if random.chance(50) { Side::Host } else { Side::Virtual };
    let share = *random.pick(&[5, 20, 50, 100]).unwrap_or(&20);
    let (most, what) = match random.below(30) {
        0..=1 => (10_000, Fault::Crash(Moment::Poll(random.between(1, 400)))),
        2..=3 => (10_000, Fault::Crash(Moment::BeforeWrite(random.between(1, 12)))),
        4..=6 => (10_000, Fault::Crash(Moment::AfterWrite(random.between(1, 12)))),
        7 => (10_000, Fault::Crash(Moment::Request(random.between(1, 40)))),
        8 => (10_000, Fault::Stop),
        9..=11 => (40_000, status(random, side, share)),
        12 => (40_000, Fault::Drop(side, share)),
        13..=14 => (40_000, Fault::LostAnswer(side, share)),
        15 => (40_000, Fault::Hang(side, share)),
        16 => (40_000, Fault::HangAnswer(side, share)),
        17 => (40_000, Fault::Twice(side, share)),
        18 => (40_000, Fault::Late(side, random.between(100, 30_000), share)),
        19 => (0, Fault::Cut(side)),
        20 => (60_000, Fault::Silence(side)),
        21 => (60_000, Fault::Slow(side, random.between(100, 20_000))),
        22 => (40_000, Fault::Swallow(side, random.between(1, 4))),
        23 => (40_000, Fault::Stale(side, random.between(1, 40))),
        24 => (0, Fault::Compact(side)),
        25 => (0, Fault::Rewind(side, random.between(1_000, 30_000))),
        26 => (0, Fault::Replace(side)),
        27..=28 => (60_000, Fault::Second),
        _ => {
            let wiring = [Wiring::Namespace, Wiring::Swapped, Wiring::Name];
            (40_000, Fault::Wrong(*random.pick(&wiring).unwrap_or(&Wiring::Namespace)))
        }
    };
    let length = if most == 0 { 0 } else { random.between(100, most) };
    // The first syncer to start makes the claim, so a wrong one comes later.
    let earliest = if matches!(what, Fault::Wrong(_)) { SPAN / 3 } else { 0 };
    Planned { at: random.between(earliest, SPAN), length, seed: random.draw(), fault: what }
}

fn status(random: &mut Random, side: Side, share: u64) -> Fault {
    let scopes = [Scope::All, Scope::All, Scope::Writes, Scope::Reads, Scope::Lists, Scope::Watches];
    let scope = *random.pick(&scopes).unwrap_or(&Scope::All);
    let code = match scope {
        Scope::Lists | Scope::Watches => *random.pick(&[401, 403, 404, 410, 429, 500, 503]).unwrap_or(&500),
        _ => *random.pick(&[429, 429, 500, 502, 503, 504]).unwrap_or(&500),
    };
    let retry_after = if code == 429 { u32::try_from(random.below(20)).unwrap_or(0) } else { 0 };
    Fault::Status { side, scope, code, retry_after, share }
}

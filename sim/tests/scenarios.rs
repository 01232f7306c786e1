//! Directed scenarios: a short script with the faults of one idea.

use tenet_sim::campaign::keeps_every_promise;
use tenet_sim::script::{Act, Fault, Moment, Name, Script, Side, What, Wiring};

/// Two pods that run when the fault comes.
fn two_pods() -> Script {
    Script::new(1).pod(500, "default", "a").pod(700, "default", "b")
}

#[test]
fn a_crash_at_any_of_the_first_writes_changes_nothing() {
    for write in 1..12 {
        for moment in [Moment::BeforeWrite(write), Moment::AfterWrite(write)] {
            keeps_every_promise(&two_pods().fault(400, 3_000, Fault::Crash(moment)));
        }
    }
}

#[test]
fn two_syncers_at_once_lose_nothing() {
    let gone = Act::Delete(Name::new(What::Pod, "default", "a"), None);
    keeps_every_promise(&two_pods().fault(100, 60_000, Fault::Second).act(20_000, gone));
}

#[test]
fn a_pod_that_ends_while_watches_are_silent_is_followed() {
    let gone = Act::Evict(Name::new(What::Pod, "default", "a"));
    keeps_every_promise(&two_pods().fault(10_000, 60_000, Fault::Silence(Side::Host)).act(20_000, gone));
}

#[test]
fn a_wrongly_wired_syncer_writes_nothing() {
    for wiring in [Wiring::Namespace, Wiring::Swapped, Wiring::Name] {
        keeps_every_promise(&two_pods().fault(20_000, 60_000, Fault::Wrong(wiring)));
    }
}

#[test]
fn a_restored_or_replaced_store_loses_nothing() {
    for side in [Side::Host, Side::Virtual] {
        keeps_every_promise(&two_pods().fault(20_000, 0, Fault::Rewind(side, 15_000)));
        keeps_every_promise(&two_pods().fault(20_000, 0, Fault::Replace(side)));
    }
}

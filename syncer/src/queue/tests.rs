use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use tenet_mapper::{MapperId, VirtualKey};

use super::state::{Again, Key, Lane, State};

fn key(namespace: &str, name: &str) -> Key {
    Key { mapper: MapperId::new("pod"), object: VirtualKey::new(namespace, name) }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn order(state: &mut State) -> Vec<String> {
    std::iter::from_fn(|| state.pop(at(0))).map(|ticket| ticket.key.object.to_string()).collect()
}

#[test]
fn a_key_stands_in_the_queue_once() {
    let mut state = State::new(usize::MAX);
    state.add(key("a", "x"), Lane::Change, at(0));
    state.add(key("a", "x"), Lane::Change, at(1));
    assert_eq!(order(&mut state), ["a/x"]);
}

#[test]
fn namespaces_take_turns() {
    let mut state = State::new(usize::MAX);
    for name in ["1", "2", "3"] {
        state.add(key("loud", name), Lane::Change, at(0));
    }
    state.add(key("quiet", "1"), Lane::Change, at(0));
    assert_eq!(order(&mut state), ["loud/1", "quiet/1", "loud/2", "loud/3"]);
}

#[test]
fn urgent_keys_come_first_but_no_lane_starves() {
    let mut state = State::new(usize::MAX);
    state.add(key("a", "patrol"), Lane::Patrol, at(0));
    state.add(key("a", "change"), Lane::Change, at(0));
    for i in 0..40 {
        state.add(key("a", &format!("urgent-{i}")), Lane::Urgent, at(0));
    }
    let order = order(&mut state);
    assert_eq!(order[0], "a/urgent-0");
    assert!(order.iter().position(|k| k == "a/change").unwrap() < 20);
    assert!(order.iter().position(|k| k == "a/patrol").unwrap() < 25);
}

#[test]
fn an_urgent_event_moves_a_queued_key_forward() {
    let mut state = State::new(usize::MAX);
    state.add(key("a", "1"), Lane::Change, at(0));
    state.add(key("a", "2"), Lane::Change, at(0));
    state.add(key("a", "2"), Lane::Urgent, at(0));
    assert_eq!(order(&mut state), ["a/2", "a/1"]);
}

#[test]
fn an_event_during_work_brings_the_key_back_after_it() {
    let mut state = State::new(usize::MAX);
    state.add(key("a", "x"), Lane::Change, at(0));
    let ticket = state.pop(at(0)).unwrap();
    state.add(key("a", "x"), Lane::Change, at(1));
    assert_eq!(state.pop(at(1)), None, "never twice at once");
    state.done(&ticket.key, Again::No, at(2));
    assert_eq!(state.pop(at(2)).unwrap().since, at(1));
}

#[test]
fn changes_of_a_key_that_settles_are_one_reconcile() {
    let mut state = State::new(usize::MAX);
    state.settle(MapperId::new("pod"), Duration::from_millis(500));
    for now in [0, 100, 499] {
        state.add(key("a", "x"), Lane::Change, at(now));
        assert_eq!(state.pop(at(now)), None, "{now}");
    }
    let ticket = state.pop(at(500)).unwrap();
    state.add(key("a", "x"), Lane::Urgent, at(510));
    state.done(&ticket.key, Again::No, at(520));
    state.add(key("a", "x"), Lane::Change, at(600));
    assert_eq!(state.pop(at(1019)), None, "a change during the reconcile settles, too");
    let ticket = state.pop(at(1020)).unwrap();
    state.done(&ticket.key, Again::No, at(1021));
    assert_eq!(state.len(), 0);
}

#[test]
fn a_failed_key_waits_and_is_hurried_once() {
    let mut state = State::new(usize::MAX);
    state.add(key("a", "x"), Lane::Change, at(0));
    let ticket = state.pop(at(0)).unwrap();
    state.done(&ticket.key, Again::Failed(at(100)), at(0));
    assert_eq!(state.pop(at(50)), None);
    state.add(key("a", "x"), Lane::Change, at(60));
    let again = state.pop(at(60)).unwrap();
    assert_eq!(again.failures, 1, "a change cuts the wait short, and is no failure");
    state.done(&again.key, Again::Failed(at(200)), at(60));
    assert_eq!(state.next_timer(), Some(at(260)));
    assert_eq!(state.pop(at(260)).unwrap().failures, 2);
}

#[test]
fn a_rest_is_ended_by_a_change() {
    let mut state = State::new(usize::MAX);
    state.add(key("a", "x"), Lane::Change, at(0));
    let ticket = state.pop(at(0)).unwrap();
    state.done(&ticket.key, Again::After(at(1000)), at(0));
    assert_eq!(state.pop(at(10)), None);
    state.add(key("a", "x"), Lane::Urgent, at(20));
    assert!(state.pop(at(20)).is_some());
    assert_eq!(state.next_timer(), None);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, u8),
    Pop,
    Done(u8, u8),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..12u8, 0..3u8).prop_map(|(k, l)| Step::Add(k, l)),
        Just(Step::Pop),
        (0..8u8, 0..3u8).prop_map(|(i, result)| Step::Done(i, result)),
        (0..500u16).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Against a naive model: every add is followed by a pop of that key that starts
    /// after it, and no key is out twice.
    #[test]
    fn no_event_is_lost_and_no_key_runs_twice(steps in prop::collection::vec(step(), 1..200)) {
        let mut state = State::new(3);
        let mut now = 0u64;
        let mut running: Vec<Key> = Vec::new();
        let mut owed: HashSet<Key> = HashSet::new();
        for step in steps {
            match step {
                Step::Add(k, l) => {
                    let key = key(if k % 2 == 0 { "a" } else { "b" }, &k.to_string());
                    let lane = [Lane::Urgent, Lane::Change, Lane::Patrol][usize::from(l)];
                    owed.insert(key.clone());
                    state.add(key, lane, at(now));
                }
                Step::Pop => if let Some(ticket) = state.pop(at(now)) {
                    prop_assert!(!running.contains(&ticket.key));
                    owed.remove(&ticket.key);
                    running.push(ticket.key);
                },
                Step::Done(i, result) if !running.is_empty() => {
                    let key = running.remove(usize::from(i) % running.len());
                    let again = [Again::No, Again::Failed(at(50)), Again::Full("q".into())][usize::from(result)].clone();
                    state.done(&key, again, at(now));
                }
                Step::Done(..) => {}
                Step::Pass(millis) => now += u64::from(millis),
            }
        }
        for key in running.drain(..) {
            state.done(&key, Again::No, at(now));
        }
        for _ in 0..20 {
            now += 1_000_000;
            while let Some(ticket) = state.pop(at(now)) {
                owed.remove(&ticket.key);
                state.done(&ticket.key, Again::No, at(now));
            }
        }
        prop_assert!(owed.is_empty(), "lost: {owed:?}");
        prop_assert!(state.next_timer().is_none());
    }
}

/// The queue without times, written with walks over plain lists.
#[derive(Default)]
struct Naive {
    lanes: [VecDeque<(String, VecDeque<Key>)>; 3],
    credits: [u32; 3],
    running: Vec<(Key, Option<Lane>)>,
}

impl Naive {
    fn add(&mut self, key: Key, lane: Lane) {
        if let Some((_, dirty)) = self.running.iter_mut().find(|(other, _)| *other == key) {
            *dirty = Some(dirty.map_or(lane, |old| old.min(lane)));
            return;
        }
        let queued = self.lanes.iter().position(|namespaces| namespaces.iter().any(|(_, keys)| keys.contains(&key)));
        match queued {
            Some(old) if old <= lane as usize => return,
            Some(old) => {
                self.lanes[old].iter_mut().for_each(|(_, keys)| keys.retain(|other| *other != key));
                self.lanes[old].retain(|(_, keys)| !keys.is_empty());
            }
            None => {}
        }
        let namespaces = &mut self.lanes[lane as usize];
        match namespaces.iter_mut().find(|(name, _)| name == key.object.namespace()) {
            Some((_, keys)) => keys.push_back(key),
            None => namespaces.push_back((key.object.namespace().to_owned(), VecDeque::from([key]))),
        }
    }

    fn pop(&mut self) -> Option<(Key, Lane)> {
        if self.lanes.iter().all(VecDeque::is_empty) {
            self.credits = [16, 4, 1];
            return None;
        }
        let lane = loop {
            match (0..3).find(|lane| !self.lanes[*lane].is_empty() && self.credits[*lane] > 0) {
                Some(lane) => break lane,
                None => self.credits = [16, 4, 1],
            }
        };
        self.credits[lane] -= 1;
        let (namespace, mut keys) = self.lanes[lane].pop_front()?;
        let key = keys.pop_front()?;
        if !keys.is_empty() {
            self.lanes[lane].push_back((namespace, keys));
        }
        self.running.push((key.clone(), None));
        Some((key, [Lane::Urgent, Lane::Change, Lane::Patrol][lane]))
    }

    fn done(&mut self, index: usize) -> Key {
        let (key, dirty) = self.running.remove(index);
        if let Some(lane) = dirty {
            self.add(key.clone(), lane);
        }
        key
    }
}

proptest! {
    /// Promotions, turns and shares as the naive queue has them, in the same order.
    #[test]
    fn keys_come_in_the_order_of_the_naive_queue(
        steps in prop::collection::vec((0..10u8, 0..24u8, 0..3usize), 1..400),
    ) {
        let (mut state, mut naive) = (State::new(usize::MAX), Naive::default());
        for (step, number, lane) in steps {
            match step {
                0..6 => {
                    let key = key(["a", "b", "c"][usize::from(number % 3)], &number.to_string());
                    let lane = [Lane::Urgent, Lane::Change, Lane::Patrol][lane];
                    state.add(key.clone(), lane, at(0));
                    naive.add(key, lane);
                }
                6..9 => {
                    let popped = state.pop(at(0)).map(|ticket| (ticket.key, ticket.lane));
                    prop_assert_eq!(popped, naive.pop());
                }
                _ if !naive.running.is_empty() => {
                    let key = naive.done(usize::from(number) % naive.running.len());
                    state.done(&key, Again::No, at(0));
                }
                _ => {}
            }
        }
        let queued: usize = naive.lanes.iter().flatten().map(|(_, keys)| keys.len()).sum();
        prop_assert_eq!(state.depth().values().sum::<usize>(), queued);
        while let Some(popped) = naive.pop() {
            prop_assert_eq!(state.pop(at(0)).map(|ticket| (ticket.key, ticket.lane)), Some(popped));
        }
        prop_assert_eq!(state.pop(at(0)), None);
    }
}

fn of(mapper: &'static str, name: &str) -> Key {
    Key { mapper: MapperId::new(mapper), object: VirtualKey::new("a", name) }
}

#[test]
fn slow_keys_of_one_mapper_leave_the_others_their_turn() {
    let mut state = State::new(2);
    for name in ["1", "2", "3", "4"] {
        state.add(of("pod", name), Lane::Urgent, at(0));
    }
    state.add(of("service", "1"), Lane::Change, at(0));
    assert_eq!(order(&mut state), ["a/1", "a/2", "a/1"], "two pods, and the service");
    state.done(&of("pod", "1"), Again::No, at(1));
    assert_eq!(order(&mut state), ["a/3"]);
}

#[test]
fn a_change_during_a_failing_reconcile_shortens_its_wait() {
    let mut state = State::new(1);
    state.add(of("pod", "1"), Lane::Change, at(0));
    let ticket = state.pop(at(0)).unwrap();
    state.add(of("pod", "1"), Lane::Change, at(1));
    state.done(&ticket.key, Again::Failed(at(60_000)), at(2));
    assert_eq!(state.next_timer(), Some(at(1002)));
    state.add(of("pod", "1"), Lane::Change, at(3));
    assert_eq!(state.next_timer(), Some(at(1002)), "it was shortened already");
}

#[test]
fn one_key_probes_a_full_quota_and_room_spreads() {
    let mut state = State::new(usize::MAX);
    let full = || Again::Full("compute".into());
    for name in ["1", "2", "3", "4", "5"] {
        state.add(of("pod", name), Lane::Change, at(0));
        let ticket = state.pop(at(0)).unwrap();
        state.done(&ticket.key, full(), at(0));
    }
    assert_eq!(state.pop(at(4999)), None);
    let probe = state.pop(at(5000)).unwrap();
    assert_eq!((probe.key.object.name(), probe.failures), ("1", 1));
    assert_eq!(state.pop(at(5000)), None, "one at a time");
    state.done(&probe.key, full(), at(5001));
    let probe = state.pop(at(10_000)).unwrap();
    assert_eq!(probe.key.object.name(), "2", "they take turns");
    state.done(&probe.key, Again::No, at(10_001));
    assert_eq!(order_at(&mut state, 10_001), ["a/3", "a/4"]);
    state.done(&of("pod", "3"), Again::No, at(10_002));
    assert_eq!(order_at(&mut state, 10_002), ["a/5", "a/1"]);
    for name in ["4", "5", "1"] {
        state.done(&of("pod", name), Again::No, at(10_003));
    }
    assert_eq!(state.next_timer(), None);
}

#[test]
fn a_change_takes_a_key_out_of_the_line_of_a_quota() {
    let mut state = State::new(usize::MAX);
    state.add(of("pod", "1"), Lane::Change, at(0));
    let ticket = state.pop(at(0)).unwrap();
    state.done(&ticket.key, Again::Full("compute".into()), at(0));
    state.add(of("pod", "1"), Lane::Patrol, at(1));
    assert_eq!(state.pop(at(1)), None, "the patrol is no change");
    state.add(of("pod", "1"), Lane::Urgent, at(2));
    let ticket = state.pop(at(2)).unwrap();
    state.done(&ticket.key, Again::No, at(3));
    assert_eq!(state.next_timer(), None);
}

fn order_at(state: &mut State, now: u64) -> Vec<String> {
    std::iter::from_fn(|| state.pop(at(now))).map(|ticket| ticket.key.object.to_string()).collect()
}

#[test]
fn the_keys_of_a_mapper_that_stops_are_dropped_except_those_at_work() {
    let mut state = State::new(usize::MAX);
    let other = Key { mapper: MapperId::new("node"), object: VirtualKey::new("", "other") };
    for name in ["at-work", "failed", "full"] {
        state.add(key("a", name), Lane::Urgent, at(0));
    }
    let taken: Vec<_> = std::iter::from_fn(|| state.pop(at(0))).map(|ticket| ticket.key).collect();
    assert_eq!(taken.len(), 3);
    state.done(&key("a", "failed"), Again::Failed(at(60_000)), at(0));
    state.done(&key("a", "full"), Again::Full("quota".into()), at(0));
    state.add(key("a", "queued"), Lane::Change, at(0));
    state.add(key("a", "at-work"), Lane::Change, at(0));
    state.add(other.clone(), Lane::Change, at(0));
    state.drop_keys(MapperId::new("pod"));
    assert_eq!((state.len(), state.next_timer()), (2, None), "one at work, and that of the other mapper");
    assert_eq!(state.pop(at(120_000)).map(|ticket| ticket.key), Some(other));
    state.done(&key("a", "at-work"), Again::No, at(0));
    assert_eq!((state.len(), state.pop(at(120_000))), (1, None));
    state.add(key("a", "queued"), Lane::Change, at(120_000));
    assert_eq!(order(&mut state), ["a/queued"], "it starts anew");
}

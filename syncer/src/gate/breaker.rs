//! Breaker: paces or stops deletes because of absence while unusually many of one kind are asked for.
//!
//! A wrong line of configuration or a restored store shows as many absences at once. Where the claim of both sides
//! agrees, an absence that a quorum read has proved is evidence: the deletes are spread over time, and an alarm
//! says so. Otherwise the kind stops until a person decides. Pure state: it has no clock.

mod pass;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tenet_mapper::{Kind, Side};
use tokio::time::Instant;

pub(super) use pass::Breakers;

/// Time over which deletes are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Number of deletes in [`WINDOW`] that is never unusual.
const FLOOR: usize = 10;
/// One of this many objects may go in [`WINDOW`].
const SHARE: usize = 5;

/// Time after which a stopped delete that is no longer asked for is forgotten. The engine asks every 30 seconds.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Kind of object on one side.
pub type Subject = (Side, Kind);

/// State of one subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Deletes pass.
    #[default]
    Closed,
    /// Deletes are spread over time.
    Pacing,
    /// Nothing is deleted for absence.
    Stopped,
}

/// Answer to a request for a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be performed.
    Go,
    /// It may be performed after this time.
    Wait(Duration),
    /// It may not be performed.
    Stop,
}

/// Request for a delete because of absence.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Kind and side of the object.
    pub subject: Subject,
    /// Its UID.
    pub uid: &'a str,
    /// Number of objects of the kind that exist now.
    pub population: usize,
    /// True if the claim agrees, or a person has released the kind.
    pub trusted: bool,
}

/// Change of state that people should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The new state.
    pub state: State,
    /// Number of deletes that pass in a minute.
    pub limit: usize,
    /// Number of objects that existed before the deletes.
    pub population: usize,
}

/// Subject that is paced or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// Kind and side.
    pub subject: Subject,
    /// `Pacing` or `Stopped`.
    pub state: State,
    /// Number of deletes that wait.
    pub waiting: usize,
}

/// Breaker of all kinds.
#[derive(Debug, Default)]
pub struct Breaker {
    counts: BTreeMap<Subject, Count>,
}

#[derive(Debug, Default)]
struct Count {
    state: State,
    /// Deletes of the last [`WINDOW`], the oldest first.
    deletes: VecDeque<(Instant, Box<str>)>,
    /// Deletes that wait, by UID.
    waiting: HashMap<Box<str>, Waiting>,
    /// The last slot that was given away.
    last_slot: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Time at which it may be performed; absent while the kind is stopped.
    slot: Option<Instant>,
    asked: Instant,
}

impl Breaker {
    /// Judges a delete without performing it. Answers with an alarm when the state has changed for the worse.
    pub fn judge(&mut self, ask: &Ask<'_>, now: Instant) -> (Verdict, Option<Alarm>) {
        let count = self.counts.entry(ask.subject).or_default();
        count.expire(now);
        let before = count.state;
        let population = ask.population + count.deletes.len();
        let limit = limit(population);
        let verdict = count.judge(ask, limit, now);
        let alarm = Alarm { state: count.state, limit, population };
        (verdict, (count.state > before).then_some(alarm))
    }

    /// Judges a delete whose absence is proved, and counts it when it may be performed.
    pub fn admit(&mut self, ask: &Ask<'_>, now: Instant) -> (Verdict, Option<Alarm>) {
        let answer = self.judge(ask, now);
        if let (Verdict::Go, Some(count)) = (answer.0, self.counts.get_mut(&ask.subject)) {
            count.record(ask.uid, now);
        }
        answer
    }

    /// Returns what is paced or stopped.
    pub fn tripped(&mut self, now: Instant) -> Vec<Tripped> {
        for count in self.counts.values_mut() {
            count.expire(now);
        }
        self.counts.retain(|_, count| !count.is_calm());
        let tripped = self.counts.iter().filter(|(_, count)| count.state != State::Closed);
        tripped
            .map(|(subject, count)| Tripped { subject: *subject, state: count.state, waiting: count.waiting.len() })
            .collect()
    }
}

/// Number of deletes in [`WINDOW`] that pass, of a kind with this many objects.
fn limit(population: usize) -> usize {
    FLOOR.max(population / SHARE)
}

impl Count {
    fn judge(&mut self, ask: &Ask<'_>, limit: usize, now: Instant) -> Verdict {
        if self.deletes.iter().any(|(_, uid)| **uid == *ask.uid) {
            return Verdict::Go;
        }
        let has_room = self.deletes.len() < limit;
        if !ask.trusted {
            if has_room && self.state != State::Stopped {
                return Verdict::Go;
            }
            self.state = State::Stopped;
            self.waiting.insert(ask.uid.into(), Waiting { slot: None, asked: now });
            return Verdict::Stop;
        }
        if self.state == State::Stopped {
            self.state = State::Pacing;
        }
        let given = self.waiting.get(ask.uid).and_then(|waiting| waiting.slot);
        if given.is_none() && has_room && self.waiting.is_empty() {
            return Verdict::Go;
        }
        self.state = State::Pacing;
        let slot = given.unwrap_or_else(|| self.next_slot(limit, now));
        self.waiting.insert(ask.uid.into(), Waiting { slot: Some(slot), asked: now });
        if slot <= now { Verdict::Go } else { Verdict::Wait(slot - now) }
    }

    fn next_slot(&mut self, limit: usize, now: Instant) -> Instant {
        let pace = WINDOW / u32::try_from(limit).unwrap_or(u32::MAX);
        let slot = self.last_slot.map_or(now, |last| last.max(now)) + pace;
        self.last_slot = Some(slot);
        slot
    }

    fn record(&mut self, uid: &str, now: Instant) {
        self.waiting.remove(uid);
        if self.deletes.iter().all(|(_, known)| **known != *uid) {
            self.deletes.push_back((now, uid.into()));
        }
    }

    /// Drops old deletes, and waiting ones that are no longer asked for.
    fn expire(&mut self, now: Instant) {
        while self.deletes.front().is_some_and(|(at, _)| now >= *at + WINDOW) {
            self.deletes.pop_front();
        }
        self.waiting.retain(|_, waiting| match waiting.slot {
            Some(slot) => now < slot.max(waiting.asked) + WINDOW,
            None => now < waiting.asked + FORGOTTEN,
        });
        if self.waiting.is_empty() && (self.state == State::Stopped || self.deletes.is_empty()) {
            self.state = State::Closed;
        }
    }

    fn is_calm(&self) -> bool {
        self.state == State::Closed && self.deletes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::kinds;

    use super::*;

    const POD: Subject = (Side::Host, kinds::POD);

    fn ask(uid: &str, population: usize, trusted: bool) -> Ask<'_> {
        Ask { subject: POD, uid, population, trusted }
    }

    /// Asks for the delete of many objects at once; answers with the verdicts and the alarms.
    fn all(breaker: &mut Breaker, many: usize, trusted: bool, now: Instant) -> (Vec<Verdict>, Vec<Alarm>) {
        let mut left = many;
        let (mut verdicts, mut alarms) = (Vec::new(), Vec::new());
        for number in 0..many {
            let (verdict, alarm) = breaker.admit(&ask(&number.to_string(), left, trusted), now);
            left -= usize::from(verdict == Verdict::Go);
            verdicts.push(verdict);
            alarms.extend(alarm);
        }
        (verdicts, alarms)
    }

    fn gone(verdicts: &[Verdict]) -> usize {
        verdicts.iter().filter(|verdict| **verdict == Verdict::Go).count()
    }

    #[test]
    fn ten_objects_or_a_fifth_of_a_kind_may_go_in_a_minute() {
        for (many, passes) in [(10, 10), (11, 10), (49, 10), (60, 12), (1000, 200)] {
            let mut breaker = Breaker::default();
            let (verdicts, alarms) = all(&mut breaker, many, false, Instant::now());
            assert_eq!(gone(&verdicts), passes, "{many}");
            assert_eq!(alarms.len(), usize::from(many > passes), "{many}: one alarm");
        }
    }

    #[test]
    fn without_agreement_a_kind_stays_stopped_as_long_as_deletes_are_asked_for() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        let (_, alarms) = all(&mut breaker, 30, false, start);
        assert_eq!(alarms, [Alarm { state: State::Stopped, limit: 10, population: 30 }]);
        for minute in 1..10 {
            for half in [0, 30] {
                let now = start + Duration::from_secs(minute * 60 + half);
                for uid in 10..30 {
                    let answer = breaker.admit(&ask(&uid.to_string(), 20, false), now);
                    assert_eq!(answer, (Verdict::Stop, None), "{uid} at minute {minute}");
                }
            }
        }
        let other = Ask { subject: (Side::Host, kinds::SECRET), ..ask("s", 1, false) };
        assert_eq!(breaker.admit(&other, start).0, Verdict::Go, "other kinds go on");
    }

    #[test]
    fn what_is_not_asked_for_any_more_opens_nothing_and_is_forgotten() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        all(&mut breaker, 30, false, start);
        assert_eq!(breaker.tripped(start), [Tripped { subject: POD, state: State::Stopped, waiting: 20 }]);
        assert_eq!(breaker.tripped(start + WINDOW).len(), 1);
        let later = start + FORGOTTEN;
        assert_eq!(breaker.tripped(later), []);
        assert!(breaker.counts.is_empty(), "no memory of it stays");
    }

    #[test]
    fn with_agreement_all_go_within_five_minutes_and_no_faster() {
        for many in [11, 100, 1000] {
            let (mut breaker, start) = (Breaker::default(), Instant::now());
            let mut left: Vec<String> = (0..many).map(|number| number.to_string()).collect();
            let (mut seconds, mut first_minute, mut alarms) = (0, 0, 0);
            while !left.is_empty() {
                let now = start + Duration::from_secs(seconds);
                let mut population = left.len();
                left.retain(|uid| {
                    let (verdict, alarm) = breaker.admit(&ask(uid, population, true), now);
                    alarms += usize::from(alarm.is_some());
                    population -= usize::from(verdict == Verdict::Go);
                    first_minute += usize::from(verdict == Verdict::Go && seconds < 60);
                    verdict != Verdict::Go
                });
                seconds += 1;
                assert!(seconds <= 310, "{many}: {} are left", left.len());
            }
            assert!(first_minute <= 2 * limit(many), "{many}: {first_minute} in the first minute");
            assert_eq!(alarms, 1, "{many}");
            assert_eq!(breaker.tripped(start + Duration::from_secs(seconds + 60)), [], "{many}");
        }
    }

    #[test]
    fn a_stopped_kind_that_is_released_is_paced() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        all(&mut breaker, 30, false, start);
        let (verdict, alarm) = breaker.admit(&ask("20", 20, true), start);
        assert!(matches!(verdict, Verdict::Wait(wait) if wait <= WINDOW / 10), "{verdict:?}");
        assert_eq!(alarm, None, "it has become better");
        let Verdict::Wait(wait) = verdict else { panic!("{verdict:?}") };
        assert_eq!(breaker.admit(&ask("20", 20, true), start + wait).0, Verdict::Go);
    }

    #[test]
    fn what_is_only_judged_or_tried_again_does_not_count() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for number in 0..100 {
            assert_eq!(breaker.judge(&ask(&number.to_string(), 100, false), now).0, Verdict::Go);
        }
        for _ in 0..100 {
            assert_eq!(breaker.admit(&ask("same", 100, false), now).0, Verdict::Go);
        }
        assert_eq!(breaker.tripped(now), []);
    }
}

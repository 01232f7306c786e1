//! Limit of the requests in flight to one API server.
//!
//! One total for each side, which an overloaded server shrinks: priority and fairness of an API
//! server counts per user, and the syncer is one user. Beneath it each kind has a cap, so that
//! slow requests of one kind leave room for the others. Reads that prove something and Service
//! reservations have spare slots beyond the total. The claim and the lease are not limited.
//!
//! The time that a single request takes is no sign of overload: an admission webhook of one kind may be slow.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tenet_mapper::GroupKind;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

const START: usize = 16;
const FLOOR: usize = 2;
/// Slots beyond the limit that only [`Class::Spare`] uses.
const SPARE: usize = 4;
/// Time in which several signs of overload count once, as one overload delays many requests.
const CALM: Duration = Duration::from_millis(500);
/// Longest pause that a server gets, whatever it asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Slots that a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A write of this kind.
    Kind(GroupKind),
    /// A read that proves something, or a request that somebody waits for: it may use the spare slots, and
    /// does not wait for a pause.
    Spare,
}

/// Load of the server as seen in one answer.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// It served the request, or failed for a reason that is not load.
    Served,
    /// It is overloaded, and may have asked for a pause.
    Overloaded(Option<Duration>),
}

/// Limit of the requests in flight: grows by one for every full round of good answers, and halves when the
/// server says that it is overloaded.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
}

/// Permit for one request; returned when dropped.
#[derive(Debug)]
pub struct Permit {
    limiter: Arc<Limiter>,
    class: Class,
}

#[derive(Debug)]
struct Waiter {
    class: Class,
    permit: oneshot::Sender<Permit>,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    kinds: HashMap<GroupKind, usize>,
    limit: usize,
    ceiling: usize,
    /// Answers since the limit grew.
    credit: usize,
    last_cut: Option<Instant>,
    paused_until: Option<Instant>,
    /// Requests that wait for a slot, in the order of their arrival.
    waiters: BTreeMap<u64, Waiter>,
    next: u64,
}

impl Limiter {
    /// Creates a limit that never exceeds `ceiling`, apart from the spare slots.
    pub fn new(ceiling: usize) -> Arc<Self> {
        let state = State {
            in_flight: 0,
            kinds: HashMap::new(),
            limit: START.min(ceiling),
            ceiling,
            credit: 0,
            last_cut: None,
            paused_until: None,
            waiters: BTreeMap::new(),
            next: 0,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Waits for a permit.
    pub async fn enter(self: &Arc<Self>, class: Class) -> Permit {
        let (mut permit, paused_until) = {
            let mut state = self.state.lock();
            // A request does not overtake those that already wait for the same slots.
            if !state.is_waited_for(class) && state.admits(class, Instant::now()) {
                state.take(class);
                return Permit { limiter: Arc::clone(self), class };
            }
            let (sender, permit) = oneshot::channel();
            let position = state.next;
            state.next += 1;
            state.waiters.insert(position, Waiter { class, permit: sender });
            (permit, state.paused_until)
        };
        let mut pause = paused_until.filter(|until| *until > Instant::now());
        loop {
            let over = async {
                match pause {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                granted = &mut permit => match granted {
                    Ok(permit) => return permit,
                    // The sender lives in the limiter, which `self` keeps.
                    Err(_) => std::future::pending().await,
                },
                () = over => {
                    self.grant();
                    pause = self.state.lock().paused_until.filter(|until| *until > Instant::now());
                }
            }
        }
    }

    /// Adapts the limit to an answer. `jitter` is from 0 to 1, so that not all requests come back at once.
    pub fn learn(self: &Arc<Self>, verdict: Verdict, jitter: f64) {
        {
            let now = Instant::now();
            let mut state = self.state.lock();
            match verdict {
                Verdict::Served => {
                    state.credit += 1;
                    if state.credit >= state.limit && state.limit < state.ceiling {
                        state.limit += 1;
                        state.credit = 0;
                    }
                }
                Verdict::Overloaded(pause) => {
                    state.cut(now);
                    if let Some(pause) = pause {
                        let until = now + pause.min(LONGEST_PAUSE).mul_f64(1.0 + jitter / 5.0);
                        state.paused_until = Some(state.paused_until.map_or(until, |old| old.max(until)));
                    }
                }
            }
        }
        self.grant();
    }

    /// Changes the ceiling.
    pub fn set_ceiling(self: &Arc<Self>, ceiling: usize) {
        {
            let mut state = self.state.lock();
            state.ceiling = ceiling;
            state.limit = state.limit.min(ceiling);
        }
        self.grant();
    }

    /// Returns the current limit.
    pub fn limit(&self) -> usize {
        self.state.lock().limit
    }

    /// Hands the free slots to the waiting requests.
    fn grant(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut state = self.state.lock();
                let Some(waiter) = state.next_waiter(Instant::now()) else { return };
                state.take(waiter.class);
                waiter
            };
            let permit = Permit { limiter: Arc::clone(self), class: waiter.class };
            // A request that has gone away returns the permit here.
            drop(waiter.permit.send(permit));
        }
    }
}

impl State {
    /// Number of requests of one kind that may be in flight: a quarter of the limit stays for other kinds.
    fn cap(&self) -> usize {
        (self.limit - self.limit / 4).max(1)
    }

    fn admits(&self, class: Class, now: Instant) -> bool {
        match class {
            Class::Spare => self.in_flight < self.limit + SPARE,
            Class::Kind(kind) => {
                self.in_flight < self.limit
                    && self.kinds.get(&kind).is_none_or(|count| *count < self.cap())
                    && self.paused_until.is_none_or(|until| until <= now)
            }
        }
    }

    fn is_waited_for(&self, class: Class) -> bool {
        self.waiters.values().any(|waiter| waiter.class == class)
    }

    /// Removes the first waiting request that has a slot.
    fn next_waiter(&mut self, now: Instant) -> Option<Waiter> {
        let position = self.waiters.iter().find(|(_, waiter)| self.admits(waiter.class, now)).map(|(at, _)| *at)?;
        self.waiters.remove(&position)
    }

    fn take(&mut self, class: Class) {
        self.in_flight += 1;
        if let Class::Kind(kind) = class {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }

    fn give_back(&mut self, class: Class) {
        self.in_flight -= 1;
        if let Class::Kind(kind) = class
            && let Some(count) = self.kinds.get_mut(&kind)
        {
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(&kind);
            }
        }
    }

    fn cut(&mut self, now: Instant) {
        if self.last_cut.is_none_or(|last| now - last > CALM) {
            self.limit = (self.limit / 2).max(FLOOR.min(self.ceiling));
            self.credit = 0;
            self.last_cut = Some(now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.state.lock().give_back(self.class);
        self.limiter.grant();
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::kinds;
    use tokio::time::timeout;

    use super::*;

    fn pods() -> Class {
        Class::Kind(kinds::POD.group_kind())
    }

    fn services() -> Class {
        Class::Kind(kinds::SERVICE.group_kind())
    }

    async fn is_admitted(limiter: &Arc<Limiter>, class: Class) -> Option<Permit> {
        timeout(Duration::from_millis(20), limiter.enter(class)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_follows_the_load_that_the_server_bears() {
        let limiter = Limiter::new(32);
        for _ in 0..1000 {
            limiter.learn(Verdict::Served, 0.0);
        }
        assert_eq!(limiter.limit(), 32);
        limiter.learn(Verdict::Overloaded(None), 0.0);
        limiter.learn(Verdict::Overloaded(None), 0.0);
        assert_eq!(limiter.limit(), 16, "one overload counts once");
        tokio::time::advance(Duration::from_secs(1)).await;
        limiter.learn(Verdict::Overloaded(None), 0.0);
        assert_eq!(limiter.limit(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_for_a_pause_gets_it_up_to_a_cap() {
        for (asked, jitter, expected) in [(7, 0.0, 7.0), (7, 1.0, 8.4), (3600, 0.0, 10.0)] {
            let limiter = Limiter::new(4);
            limiter.learn(Verdict::Overloaded(Some(Duration::from_secs(asked))), jitter);
            let before = Instant::now();
            drop(limiter.enter(pods()).await);
            let waited = before.elapsed().as_secs_f64();
            assert!((waited - expected).abs() < 0.01, "{asked} s: waited {waited} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_proof_does_not_wait_for_a_pause_and_has_slots_of_its_own() {
        let limiter = Limiter::new(2);
        limiter.learn(Verdict::Overloaded(Some(Duration::from_secs(5))), 0.0);
        let mut permits = Vec::new();
        for _ in 0..2 + SPARE {
            permits.push(is_admitted(&limiter, Class::Spare).await.expect("a free slot"));
        }
        assert!(is_admitted(&limiter, Class::Spare).await.is_none(), "also the spare slots are limited");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_requests_of_one_kind_leave_room_for_another() {
        let limiter = Limiter::new(64);
        let mut slow = Vec::new();
        while let Some(permit) = is_admitted(&limiter, pods()).await {
            slow.push(permit);
        }
        assert_eq!(slow.len(), 12);
        let service = is_admitted(&limiter, services()).await.expect("a slot for another kind");
        drop(slow.pop());
        assert!(is_admitted(&limiter, pods()).await.is_some());
        drop(service);
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiting_request_is_served_in_turn_whoever_gives_up() {
        let limiter = Limiter::new(1);
        let first = limiter.enter(pods()).await;
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(limiter.enter(pods()))).collect();
        for request in &mut waiting {
            assert!(futures::poll!(request.as_mut()).is_pending());
        }
        let (last, gone, next) = (waiting.pop().unwrap(), waiting.pop().unwrap(), waiting.pop().unwrap());
        drop(gone);
        drop(first);
        drop(timeout(Duration::from_secs(1), next).await.expect("the first in line"));
        drop(timeout(Duration::from_secs(1), last).await.expect("the one behind the request that has gone"));
        assert_eq!(limiter.state.lock().in_flight, 0);
        assert!(limiter.state.lock().kinds.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_was_granted_to_a_request_that_goes_away_returns() {
        let limiter = Limiter::new(1);
        let first = limiter.enter(pods()).await;
        let mut gone = Box::pin(limiter.enter(pods()));
        assert!(futures::poll!(gone.as_mut()).is_pending());
        drop(first);
        drop(gone);
        assert!(is_admitted(&limiter, pods()).await.is_some());
    }
}

//! Adaptive limit of requests in flight.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const START: usize = 16;
const FLOOR: usize = 2;
/// Time after which an answer counts as a sign of overload.
const SLOW: Duration = Duration::from_secs(2);
/// Time in which several signs of overload count once, as one overload delays many requests.
const CALM: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct State {
    in_flight: usize,
    limit: usize,
    ceiling: usize,
    /// Answers since the limit grew.
    credit: usize,
    last_cut: Option<Instant>,
    closed_until: Option<Instant>,
}

/// Adaptive limit: grows by one for every full round of good answers, and halves when the
/// server is overloaded.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
    freed: Notify,
}

/// Permit for one request; returned when dropped.
pub struct Permit<'l>(&'l Limiter);

/// Load of the server as seen in one answer.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// It was answered in this time.
    Answered(Duration),
    /// The server is overloaded, and may have sent a delay.
    Overloaded(Option<Duration>),
}

impl Limiter {
    /// Creates a limit that never exceeds `ceiling`.
    pub fn new(ceiling: usize) -> Self {
        let state =
            State { in_flight: 0, limit: START.min(ceiling), ceiling, credit: 0, last_cut: None, closed_until: None };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }

    /// Waits for a permit.
    pub async fn enter(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            let closed = {
                let mut state = self.state.lock();
                let closed = state.closed_until.filter(|until| *until > Instant::now());
                if closed.is_none() && state.in_flight < state.limit {
                    state.in_flight += 1;
                    return Permit(self);
                }
                closed
            };
            match closed {
                Some(until) => sleep_until(until).await,
                None => freed.await,
            }
        }
    }

    /// Adapts the limit to an answer.
    pub fn learn(&self, verdict: Verdict) {
        let now = Instant::now();
        let mut state = self.state.lock();
        match verdict {
            Verdict::Answered(took) if took < SLOW => {
                state.credit += 1;
                if state.credit >= state.limit && state.limit < state.ceiling {
                    state.limit += 1;
                    state.credit = 0;
                }
            }
            Verdict::Answered(_) => state.cut(now),
            Verdict::Overloaded(pause) => {
                state.cut(now);
                if let Some(pause) = pause {
                    let until = now + pause.min(Duration::from_secs(60));
                    state.closed_until = Some(state.closed_until.map_or(until, |old| old.max(until)));
                }
            }
        }
    }

    /// Changes the ceiling.
    pub fn set_ceiling(&self, ceiling: usize) {
        let mut state = self.state.lock();
        state.ceiling = ceiling;
        state.limit = state.limit.min(ceiling);
    }

    /// Returns the current limit.
    pub fn limit(&self) -> usize {
        self.state.lock().limit
    }
}

impl State {
    fn cut(&mut self, now: Instant) {
        if self.last_cut.is_none_or(|last| now - last > CALM) {
            self.limit = (self.limit / 2).max(FLOOR.min(self.ceiling));
            self.credit = 0;
            self.last_cut = Some(now);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.state.lock().in_flight -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_bound_follows_what_the_server_bears() {
        let limiter = Limiter::new(32);
        for _ in 0..1000 {
            limiter.learn(Verdict::Answered(Duration::from_millis(3)));
        }
        assert_eq!(limiter.limit(), 32);
        limiter.learn(Verdict::Overloaded(None));
        limiter.learn(Verdict::Overloaded(None));
        assert_eq!(limiter.limit(), 16, "one overload counts once");
        tokio::time::advance(Duration::from_secs(1)).await;
        limiter.learn(Verdict::Answered(Duration::from_secs(5)));
        assert_eq!(limiter.limit(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_names_a_pause_gets_it() {
        let limiter = Limiter::new(4);
        limiter.learn(Verdict::Overloaded(Some(Duration::from_secs(7))));
        let before = Instant::now();
        drop(limiter.enter().await);
        assert_eq!(Instant::now() - before, Duration::from_secs(7));
    }

    #[tokio::test]
    async fn no_more_than_the_bound_are_in_flight() {
        let limiter = Limiter::new(2);
        let first = limiter.enter().await;
        let _second = limiter.enter().await;
        assert!(tokio::time::timeout(Duration::from_millis(20), limiter.enter()).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(Duration::from_millis(200), limiter.enter()).await.is_ok());
    }
}

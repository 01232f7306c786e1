//! Permission to write. It ends by itself when the lease is not renewed.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Permission to write, which the gate asks for before each request.
#[derive(Debug, Default)]
pub struct Hold {
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    until: Until,
    is_draining: bool,
    writes: usize,
}

impl State {
    fn is_held(&self, now: Instant) -> bool {
        match self.until {
            Until::Never => false,
            Until::Deadline(deadline) => now < deadline,
            Until::Always => true,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Until {
    #[default]
    Never,
    Deadline(Instant),
    Always,
}

/// One write in flight.
#[derive(Debug)]
pub struct Writing<'h>(&'h Hold);

impl Hold {
    /// Permission of a syncer without a lease.
    pub fn always() -> Self {
        Self { state: Mutex::new(State { until: Until::Always, ..State::default() }), idle: Notify::new() }
    }

    /// Returns a guard for one write; `None` when writing is not permitted now.
    pub fn enter(&self, now: Instant) -> Option<Writing<'_>> {
        let mut state = self.state.lock();
        let is_permitted = state.is_held(now) && !state.is_draining;
        is_permitted.then(|| {
            state.writes += 1;
            Writing(self)
        })
    }

    /// Returns true while the permission lasts, also when it admits no new writes any more.
    pub fn is_held(&self, now: Instant) -> bool {
        self.state.lock().is_held(now)
    }

    /// Permits writes until a deadline.
    pub(super) fn extend(&self, deadline: Instant) {
        self.state.lock().until = Until::Deadline(deadline);
    }

    /// Returns the time at which the permission ends by itself; `None` if it has ended, or has no end.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state.lock().until {
            Until::Deadline(deadline) => Some(deadline),
            Until::Never | Until::Always => None,
        }
    }

    /// Ends the permission.
    pub(super) fn close(&self) {
        self.state.lock().until = Until::Never;
    }

    /// Admits no more writes, and waits a while for those in flight. The permission itself lasts.
    pub(super) async fn drain(&self, patience: Duration) {
        self.state.lock().is_draining = true;
        let idle = async {
            loop {
                let idle = self.idle.notified();
                if self.state.lock().writes == 0 {
                    return;
                }
                idle.await;
            }
        };
        if timeout(patience, idle).await.is_err() {
            tracing::warn!("writes are still in flight when the lease ends");
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.writes -= 1;
        if state.writes == 0 {
            self.0.idle.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_permission_ends_at_its_deadline_without_any_help() {
        let (hold, now) = (Hold::default(), Instant::now());
        assert!(!hold.is_held(now));
        hold.extend(now + Duration::from_secs(3));
        assert!(hold.is_held(now + Duration::from_millis(2999)));
        assert!(!hold.is_held(now + Duration::from_secs(3)));
        assert!(Hold::always().is_held(now + Duration::from_secs(1_000_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_writes_on_their_way_and_admits_no_more_while_the_permission_lasts() {
        let (hold, start) = (std::sync::Arc::new(Hold::default()), Instant::now());
        hold.extend(start + Duration::from_secs(60));
        let writing = std::sync::Arc::clone(&hold);
        let write = tokio::spawn(async move {
            let _write = writing.enter(Instant::now()).unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
        tokio::task::yield_now().await;
        hold.drain(Duration::from_secs(1)).await;
        assert_eq!(start.elapsed(), Duration::from_millis(100));
        assert!(hold.enter(Instant::now()).is_none());
        assert!(hold.is_held(Instant::now()));
        hold.close();
        assert!(!hold.is_held(Instant::now()));
        write.await.unwrap();
    }
}

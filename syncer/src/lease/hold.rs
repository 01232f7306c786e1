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
    writes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Until {
    #[default]
    Never,
    Deadline(Instant),
    Always,
}

/// One write on its way.
#[derive(Debug)]
pub struct Writing<'h>(&'h Hold);

impl Hold {
    /// Permission of a syncer without a lease.
    pub fn always() -> Self {
        Self { state: Mutex::new(State { until: Until::Always, writes: 0 }), idle: Notify::new() }
    }

    /// Returns a guard for one write; `None` when writing is not permitted now.
    pub fn enter(&self, now: Instant) -> Option<Writing<'_>> {
        let mut state = self.state.lock();
        let is_permitted = match state.until {
            Until::Never => false,
            Until::Deadline(deadline) => now < deadline,
            Until::Always => true,
        };
        is_permitted.then(|| {
            state.writes += 1;
            Writing(self)
        })
    }

    /// Returns true if writing is permitted now.
    pub fn is_held(&self, now: Instant) -> bool {
        self.enter(now).is_some()
    }

    /// Permits writes until a deadline.
    pub(super) fn extend(&self, deadline: Instant) {
        self.state.lock().until = Until::Deadline(deadline);
    }

    /// Permits no more writes, and waits a while for those that are on their way.
    pub(super) async fn close(&self, patience: Duration) {
        self.state.lock().until = Until::Never;
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
            tracing::warn!("writes are still on their way when the lease is released");
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
    async fn a_release_waits_for_writes_on_their_way_and_admits_no_more() {
        let (hold, start) = (std::sync::Arc::new(Hold::default()), Instant::now());
        hold.extend(start + Duration::from_secs(60));
        let writing = std::sync::Arc::clone(&hold);
        let write = tokio::spawn(async move {
            let _write = writing.enter(Instant::now()).unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
        tokio::task::yield_now().await;
        hold.close(Duration::from_secs(1)).await;
        assert_eq!(start.elapsed(), Duration::from_millis(100));
        assert!(hold.enter(Instant::now()).is_none());
        write.await.unwrap();
    }
}

//! Time of a simulated world: it passes only while everything waits.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::time::Instant;

/// Time of day at the start of every world.
const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

/// Clock of a world.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts a clock.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns the time of day.
    pub fn now(&self) -> OffsetDateTime {
        START + self.elapsed()
    }

    /// Returns the instant at a time after the start.
    pub fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Returns the clock as a cluster reads it.
    pub fn of_cluster(self) -> Arc<dyn Fn() -> OffsetDateTime + Send + Sync> {
        Arc::new(move || self.now())
    }
}

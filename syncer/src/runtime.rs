//! Clock, randomness and spawning of an engine.
//!
//! They are injected, so that a simulator drives the engine unmodified. Delays and deadlines are
//! those of `tokio::time`, whose clock a test can pause.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A task of the engine.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Clock, randomness and spawning of an engine.
pub trait Runtime: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> OffsetDateTime;

    /// Returns a random number from 0 to 1.
    fn random(&self) -> f64;

    /// Runs a task beside the others, detached.
    fn spawn(&self, task: Task);
}

impl dyn Runtime + '_ {
    /// Returns the time of day in unix seconds.
    pub fn unix_seconds(&self) -> i64 {
        self.now().unix_timestamp()
    }

    /// Returns the time of day as Kubernetes writes it, without fractions of a second.
    pub fn timestamp(&self) -> String {
        let second = self.now().replace_nanosecond(0).ok();
        second.and_then(|second| second.format(&Rfc3339).ok()).unwrap_or_default()
    }

    /// Returns `interval` with up to a tenth less or more, so that tasks of one interval do not run at the same time.
    pub fn spread(&self, interval: Duration) -> Duration {
        interval.mul_f64(0.9 + self.random() / 5.0)
    }

    /// Returns `delay` with up to a fifth more, so that requests that failed together are not repeated together.
    pub fn jittered(&self, delay: Duration) -> Duration {
        delay.mul_f64(1.0 + self.random() / 5.0)
    }
}

/// The clock of the machine, seeded hashing, and tasks of the current tokio runtime.
pub struct System;

impl Runtime for System {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn random(&self) -> f64 {
        let bits = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(0);
        f64::from(bits) / f64::from(u32::MAX)
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_whole_seconds() {
        let timestamp = (&System as &dyn Runtime).timestamp();
        assert!(OffsetDateTime::parse(&timestamp, &Rfc3339).unwrap().nanosecond() == 0, "{timestamp}");
    }

    #[test]
    fn jitter_adds_up_to_a_fifth() {
        let system: &dyn Runtime = &System;
        for _ in 0..100 {
            let delay = system.jittered(Duration::from_secs(10));
            assert!((10.0..=12.0).contains(&delay.as_secs_f64()), "{delay:?}");
        }
    }
}

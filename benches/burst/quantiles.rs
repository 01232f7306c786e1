//! Quantiles of durations.

use std::time::Duration;

use serde::Serialize;

/// Quantiles of durations, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of the durations are at most this long.
    pub p50: f64,
    /// 99 of 100 durations are at most this long.
    pub p99: f64,
    /// Longest duration.
    pub max: f64,
}

impl Quantiles {
    /// Computes the quantiles; `None` for no durations.
    pub fn of(mut durations: Vec<Duration>) -> Option<Self> {
        durations.sort_unstable();
        let last = durations.len().checked_sub(1)?;
        let at = |percent: usize| millis(durations[(last * percent).div_ceil(100)]);
        Some(Self { p50: at(50), p99: at(99), max: at(100) })
    }
}

/// Converts to milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

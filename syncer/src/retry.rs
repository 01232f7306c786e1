//! Delay of the next try, from the class of an error.

use std::time::Duration;

use tenet_mapper::MapError;

use crate::queue::Again;
use crate::runtime::Runtime;

/// Interval at which a missed wake-up is detected.
pub const FALLBACK: Duration = Duration::from_secs(30);
/// Longest delay that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time for which a key is quarantined after its mapper panicked.
const QUARANTINE: Duration = Duration::from_secs(300);

/// Returns the delay of the next try after `failures` failures before this one.
pub fn after(error: &MapError, failures: u32, runtime: &dyn Runtime) -> Again {
    let (first, longest) = match error {
        // Only a change helps, and a change wakes the key.
        MapError::Refused(_) => return Again::No,
        // Every key is reconciled when the claim agrees again; meanwhile nothing has failed.
        MapError::Suspended(_) => return Again::After(FALLBACK),
        MapError::QuotaExceeded { quota, .. } => return Again::Full(quota.as_str().into()),
        // The cap bounds a server or proxy that asks for an hour; the jitter keeps the retries apart.
        MapError::Transient { after: Some(after), .. } => {
            return Again::Failed(runtime.jittered((*after).min(LONGEST_PAUSE)));
        }
        MapError::Conflict(_) => (Duration::from_millis(10), Duration::from_secs(5)),
        MapError::Transient { .. } => (Duration::from_millis(100), Duration::from_secs(60)),
        MapError::Rejected(_) => (Duration::from_secs(1), Duration::from_secs(300)),
        _ => (Duration::from_secs(10), Duration::from_secs(300)),
    };
    let delay = first.saturating_mul(1 << failures.min(16)).min(longest);
    Again::Failed(delay.mul_f64(1.0 - runtime.random() / 5.0))
}

/// Returns the delay after a panic.
pub fn after_panic() -> Again {
    Again::Failed(QUARANTINE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::System;

    #[test]
    fn the_class_of_an_error_decides_the_delay() {
        let transient = MapError::Transient { reason: String::new(), after: None };
        let delay = |error: &MapError, failures| match after(error, failures, &System) {
            Again::Failed(delay) => delay.as_millis(),
            _ => 0,
        };
        assert!((80..=100).contains(&delay(&transient, 0)));
        assert!((48_000..=60_000).contains(&delay(&transient, 30)));
        let asked = MapError::Transient { reason: String::new(), after: Some(Duration::from_secs(7)) };
        assert!((7_000..=8_400).contains(&delay(&asked, 9)));
        let hour = MapError::Transient { reason: String::new(), after: Some(Duration::from_secs(3600)) };
        assert!((30_000..=36_000).contains(&delay(&hour, 0)));
        assert!(delay(&MapError::Conflict(String::new()), 0) <= 10);
        assert_eq!(after(&MapError::refused("spec.x", "no"), 3, &System), Again::No);
    }
}

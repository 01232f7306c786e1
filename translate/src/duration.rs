use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::as_text::serde_as_text;

/// Seconds in each unit, largest first.
const UNITS: [(char, u64); 3] = [('h', 3600), ('m', 60), ('s', 1)];

/// Duration from one second to one day, written as in `30s`, `5m` or `1h30m`.
///
/// ```
/// let wait: tenet_translate::Duration = "90s".parse().unwrap();
/// assert_eq!(wait.as_secs(), 90);
/// assert_eq!(wait.to_string(), "1m30s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

/// Error of parsing a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration from 1s to 24h")]
pub struct DurationError {
    text: String,
}

impl Duration {
    /// Shortest duration that a configuration accepts.
    pub const MIN: Self = Self::from_secs(1);
    /// Longest duration that a configuration accepts.
    pub const MAX: Self = Self::from_secs(24 * 3600);

    /// Creates a duration, which may lie outside of the bounds of a configuration.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }
}

impl Deref for Duration {
    type Target = std::time::Duration;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        seconds(text)
            .map(Self::from_secs)
            .filter(|duration| (Self::MIN..=Self::MAX).contains(duration))
            .ok_or_else(|| DurationError { text: text.to_owned() })
    }
}

/// Sums numbers with units. Units go from large to small, and each occurs at most once.
fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    for (unit, length) in UNITS {
        let Some((number, after)) = rest.split_once(unit) else {
            continue;
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
        rest = after;
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

serde_as_text!(Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_and_written_back_in_its_shortest_form() {
        for (text, seconds, written) in [
            ("1s", 1, "1s"),
            ("30s", 30, "30s"),
            ("90s", 90, "1m30s"),
            ("5m", 300, "5m"),
            ("1h", 3600, "1h"),
            ("1h30m", 5400, "1h30m"),
            ("1h0m5s", 3605, "1h5s"),
            ("24h", 86400, "24h"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.as_secs(), seconds, "{text}");
            assert_eq!(duration.to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_or_out_of_bounds_is_an_error() {
        for text in [
            "",
            "s",
            "5",
            "5 m",
            "-5m",
            "+5m",
            "1.5h",
            "5m5",
            "5s5m",
            "5m5m",
            "0s",
            "25h",
            "1d",
            "5µs",
            "5ms",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }
}

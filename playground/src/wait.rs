//! Bounded waiting.

use std::time::{Duration, Instant};

/// Something did not happen in time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what} is not there after {} s", after.as_secs())]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub after: Duration,
}

/// How long to wait, and how often to look.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    limit: Duration,
    look_every: Duration,
}

impl Patience {
    /// Waits at most `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit, look_every: Duration::from_millis(50) }
    }

    /// Calls `look` until it answers true or an error.
    pub async fn until<E: From<TimedOut>>(
        self,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<bool, E>,
    ) -> Result<(), E> {
        let started = Instant::now();
        while !look().await? {
            if started.elapsed() > self.limit {
                return Err(TimedOut { what: what.to_owned(), after: self.limit }.into());
            }
            tokio::time::sleep(self.look_every).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_name_of_what_did_not_come() {
        let error = Patience::new(Duration::ZERO)
            .until("the moon", async || Ok::<_, TimedOut>(false))
            .await
            .expect_err("it never comes");
        assert_eq!(error.to_string(), "the moon is not there after 0 s");
    }
}

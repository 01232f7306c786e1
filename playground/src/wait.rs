//! Waiting with a time limit.

use std::time::{Duration, Instant};

/// Time limit that was exceeded.
#[derive(Clone, Debug, thiserror::Error)]
#[error("timed out after {} s waiting for {what}", after.as_secs())]
pub struct TimedOut {
    /// Condition that was waited for.
    pub what: String,
    /// Duration of the wait.
    pub after: Duration,
}

/// Time limit and poll interval.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    limit: Duration,
    look_every: Duration,
}

impl Patience {
    /// Creates a limit of `limit` with the default poll interval.
    pub fn new(limit: Duration) -> Self {
        Self { limit, look_every: Duration::from_millis(50) }
    }

    /// Calls `look` until it returns true or an error.
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
        assert_eq!(error.to_string(), "timed out after 0 s waiting for the moon");
    }
}

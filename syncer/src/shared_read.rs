//! Read that several callers share.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Mutex;

/// Reads of one thing, one at a time. Callers that wait share the next read, which starts after all of them have asked;
/// so no answer is older than its question, and the answers are in order.
pub struct SharedRead<T> {
    last: Mutex<(u64, Option<T>)>,
    started: AtomicU64,
}

impl<T> Default for SharedRead<T> {
    fn default() -> Self {
        Self { last: Mutex::new((0, None)), started: AtomicU64::new(0) }
    }
}

impl<T: Clone> SharedRead<T> {
    /// Returns the answer of a read that starts now or later.
    pub async fn next(&self, read: impl AsyncFnOnce() -> T) -> T {
        let asked = self.started.load(SeqCst);
        let mut last = self.last.lock().await;
        if let (number, Some(answer)) = &*last
            && *number > asked
        {
            return answer.clone();
        }
        let number = self.started.fetch_add(1, SeqCst) + 1;
        // Until this read has an answer, the answer of the one before must not be taken for it.
        *last = (number, None);
        let answer = read().await;
        *last = (number, Some(answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn callers_that_wait_share_one_read_that_starts_after_their_question() {
        let (reads, count) = (SharedRead::default(), AtomicU64::new(0));
        let read = async || {
            count.fetch_add(1, SeqCst);
            let start = Instant::now();
            sleep(Duration::from_secs(1)).await;
            start
        };
        let callers = (0..20).map(|number| {
            let (reads, read) = (&reads, &read);
            async move {
                sleep(Duration::from_millis(number * 10)).await;
                let asked = Instant::now();
                assert!(reads.next(read).await >= asked, "caller {number}");
            }
        });
        join_all(callers).await;
        assert_eq!(count.load(SeqCst), 2, "the first caller's, and one for all that came during it");
    }
}
